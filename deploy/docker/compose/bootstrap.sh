#!/bin/sh
# One-shot of docker-compose.yml: makes the provider workspace and two team workspaces in kcp, applies
# deploy/kcp to them and writes a kubeconfig for each identity. May run again at any time.
set -eu
umask 077

server=${KCP_SERVER:-https://kcp:6443}
kcp_dir=${KCP_DIR:-/.kcp}          # where kcp keeps admin.kubeconfig
secrets=${SECRETS_DIR:-/secrets}   # kcp/ watcher/ teams/
manifests=${MANIFESTS_DIR:-/isc/kcp}
provider=root:org:provider
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

admin() {
    workspace=$1
    shift
    kubectl --kubeconfig "$kcp_dir/admin.kubeconfig" --server "$server/clusters/$workspace" "$@"
}

# retry WHAT COMMAND...: a fresh kcp answers 403 and 404 until its caches are filled.
retry() {
    what=$1
    shift
    tries=0
    until output=$("$@" 2>&1); do
        tries=$((tries + 1))
        if [ $tries -ge 60 ]; then
            echo "error: $what does not work: $output" >&2
            exit 1
        fi
        sleep 1
    done
    echo "$what: $output"
}

make_workspace() { # PARENT NAME TYPE
    printf 'apiVersion: tenancy.kcp.io/v1alpha1\nkind: Workspace\nmetadata: {name: %s}\nspec: {type: {name: %s, path: root}}\n' \
        "$2" "$3" >"$work/workspace.yaml"
    retry "workspace $1:$2" admin "$1" apply -f "$work/workspace.yaml"
    retry "workspace $1:$2" admin "$1" wait --for=jsonpath='{.status.phase}'=Ready "workspace/$2" --timeout=60s
}

token_of() { sed -n "s/^\([^,]*\),$1,.*/\1/p" "$secrets/kcp/tokens.csv"; }

write_kubeconfig() { # FILE WORKSPACE USER
    cat >"$1.new" <<KUBECONFIG
apiVersion: v1
kind: Config
current-context: $3
clusters:
- name: $3
  cluster:
    server: $server/clusters/$2
    certificate-authority-data: $(base64 <"$secrets/kcp/ca.crt" | tr -d '\n')
users:
- name: $3
  user: {token: $(token_of "$3")}
contexts:
- name: $3
  context: {cluster: $3, user: $3}
KUBECONFIG
    mv "$1.new" "$1"
}

make_team() { # NAME ADMIN
    make_workspace root:org "$1" universal
    cat >"$work/team.yaml" <<RBAC
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: team-admin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: $2}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: team-access}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:kcp:workspace:access"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: $2}]
RBAC
    retry "admin of $1" admin "root:org:$1" apply -f "$work/team.yaml"
    write_kubeconfig "$secrets/teams/$1.kubeconfig" "root:org:$1" "$2"
    retry "binding of $1" kubectl --kubeconfig "$secrets/teams/$1.kubeconfig" apply -f "$manifests/apibinding.yaml"
}

retry "kcp" admin root get workspaces
make_workspace root org organization
make_workspace root:org provider universal
# What limits the teams comes before the export that lets them in.
for file in rbac-consumers requester-policy params-policy rbac-controller apiresourceschema apiexport; do
    retry "$file" admin $provider apply -f "$manifests/$file.yaml"
done
write_kubeconfig "$secrets/watcher/kubeconfig" $provider isc-controller
make_team team-a alice
make_team team-b bob
for team in team-a team-b; do
    retry "binding of $team" admin root:org:$team wait --for=jsonpath='{.status.phase}'=Bound apibinding/internal.services --timeout=60s
done
echo "kcp is set up: workspaces root:org:provider, root:org:team-a (admin alice) and root:org:team-b (admin bob)"
