#!/usr/bin/env bash
# Renders from the Helm chart what the kustomize base, and its components, share with it. What is not rendered:
# the kustomization files, and the patches of the components.
#
# usage: scripts/render-base.sh [--check]     --check: only says what differs, and fails then
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."
tools=$("$here/setup-helm.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# render TEMPLATE VALUE...: without what only a release of Helm has. kustomize puts the namespace in.
render() {
    local template=$1
    shift
    "$tools/helm" template isc deploy/helm/isc --namespace internal-services --show-only "templates/$template" "$@" |
        sed -e '/^# Source: /d' -e '/managed-by: Helm$/d' -e '/helm.sh\/chart:/d' \
            -e '/checksum\/config:/d' -e '/^ *namespace: internal-services$/d'
}

# into FOLDER KIND=FILE...: each object into the file of its kind.
into() {
    mkdir -p "$work/$1"
    awk -v folder="$work/$1" -v kinds="${*:2}" '
        function flush(   file) {
            if (text == "") return
            if (!(kind in files)) { print "no file for " kind > "/dev/stderr"; exit 1 }
            file = folder "/" files[kind]
            sub(/\n+$/, "\n", text)
            if (file in begun) printf "---\n" > file
            else print "# Rendered from deploy/helm/isc by `make gen`: do not edit." > file
            begun[file] = 1
            printf "%s", text > file
            text = ""
        }
        BEGIN { n = split(kinds, all, " "); for (i = 1; i <= n; i++) { split(all[i], one, "="); files[one[1]] = one[2] } }
        /^---$/ { flush(); next }
        /^kind: / { kind = $2 }
        { text = text $0 "\n" }
        END { flush() }'
}

# The files in the ConfigMaps.
files_into() {
    mkdir -p "$work/$1/config" "$work/$1/services"
    awk -v folder="$work/$1" '
        /^  name: / { to = folder ($2 == "isc-services" ? "/services/" : "/config/") }
        /^  [^ ]+: \|$/ { file = to substr($1, 1, length($1) - 1); next }
        /^    / && file != "" { print substr($0, 5) > file; next }
        { file = "" }'
    chmod +x "$work/$1"/services/*.sh
}

say "rendering deploy/kustomize from deploy/helm/isc"
render serviceaccounts.yaml | into base ServiceAccount=serviceaccounts.yaml
render watcher.yaml | into base Deployment=watcher.yaml Service=watcher.yaml
render worker.yaml | into base Deployment=worker.yaml
render disruption.yaml | into base PodDisruptionBudget=disruption.yaml
render networkpolicies.yaml | into base NetworkPolicy=networkpolicies.yaml
render configmaps.yaml | files_into base
render election.yaml --set watcher.replicas=2 | into components/election \
    Role=rbac.yaml RoleBinding=rbac.yaml PodDisruptionBudget=disruption.yaml NetworkPolicy=networkpolicy.yaml
render keda.yaml --set worker.keda.enabled=true | into components/keda Service=service.yaml \
    NetworkPolicy=networkpolicy.yaml ScaledObject=scaledobject.yaml TriggerAuthentication=triggerauthentication.yaml

status=0
while read -r file; do
    if [ "${1:-}" != --check ]; then
        install -D -m "$(stat -c %a "$work/$file")" "$work/$file" "deploy/kustomize/$file"
    elif ! diff -u "deploy/kustomize/$file" "$work/$file"; then
        status=1
        echo "deploy/kustomize/$file is not what the chart says: run \`make gen\`" >&2
    fi
done < <(cd "$work" && find . -type f | sed 's|^\./||' | sort)
exit $status
