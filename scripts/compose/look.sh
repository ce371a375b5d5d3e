# shellcheck shell=bash
# How the acts look at the environment and touch it.
# shellcheck disable=SC2154,SC2034  # compose_program, project, run and logs are set elsewhere; `worker` is used elsewhere

compose() { "${compose_program[@]}" --project-name "$project" --file docker-compose.yml "$@"; }

# up COUNT: as a user would, with that many workers.
up() { compose up --detach --scale worker="$1" >>"$logs/up.log" 2>&1; }

# ids SERVICE: its containers, running or not, without those of `run`.
ids() {
    docker ps --all --no-trunc --format '{{.ID}}' --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False
}

# of SERVICE FIELD: what docker says of its only container.
of() { docker inspect --format "{{$2}}" "$(ids "$1")"; }

# eventually SECONDS COMMAND...
eventually() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.5
    done
}

ok() { printf '  ok      %s\n' "$*"; }

# expect WHAT COMMAND...: says what holds, or ends the test.
expect() {
    local what=$1
    shift
    "$@" >"$logs/last.log" 2>&1 || { tail -n 20 "$logs/last.log" >&2; die "this does not hold: $what"; }
    ok "$what"
}

same() { [ "$1" = "$2" ] || { echo "got: $1"; echo "not: $2"; return 1; }; }
fails() { ! "$@"; }

all_healthy() { # SERVICE COUNT
    local id count=0
    for id in $(ids "$1"); do
        [ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" = healthy ] || return 1
        count=$((count + 1))
    done
    [ "$count" -eq "$2" ]
}

healthy() { # WORKERS
    local service
    for service in kcp rabbitmq watcher; do eventually 180 all_healthy $service 1 || { echo "$service"; return 1; }; done
    eventually 60 all_healthy worker "$1" || { echo worker; return 1; }
}

# kubectl TEAM ARGUMENT...: as the compose file offers it.
kubectl_of() {
    local team=$1
    shift
    compose run --rm -T "$team" "$@" 2>>"$logs/kubectl.log" </dev/null
}

user_of() { if [ "$1" = team-a ]; then echo alice; else echo bob; fi; }

# The document of one request: TEAM NAME SERVICE PARAMS
request() {
    printf -- '---\napiVersion: internal.services/v1alpha1\nkind: Request\nmetadata: {name: %s}\nspec: {service: %s, requester: %s, params: %s}\n' \
        "$2" "$3" "$(user_of "$1")" "$4"
}

apply() { compose run --rm -T "$1" apply -f - >>"$logs/kubectl.log" 2>&1; } # TEAM

# ask TEAM: the documents come on the standard input; again while the API server is too busy for them.
ask() {
    cat >"$run/documents"
    for _ in 1 2 3 4 5; do
        apply "$1" <"$run/documents" && return 0
        sleep 2
    done
    tail -n 5 "$logs/kubectl.log" >&2
    die "kcp does not take the requests of $1"
}

# Any file is published in eight seconds.
publish_params() { printf '{name: "%s", content: "%s"}' "$1" "$(base64 -w 0 "${2:-Makefile}")"; } # NAME [FILE]
sign_params() { printf '{digest: "sha256:%s"}' "$(sha256sum "$1" | cut -d' ' -f1)"; }

field() { kubectl_of "$1" get "isr/$2" -o "jsonpath={$3}"; } # TEAM NAME PATH
phase_is() { same "$(field "$1" "$2" .status.phase)" "$3"; } # TEAM NAME PHASE
finished() { kubectl_of "$1" wait --for=condition=Finished "isr/$2" --timeout="${3:-90}s"; } # TEAM NAME [SECONDS]

has_job() { docker top "$1" -eo pid,args | grep '[p]ublish\.sh'; } # WORKER

worker_with_job() {
    local id
    for id in $(ids worker); do has_job "$id" >/dev/null && echo "$id" && return 0; done
    return 1
}

# start_job NAME: team-a asks for it; sets `worker` to the container that runs it. A job takes eight seconds, and so
# may kubectl on a slow machine: it is not waited for.
start_job() {
    request team-a "$1" publish "$(publish_params "$1")" | apply team-a &
    eventually 90 worker_with_job || die "no worker runs team-a/$1: see $logs/kubectl.log"
    worker=$(worker_with_job) || die "the job of team-a/$1 ended too soon"
}

succeeds() { finished "$@" && phase_is "$1" "$2" Succeeded; }

# crash SERVICE: its process dies as of itself, so that Docker's restart policy is what brings it back.
crash() { in_daemon kill -KILL "$(of "$1" .State.Pid)"; }
