#!/usr/bin/env bash
# Checks that the tools accept what is in deploy/ and docker-compose.yml, that the chart does what its tests say, and
# that the kustomize base is what the chart renders. A tool that is not installed is named and its check skipped; with
# --strict that is an error. helm, kubeconform and kustomize are built once (scripts/setup-helm.sh) where Go is there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

strict=no
[ "${1:-}" = --strict ] && strict=yes
skipped=()
failed=()
tools=
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT

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

# helm, kubeconform and kustomize of the pinned versions, where they are built or can be.
find_tools() {
    if "$here/setup-helm.sh" --only-built >/dev/null || command -v go >/dev/null; then
        tools=$("$here/setup-helm.sh")
    fi
}

kustomizations() {
    local build
    if [ -n "$tools" ]; then
        build=("$tools/kustomize" build)
    elif command -v kubectl >/dev/null; then
        build=(kubectl kustomize)
    else
        skip "deploy/kustomize" "kustomize is not built yet, Go is not installed to build it, and neither is kubectl"
        return
    fi
    local file
    for file in deploy/kustomize/base deploy/kustomize/overlays/*/; do
        file=${file%/}
        check "$file" built "$work/$(basename "$file").yaml" "${build[@]}" "$file"
    done
}

built() { # FILE COMMAND...: the command's output, in the file
    local file=$1
    shift
    "$@" >"$file.new" && mv "$file.new" "$file"
}

# Whether pods start again is told by an annotation: for what a watcher reads while it runs they must not.
pods_start_again() {
    local watcher worker
    local changed=(--set 'policy.rules=null,watcher.config.pause.all=true,workers.more.slots=1')
    changed+=(--set 'policy.requesterPolicyInstalled=true,watcher.config.tenants.waiting=5,services.echo\.yaml=changed')
    watcher=$(checksum watcher.yaml)
    worker=$(checksum worker.yaml | head -n 1)
    if [ "$watcher" != "$(checksum watcher.yaml "${changed[@]}")" ]; then
        echo "watchers start again for policy, pauses, pools or services"
    elif [ "$watcher" = "$(checksum watcher.yaml --set watcher.config.window=9)" ]; then
        echo "watchers do not start again for the rest of their configuration"
    elif [ "$worker" = "$(checksum worker.yaml "${changed[@]}" | head -n 1)" ]; then
        echo "workers do not start again for services"
    else
        return 0
    fi
    return 1
}

checksum() { # TEMPLATE VALUE...
    "$tools/helm" template isc deploy/helm/isc --show-only "templates/$1" "${@:2}" | grep checksum/config
}

# Kubernetes itself would refuse what these schemas do; kcp's own kinds are applied to a kcp by the tests.
schemas() {
    local found='tools/helm/schemas/json/{{.ResourceKind}}{{.KindSuffix}}.json'
    "$tools/kubeconform" -strict -summary -schema-location "$found" \
        -skip APIBinding,APIExport,APIResourceSchema,CustomResourceDefinition "$@"
}

chart() {
    if [ -z "$tools" ]; then
        skip deploy/helm "helm is not built yet, and Go is not installed to build it"
        return
    fi
    check "the chart, by helm lint" "$tools/helm" lint --strict deploy/helm/isc
    check "the chart's tests" "$tools/helm-unittest" --strict deploy/helm/isc
    check "when pods start again" pods_start_again
    local values name
    for values in deploy/helm/isc/values.yaml deploy/helm/isc/ci/*.yaml; do
        name=$(basename "$values" .yaml)
        check "the chart with $name.yaml" built "$work/chart-$name.yaml" \
            "$tools/helm" template isc deploy/helm/isc --namespace internal-services --values "$values"
    done
    check "schemas of deploy/" schemas "$work"/*.yaml deploy/kcp deploy/kinds/*/rbac.yaml deploy/kubernetes
    check "the kustomize base is what the chart renders" "$here/render-base.sh" --check
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
find_tools
kustomizations
chart
compose_file
check "files that containers use" mounted_files

[ ${#failed[@]} -eq 0 ] || die "wrong: ${failed[*]}"
[ "$strict" = no ] || [ ${#skipped[@]} -eq 0 ] || die "not checked: ${skipped[*]}"
