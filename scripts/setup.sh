#!/usr/bin/env bash
# Installs or builds whatever the demo and the tests need and is not there yet. Safe to run again.
#
# usage: scripts/setup.sh [--lint|--compose|--bench]     only what `make lint`, `make compose-test` or the
#                                                        comparison with Celery needs
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

# Where the RabbitMQ package keeps its scripts. The wrapper in /usr/sbin insists on certain users.
rabbitmq=/usr/lib/rabbitmq/bin/rabbitmq-server

missing=()

need() { # need PACKAGE TEST...
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

toolchains() {
    command -v cargo >/dev/null || die "cargo is missing: install Rust with https://rustup.rs"
    command -v cc >/dev/null || die "a C compiler is missing: install the package build-essential (or gcc and libc6-dev)"
}

# Installs packages without starting the services that some of them bring.
install_quietly() {
    local guard=/usr/sbin/policy-rc.d
    if [ ! -e $guard ]; then
        # shellcheck disable=SC2064  # the file of now; this function runs in a shell of its own
        trap "as_root rm -f $guard" EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee $guard >/dev/null
        as_root chmod 755 $guard
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
        install --no-install-recommends "$@"
}

install_missing() {
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    local list="${missing[*]}" log
    command -v apt-get >/dev/null || die "please install (names of Debian's packages): $list"
    can_be_root || die "please install as root: apt-get install --no-install-recommends $list"
    say "installing $list"
    log=$(mktemp -d)/apt.log
    with_progress "apt-get" "$log" no_detail install_quietly "${missing[@]}"
    rm -rf "$(dirname "$log")"
}

# promtool alone: the package that it comes in brings a service, a user, fonts and scripts besides.
fetch_promtool() {
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$work'" RETURN
    chmod 755 "$work"
    (cd "$work" && apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb .) >"$work/log" 2>&1 || return
    mkdir -p "$(cache_folder)"
    mv "$work/usr/bin/promtool" "$(cache_folder)/promtool"
}

# What `make lint` can do without: it says so then.
need_promtool() {
    if find_promtool >/dev/null || ! command -v apt-get >/dev/null; then return; fi
    say "fetching promtool into $(cache_folder)"
    if fetch_promtool; then return; fi
    # Its lists may be too old, or not there yet.
    if can_be_root && as_root apt-get -qq update && fetch_promtool; then return; fi
    say "promtool cannot be fetched: it is in Debian's package prometheus"
}

toolchains
if [ "${1:-}" = --lint ]; then
    need shellcheck command -v shellcheck
    install_missing
    need_promtool
    exit
fi
if [ "${1:-}" = --compose ]; then
    need docker.io command -v dockerd
    docker compose version >/dev/null 2>&1 || need docker-compose command -v docker-compose
    need debootstrap command -v debootstrap
    need slirp4netns command -v slirp4netns
    need iptables command -v iptables
    need util-linux command -v unshare
    need openssl command -v openssl
    install_missing
    exit
fi
if [ "${1:-}" = --bench ]; then
    need python3-venv python3 -c "import ensurepip, venv"
    install_missing
    exit
fi
need rabbitmq-server test -e $rabbitmq
need openssl command -v openssl
need util-linux command -v flock
need ca-certificates test -d /etc/ssl/certs
install_missing
[ -e $rabbitmq ] || die "the RabbitMQ package is there, but not $rabbitmq"
kcp=$("$here/kcp.sh")
say "set-up complete: $("$kcp" --version | awk '{print $NF}') at $kcp, RabbitMQ at $rabbitmq"
