#!/usr/bin/env bash
# Writes the schemas that scripts/check-chart.sh checks with: tools/helm/schemas/json, from Kubernetes' OpenAPI and the
# CRDs of KEDA and cert-manager, which are in their Go modules. Needed only for another version or another kind.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

# Kubernetes 1.35, as kcp has it.
kubernetes=github.com/kcp-dev/kubernetes@v0.0.0-20260401063412-ba4f7d493d5b
keda=github.com/kedacore/keda/v2@v2.21.0
cert_manager=github.com/cert-manager/cert-manager@v1.21.2

# folder_of MODULE: fetches it where it is not there yet.
folder_of() { GOFLAGS=-mod=mod go mod download -json "$1" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p'; }

cd "$here/../tools/helm"
say "fetching the sources"
crds=$(folder_of $keda)/config/crd/bases
certificates=$(folder_of $cert_manager)/deploy/crds/cert-manager.io_certificates.yaml
swagger=$(folder_of $kubernetes)/api/openapi-spec/swagger.json
say "writing tools/helm/schemas/json"
rm -f schemas/json/*.json
go run ./schemas schemas/json "$swagger" "$crds/keda.sh_scaledobjects.yaml" \
    "$crds/keda.sh_triggerauthentications.yaml" "$certificates"
