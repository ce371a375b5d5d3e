#!/bin/sh
# Needs openssl in the worker's image.
set -eu
openssl dgst -sha256 -sign "$SIGN_KEY_FILE" -out signature "$ISC_PARAMS"
printf '{"signature": "%s"}\n' "$(base64 -w0 signature)" >"$ISC_RESULT"
