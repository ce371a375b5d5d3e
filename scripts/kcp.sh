#!/usr/bin/env bash
# Finds kcp of the pinned version or builds it, and prints the path of the program.
#
# A `kcp` of that version on PATH is taken; else the one in the cache folder
# ($ISCDEV_CACHE, default $XDG_CACHE_HOME/isc or ~/.cache/isc), built there when it is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

version=v0.31.2
reported=v1.35.1+kcp-$version
folder=$(cache_folder)/kcp-$version

is_right() { [ -x "$1" ] && [[ $("$1" --version 2>/dev/null) == *"$reported"* ]]; }

build_detail() {
    local downloads packages
    downloads=$(grep -c '^go: downloading' "$1" || true)
    packages=$(grep -cv '^go: ' "$1" || true)
    printf '%s modules fetched, %s of at most %s packages compiled' "$downloads" "$packages" "$total"
}

# The flags give the server the version that upstream's own build has: without them it reports one that
# some clients cannot parse. -v only lists the packages as they are compiled.
build() {
    local ld
    ld="-s -w -X k8s.io/component-base/version.gitVersion=$reported"
    ld="$ld -X k8s.io/client-go/pkg/version.gitVersion=$reported"
    cd "$here/../tools/kcp"
    CGO_ENABLED=0 go build -v -mod=readonly -trimpath -ldflags "$ld" -o "$1" github.com/kcp-dev/kcp/cmd/kcp
}

list_packages() {
    cd "$here/../tools/kcp"
    CGO_ENABLED=0 go list -deps -mod=readonly github.com/kcp-dev/kcp/cmd/kcp
}

build_into_cache() {
    command -v go >/dev/null || die "go is missing: install Go 1.26 or newer (https://go.dev/dl), it builds kcp once"
    mkdir -p "$folder"
    exec 9>"$folder/lock"
    if ! flock -n 9; then
        say "another process builds kcp; waiting for it"
        flock 9
    fi
    if is_right "$folder/kcp"; then return; fi
    say "building kcp $version into $folder (once; about 7 minutes on 2 cores)"
    with_progress "kcp: fetching sources" "$folder/list.log" no_detail list_packages
    total=$(grep -cv '^go: ' "$folder/list.log")
    rm -f "$folder/kcp.new"
    with_progress "kcp: building" "$folder/build.log" build_detail build "$folder/kcp.new"
    is_right "$folder/kcp.new" || die "the kcp that was built does not report $reported: see $folder/build.log"
    mv "$folder/kcp.new" "$folder/kcp"
}

on_path=$(command -v kcp || true)
if [ -n "$on_path" ] && is_right "$on_path"; then
    echo "$on_path"
    exit
fi
is_right "$folder/kcp" || build_into_cache
echo "$folder/kcp"
