#!/usr/bin/env bash
# Checks that the tools accept what is in deploy/ and docker-compose.yml. A tool that is not installed is
# named and its check skipped; with --strict that is an error.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

strict=no
[ "${1:-}" = --strict ] && strict=yes
skipped=()
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# check NAME COMMAND...: the command's output is shown only when it fails.
check() {
    local name=$1
    shift
    if "$@" >"$log" 2>&1; then
        printf '    ok       %s\n' "$name" >&2
    else
        failed+=("$name")
        printf '    FAILED   %s\n' "$name" >&2
        tail -n 20 "$log" >&2
    fi
}

skip() { # NAME WHAT-IS-MISSING
    skipped+=("$1")
    printf '    skipped  %s: %s\n' "$1" "$2" >&2
}

kustomizations() {
    if command -v kubectl >/dev/null; then
        build=(kubectl kustomize)
    elif command -v kustomize >/dev/null; then
        build=(kustomize build)
    else
        skip "deploy/kustomize" "neither kubectl nor kustomize is installed"
        return
    fi
    local file
    for file in deploy/kustomize/base deploy/kustomize/overlays/*/; do
        check "${file%/}" "${build[@]}" "$file"
    done
}

compose_file() {
    if command -v docker-compose >/dev/null; then
        check docker-compose.yml docker-compose --file docker-compose.yml --profile cli config
    elif docker compose version >/dev/null 2>&1; then
        check docker-compose.yml docker compose --file docker-compose.yml --profile cli config
    else
        skip docker-compose.yml "neither docker-compose (1.29 or newer) nor docker's compose plugin is installed"
    fi
}

# Container files name host files: those must be there, and the programs among them executable.
mounted_files() {
    local source missing=0
    while read -r source; do
        [ -e "$source" ] || { echo "docker-compose.yml mounts $source, which is not there"; missing=1; }
    done < <(sed -n 's|^ *- \(\./[^:]*\):.*|\1|p' docker-compose.yml | sort -u)
    while read -r source; do
        [ -x "$source" ] || { echo "$source must be executable"; missing=1; }
    done < <(find deploy services -name '*.sh')
    return $missing
}

say "checking the deployment files"
kustomizations
compose_file
check "files that containers use" mounted_files

[ ${#failed[@]} -eq 0 ] || die "wrong: ${failed[*]}"
[ "$strict" = no ] || [ ${#skipped[@]} -eq 0 ] || die "not checked: ${skipped[*]}"
