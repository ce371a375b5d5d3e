# shellcheck shell=bash
# What `make compose-test` shows, one act each. They build on each other.
# shellcheck disable=SC2154,SC2317  # run, logs and worker are set elsewhere; `expect` calls functions

act_first_start() {
    say "the first start: docker-compose up --scale worker=2"
    up 2 || { tail -n 30 "$logs/up.log" >&2; die "docker-compose up failed"; }
    expect "kcp, RabbitMQ, watcher and two workers are healthy" healthy 2
    local service
    for service in secrets bootstrap; do
        expect "$service ended with 0" same "$(of $service .State.ExitCode)" 0
    done
    expect "in that order: secrets, kcp, bootstrap, watcher" in_order
    for service in kcp rabbitmq watcher; do
        expect "$service started once" same "$(of $service .RestartCount)" 0
    done
}

in_order() {
    local times
    times=$(of secrets .State.FinishedAt; of kcp .State.StartedAt; of bootstrap .State.StartedAt
        of bootstrap .State.FinishedAt; of watcher .State.StartedAt)
    printf '%s\n' "$times"
    LC_ALL=C sort --check <<<"$times"
}

act_containment() {
    say "what the containers may do"
    local worker service id
    for service in watcher worker; do
        id=$(ids $service | head -n 1)
        expect "$service: not root, no capability, none to be gained" harmless "$id"
        expect "$service: its root file system is read-only" read_only "$id"
        expect "$service: its image has the labels" labelled "$id"
    done
    worker=$(ids worker | head -n 1)
    expect "the watcher reaches kcp" reach "$(ids watcher)" kcp/6443
    expect "a worker does not" fails reach "$worker" kcp/6443
    expect "RabbitMQ does not" fails reach "$(ids rabbitmq)" kcp/6443
    expect "no port is open on the host" same "$(docker ps --format '{{.Ports}}' | grep -c -- '->')" 0
    expect "no secret is in what docker shows of the containers" fails secret_in_inspect
}

harmless() { # ID
    docker exec "$1" cat /proc/1/status >"$run/status"
    same "$(grep -cE '^(Uid:\s65532|Cap(Eff|Bnd):\s0+$|NoNewPrivs:\s1)' "$run/status")" 4
}

read_only() { docker exec "$1" sh -c 'touch /etc/isc/x 2>&1 | grep "Read-only file system"'; } # ID

labelled() { # ID
    local label
    for label in title description version licenses; do
        docker inspect --format "{{json .Config.Labels}}" "$1" | grep "org.opencontainers.image.$label\":\"[^\"]" || return 1
    done
}

reach() { timeout 5 docker exec "$1" bash -c "exec 3<>/dev/tcp/$2"; } # ID HOST/PORT

# The files of the volumes with secrets, against configuration and environment of all containers and images.
secret_in_inspect() {
    local words
    words=$(docker exec "$(ids worker | head -n 1)" sed -nE 's|.*//[^:]*:([^@]+)@.*|\1|p' /run/isc/amqp-url
        echo
        compose run --rm -T --entrypoint /busybox/sed team-a -nE 's/.*token: ([^}]+)}.*/\1/p' /secrets/teams/team-a.kubeconfig 2>/dev/null)
    [ "$(wc -w <<<"$words")" -eq 2 ] || return 0
    # shellcheck disable=SC2046  # each is a word
    docker inspect $(docker ps --all --quiet) $(docker images --quiet) | grep -F "$(xargs -n 1 <<<"$words")"
}

act_requests() {
    say "requests of two teams"
    { request team-a sign-1 sign "$(sign_params README.md)"; request team-a rocket launch '{}'
        request team-a publish-1 publish "$(publish_params Cargo.lock Cargo.lock)"; } | ask team-a
    request team-b sign-1 sign "$(sign_params Makefile)" | ask team-b
    expect "team-a/sign-1 succeeds" succeeds team-a sign-1
    expect "team-b/sign-1 succeeds" succeeds team-b sign-1
    expect "team-a/publish-1 succeeds" succeeds team-a publish-1
    expect "openssl verifies both signatures" signatures_verify
    expect "the file was published whole" same "$(field team-a publish-1 .status.result.sha256)" "$(sha256sum Cargo.lock | cut -d' ' -f1)"
    expect "an unknown service is rejected" phase_is team-a rocket Rejected
    expect "alice cannot speak for bob" cannot_spoof
}

cannot_spoof() {
    fails apply team-a <<<"$(request team-b spoof sign "$(sign_params README.md)")" &&
        grep "must be your own user name" "$logs/kubectl.log"
}

verifies() { # TEAM REQUEST FILE
    field "$1" "$2" .status.result.signature | base64 -d >"$run/signature"
    openssl dgst -sha256 -verify "$run/sign.pub" -signature "$run/signature" "$3"
}

signatures_verify() {
    compose run --rm -T --entrypoint /busybox/cat team-a /secrets/teams/sign.pub 2>/dev/null >"$run/sign.pub"
    verifies team-a sign-1 README.md && verifies team-b sign-1 Makefile && fails verifies team-b sign-1 README.md
}

act_scale() {
    say "docker-compose up --scale worker=5"
    local watcher started number
    watcher=$(ids watcher) started=$(of watcher .State.StartedAt)
    up 5
    expect "five workers are healthy" healthy 5
    expect "the watcher is the one of before" same "$(ids watcher) $(of watcher .State.StartedAt)" "$watcher $started"
    for number in $(seq 30); do request team-b "crowd-$number" publish "$(publish_params "crowd-$number")"; done | ask team-b
    expect "30 requests succeed" crowd_succeeds
    expect "each of the five workers served some of them" same "$(workers_of team-b | sort -u | wc -l)" 5
}

workers_of() { kubectl_of "$1" get isr -o 'jsonpath={range .items[*]}{.status.worker}{"\n"}{end}'; } # TEAM

crowd_succeeds() {
    kubectl_of team-b wait --for=jsonpath='{.status.phase}'=Succeeded isr --all --timeout=180s
}

act_killed_worker() {
    say "docker kill of the worker that runs a job"
    start_job killed-worker
    docker kill "$worker" >/dev/null
    expect "the request succeeds" succeeds team-a killed-worker 120
    expect "in its second attempt" same "$(field team-a killed-worker .status.attempt)" 2
    expect "the first having been lost, not failed" same "$(field team-a killed-worker .status.lost)" 1
    expect "on another worker" fails same "$(field team-a killed-worker .status.worker)" "${worker:0:12}"
    up 5
    expect "docker-compose up brings the worker back" healthy 5
}

act_crashed_watcher() {
    say "the watcher crashes while a job runs"
    start_job crashed-watcher
    crash watcher
    expect "the job goes on" has_job "$worker"
    expect "Docker starts it again" eventually 60 restarted watcher
    expect "the request succeeds" succeeds team-a crashed-watcher
    expect "in its first attempt" same "$(field team-a crashed-watcher .status.attempt)" 1
    expect "all are healthy" healthy 5
}

restarted() { [ "$(of "$1" .RestartCount)" -eq 1 ] && all_healthy "$1" 1; }

act_killed_rabbitmq() {
    say "docker kill of rabbitmq while a job runs"
    start_job killed-rabbitmq
    docker kill "$(ids rabbitmq)" >/dev/null
    expect "the job goes on" has_job "$worker"
    request team-b without-rabbitmq sign "$(sign_params README.md)" | ask team-b
    expect "the request whose job runs succeeds without it" succeeds team-a killed-rabbitmq
    expect "in its first attempt" same "$(field team-a killed-rabbitmq .status.attempt)" 1
    expect "a new one waits" fails finished team-b without-rabbitmq 5
    up 5
    expect "docker-compose up brings rabbitmq back" healthy 5
    expect "the one that waited succeeds" succeeds team-b without-rabbitmq
}

act_killed_kcp() {
    say "docker kill of kcp while a job runs"
    start_job killed-kcp
    docker kill "$(ids kcp)" >/dev/null
    expect "the job goes on" has_job "$worker"
    expect "the job ends without it" eventually 60 docker exec "$worker" bash -c 'ls /store/*/killed-kcp'
    up 5
    expect "docker-compose up brings kcp back" healthy 5
    expect "the request has succeeded" succeeds team-a killed-kcp
    expect "in its first attempt" same "$(field team-a killed-kcp .status.attempt)" 1
    request team-b after-kcp sign "$(sign_params README.md)" | ask team-b
    expect "a new one succeeds" succeeds team-b after-kcp
}

# what_is_kept: all requests with their ends, the public key, and who the provider is.
what_is_kept() {
    local team
    for team in team-a team-b; do
        kubectl_of $team get isr -o 'jsonpath={range .items[*]}{.metadata.uid} {.metadata.name} {.status}{"\n"}{end}' | sort
    done
    compose run --rm -T --entrypoint /busybox/cat team-a /secrets/teams/sign.pub 2>/dev/null
}

act_restarts() {
    say "docker-compose stop and down, and up again"
    local before
    before=$(what_is_kept)
    compose stop >>"$logs/up.log" 2>&1
    expect "watcher and workers end by themselves when told to" same \
        "$(for id in $(ids watcher) $(ids worker); do docker inspect --format '{{.State.ExitCode}}' "$id"; done | sort -u)" 0
    up 5
    expect "after stop and up all are healthy" healthy 5
    expect "every request, result and key is as it was" same "$(what_is_kept)" "$before"
    compose down >>"$logs/up.log" 2>&1
    up 2
    expect "after down and up all are healthy" healthy 2
    expect "every request, result and key is as it was" same "$(what_is_kept)" "$before"
    request team-a afterwards sign "$(sign_params README.md)" | ask team-a
    expect "a new request succeeds" succeeds team-a afterwards
    expect "its signature is by the same key" verifies team-a afterwards README.md
}

# fenced LANGUAGE FILE MARK: the block of a document in that language that has MARK in it.
fenced() {
    awk -v fence="\`\`\`$1" -v mark="$3" '$0 == fence {block = ""; inside = 1; next}
        /^```$/ {if (inside && index(block, mark)) {printf "%s", block; exit} inside = 0}
        inside {block = block $0 "\n"}' "$2"
}

act_own_image() {
    say "an image of one's own, as docs/operations.md and the README say"
    local own=$run/own
    mkdir -p "$own/services"
    fenced dockerfile docs/operations.md "FROM isc-worker" >"$own/Dockerfile"
    fenced yaml README.md "hello.sh" >"$own/services/hello.yaml"
    fenced sh README.md "ISC_RESULT" >"$own/services/hello.sh"
    chmod +x "$own/services/hello.sh"
    echo '{"name": "Ada"}' >"$own/params.json"
    expect "it is built on the image of the worker" own_image "$own"
    expect "its service greets" greets "$own"
}

own_image() {
    docker build --quiet --file deploy/docker/Dockerfile --target worker --tag isc-worker . &&
        docker build --quiet --tag my-worker "$1"
}

greets() {
    docker run --rm --read-only --cap-drop ALL --tmpfs /tmp:exec,mode=1777 -v "$1/params.json:/params.json:ro" \
        my-worker run --service hello --params /params.json --services-dir /etc/isc/services | grep '"hello, Ada"'
}

act_down() {
    say "docker-compose down -v"
    compose down --volumes >>"$logs/up.log" 2>&1
    expect "no container, volume or network is left" same \
        "$(docker ps --all --quiet; docker volume ls --quiet; docker network ls --quiet --filter type=custom)" ""
}
