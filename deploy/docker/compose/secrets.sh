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

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# authority NAME: a certificate of its own; one that is both authority and server is refused by the watcher.
authority() {
    key "$work/$1.ca.key"
    openssl req -x509 -new -key "$work/$1.ca.key" -days 3650 -subj "/CN=$1 authority" -out "$work/$1.ca.crt"
}

# certificate AUTHORITY NAME ALTERNATIVE-NAMES
certificate() {
    key "$work/$2.key"
    openssl req -new -key "$work/$2.key" -subj "/CN=$2" -out "$work/$2.csr"
    cat >"$work/$2.ext" <<EXTENSIONS
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = $3
EXTENSIONS
    openssl x509 -req -in "$work/$2.csr" -CA "$work/$1.ca.crt" -CAkey "$work/$1.ca.key" -CAcreateserial \
        -days 3650 -extfile "$work/$2.ext" -out "$work/$2.crt" 2>/dev/null
}

# The private network: the broker, the watcher and the workers know each other by certificates of one authority.
authority inside
certificate inside rabbitmq DNS:rabbitmq
certificate inside watcher DNS:watcher
certificate inside worker DNS:all.workers
for reader in watcher worker; do
    give "$secrets/$reader/ca.crt" $nonroot 0444 <"$work"/inside.ca.crt
    give "$secrets/$reader/tls.crt" $nonroot 0444 <"$work/$reader.crt"
    give "$secrets/$reader/tls.key" $nonroot 0400 <"$work/$reader.key"
done

# RabbitMQ reads any file of its conf.d folder as configuration. Nobody else has this volume, and the number of the
# image's user is not known here, so everybody may read its key there.
password=$(random)
mkdir -p "$secrets"/broker/conf.d
chmod 0755 "$secrets"/broker/conf.d
give "$secrets"/broker/ca.crt 0:0 0444 <"$work"/inside.ca.crt
give "$secrets"/broker/tls.crt 0:0 0444 <"$work"/rabbitmq.crt
give "$secrets"/broker/tls.key 0:0 0444 <"$work"/rabbitmq.key
give "$secrets"/broker/conf.d/20-isc.conf 0:0 0444 <<CONFIGURATION
default_user = isc
default_pass = $password
loopback_users = none
log.console = true
listeners.tcp = none
listeners.ssl.default = 5671
ssl_options.cacertfile = /run/isc/ca.crt
ssl_options.certfile = /run/isc/tls.crt
ssl_options.keyfile = /run/isc/tls.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
CONFIGURATION
for reader in watcher worker; do
    printf 'amqps://isc:%s@rabbitmq:5671/%%2f' "$password" | give "$secrets/$reader/amqp-url" $nonroot 0400
done

# kcp: a certificate for the name that everybody here uses, and a token for each identity.
authority kcp
certificate kcp kcp "DNS:kcp, DNS:localhost, IP:127.0.0.1"
give "$secrets"/kcp/tls.key $nonroot 0400 <"$work"/kcp.key
give "$secrets"/kcp/ca.crt $nonroot 0444 <"$work"/kcp.ca.crt
cat "$work"/kcp.crt "$work"/kcp.ca.crt | give "$secrets"/kcp/tls.crt $nonroot 0444
for user in isc-controller alice bob; do
    printf '%s,%s,%s\n' "$(random)" $user $user
done | give "$secrets"/kcp/tokens.csv $nonroot 0400

# The signing key of the service `sign`. Only the workers have it; the teams have the public one.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$work"/sign.pem 2>/dev/null
give "$secrets"/worker/sign.pem $nonroot 0400 <"$work"/sign.pem
openssl pkey -in "$work"/sign.pem -pubout | give "$secrets"/teams/sign.pub $nonroot 0444

: | give "$secrets"/kcp/done $nonroot 0444
echo "made the secrets of this environment"
