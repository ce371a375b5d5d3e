#!/usr/bin/env bash
# params: {"digest": "sha256:<64 hex digits>"}
# result: {"digest", "signature" (base64, DER), "algorithm", "keyId" (start of the public key's SHA-256)}
#
# Verify with: openssl dgst -sha256 -verify public.pem -signature <(base64 -d <<<"$signature") FILE
set -euo pipefail

digest=$(sed -nE 's/.*"digest": ?"sha256:([0-9a-f]{64})".*/\1/p' "$ISC_PARAMS")
if [ -z "$digest" ]; then
    echo 'params.digest must be "sha256:" and 64 hex digits' >&2
    exit 65 # EX_DATAERR: asking again with the same parameters cannot help
fi

# The digest as bytes: \x12\x34...
printf '%b' "$(printf '%s' "$digest" | sed 's/../\\x&/g')" >digest
openssl pkeyutl -sign -inkey "$SIGN_KEY_FILE" -pkeyopt digest:sha256 -in digest -out signature
key=$(openssl pkey -in "$SIGN_KEY_FILE" -pubout -outform DER | sha256sum | cut -c1-16)
printf '{"digest": "sha256:%s", "signature": "%s", "algorithm": "ecdsa-p256-sha256", "keyId": "%s"}\n' \
    "$digest" "$(base64 -w0 signature)" "$key" >"$ISC_RESULT"
