#!/bin/sh
# One-shot of docker-compose.yml: makes every secret of the environment, once, each into the volume of those
# who need it. Nothing of it is in the repository, the images or the host's files; `docker-compose down -v`
# forgets all of it.
set -eu
umask 077

secrets=${SECRETS_DIR:-/secrets} # kcp/ broker/ watcher/ worker/ teams/
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

random() { openssl rand -hex 24; }

# give FILE OWNER MODE: from the standard input.
give() {
    cat >"$1.new"
    chown "$2" "$1.new"
    chmod "$3" "$1.new"
    mv "$1.new" "$1"
}

if [ -e "$secrets"/kcp/done ]; then
    echo "the secrets are there already"
    exit 0
fi

nonroot=65532:65532
for folder in kcp watcher worker teams; do
    chown $nonroot "$secrets/$folder"
    chmod 0700 "$secrets/$folder"
done

# RabbitMQ: its image reads any file of its conf.d folder.
password=$(random)
printf 'default_user = isc\ndefault_pass = %s\nloopback_users = none\nlog.console = true\n' "$password" |
    give "$secrets"/broker/20-isc.conf 0:0 0444
for reader in watcher worker; do
    printf 'amqp://isc:%s@rabbitmq:5672/%%2f' "$password" | give "$secrets/$reader/amqp-url" $nonroot 0400
done

# kcp: a certificate for the name that everybody here uses, and a token for each identity. The authority is a
# certificate of its own: one that is both authority and server is refused by the watcher's TLS.
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
key "$work"/ca.key
key "$work"/tls.key
openssl req -x509 -new -key "$work"/ca.key -days 3650 -subj "/CN=kcp authority" -out "$work"/ca.crt
openssl req -new -key "$work"/tls.key -subj /CN=kcp -out "$work"/tls.csr
cat >"$work"/tls.ext <<EXTENSIONS
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:kcp, DNS:localhost, IP:127.0.0.1
EXTENSIONS
openssl x509 -req -in "$work"/tls.csr -CA "$work"/ca.crt -CAkey "$work"/ca.key -CAcreateserial -days 3650 \
    -extfile "$work"/tls.ext -out "$work"/tls.crt 2>/dev/null
give "$secrets"/kcp/tls.key $nonroot 0400 <"$work"/tls.key
give "$secrets"/kcp/ca.crt $nonroot 0444 <"$work"/ca.crt
cat "$work"/tls.crt "$work"/ca.crt | give "$secrets"/kcp/tls.crt $nonroot 0444
for user in isc-controller alice bob; do
    printf '%s,%s,%s\n' "$(random)" $user $user
done | give "$secrets"/kcp/tokens.csv $nonroot 0400

# The signing key of the service `sign`. Only the workers have it; the teams have the public one.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$work"/sign.pem 2>/dev/null
give "$secrets"/worker/sign.pem $nonroot 0400 <"$work"/sign.pem
openssl pkey -in "$work"/sign.pem -pubout | give "$secrets"/teams/sign.pub $nonroot 0444

: | give "$secrets"/kcp/done $nonroot 0444
echo "made the secrets of this environment"
