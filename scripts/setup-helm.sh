#!/usr/bin/env bash
# Finds helm, helm-unittest, kubeconform and kustomize of the pinned versions (tools/helm/go.mod) or builds them, and prints
# the folder of the programs: in the cache folder, as kcp's (scripts/kcp.sh).
#
# usage: scripts/setup-helm.sh [--only-built]     --only-built: fails where they are not there yet
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

programs=(helm helm-unittest kubeconform kustomize)
packages=(
    helm.sh/helm/v3/cmd/helm
    github.com/helm-unittest/helm-unittest/cmd/helm-unittest
    github.com/yannh/kubeconform/cmd/kubeconform
    sigs.k8s.io/kustomize/kustomize/v5
)
# Minor version, as in tools/helm/schemas.
kubernetes=35
modules=$here/../tools/helm
# What is pinned names the folder, so that another version is another folder.
folder=$(cache_folder)/helm-$(cat "$modules/go.mod" "$modules/go.sum" | sha256sum | cut -c1-12)

are_there() {
    local program
    for program in "${programs[@]}"; do
        [ -x "$folder/$program" ] || return 1
    done
}

# The flags say what Kubernetes a chart is rendered for when none is asked, as upstream's own build does; without
# them it is 1.20.
build() {
    local ld="-s -w" package=helm.sh/helm/v3/pkg
    for package in $package/chartutil $package/lint/rules; do
        ld="$ld -X $package.k8sVersionMajor=1 -X $package.k8sVersionMinor=$kubernetes"
    done
    cd "$modules"
    CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "$ld" -o "$1/" "${packages[@]}"
}

build_into_cache() {
    mkdir -p "$folder"
    exec 9>"$folder/lock"
    if ! flock -n 9; then
        say "another process builds helm; waiting for it"
        flock 9
    fi
    if are_there; then return; fi
    say "building ${programs[*]} into $folder (once; about 3 minutes on 2 cores)"
    rm -rf "$folder/new"
    with_progress "helm: building" "$folder/build.log" no_detail build "$folder/new"
    mv "$folder/new"/* "$folder/"
    rmdir "$folder/new"
}

if ! are_there; then
    if [ "${1:-}" = --only-built ]; then exit 1; fi
    command -v go >/dev/null || die "go is missing: install Go 1.26 or newer (https://go.dev/dl), it builds helm once"
    build_into_cache
fi
echo "$folder"
