#!/usr/bin/env bash
# Runs docker-compose.yml as it is, from the building of the images to `down -v`, in a Docker daemon of its own
# that is gone afterwards. Public images are not pulled: see docs/testing.md.
#
# usage: sudo scripts/compose-test.sh     where it cannot be done it says why and exits with 0
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."
# shellcheck source=scripts/compose/daemon.sh
. "$here/compose/daemon.sh"
# shellcheck source=scripts/compose/standins.sh
. "$here/compose/standins.sh"
# shellcheck source=scripts/compose/look.sh
. "$here/compose/look.sh"
# shellcheck source=scripts/compose/acts.sh
. "$here/compose/acts.sh"

project=isc-compose-test
cache=$(cache_folder)/compose-test
logs=$PWD/target/compose-test

skip() {
    printf 'skipped: %s\n' "$*" >&2
    exit 0
}

requirements() {
    [ "$(uname -s)" = Linux ] || skip "it needs Linux"
    [ "$(id -u)" -eq 0 ] || skip "it starts a Docker daemon, so it must be root: sudo -E env PATH=\"\$PATH\" make compose-test"
    "$here/setup.sh" --compose || skip "what it needs is not installed (above)"
    local program
    for program in cargo rustc kubectl; do
        command -v $program >/dev/null || skip "$program is missing: it goes into an image"
    done
    [[ $(ldd "$(readlink -f "$(command -v kubectl)")" 2>&1) == *"not a dynamic"* ]] ||
        skip "kubectl is not linked statically, so the image that gets it could not run it"
    [[ $(rustc --version) == "rustc $rust_version "* ]] || skip "the Dockerfile wants Rust $rust_version, here is $(rustc --version)"
    mkdir -p "$cache" "$logs"
    [ "$(df --output=avail -k "$cache" | tail -n 1)" -gt 9000000 ] || skip "it needs 9 GB of free disk in $cache"
    kcp=$("$here/kcp.sh") || skip "there is no kcp (above)"
}

# A client that can build with BuildKit: that of 20.10 has it built in, later ones need the plugin buildx.
choose_client() {
    local candidate
    for candidate in $(type -ap docker | uniq); do
        if [[ $("$candidate" --version) == *" 20.10."* ]] || "$candidate" buildx version >/dev/null 2>&1; then
            mkdir "$run/bin"
            ln -s "$candidate" "$run/bin/docker"
            PATH=$run/bin:$PATH
            export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
            return
        fi
    done
    skip "no docker client here can build with BuildKit: install the plugin buildx"
}

choose_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose_program=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose_program=(docker-compose)
    else
        skip "neither docker-compose (1.29 or newer) nor Docker's compose plugin is installed"
    fi
}

# Whatever ends the script: the daemon, its containers and its files go.
clean_up() {
    local status=$?
    trap - EXIT
    if [ $status -ne 0 ] && [ -n "${DOCKER_HOST:-}" ]; then
        compose ps --all || true
        compose logs --no-color >"$logs/containers.log" 2>&1 || true
        say "the logs of the containers are in $logs/containers.log"
    fi >&2
    stop_daemon
    rm -rf "$run"
    exit $status
}

images() {
    with_progress "stand-ins for the public images" "$logs/standins.log" no_detail load_standins
    with_progress "the crates" "$logs/crates.log" no_detail load_rust
    with_progress "docker-compose build" "$logs/build.log" no_detail compose build
    with_progress "keeping what was compiled" "$logs/compiled.log" no_detail keep_compiled
    docker images --format '    {{.Repository}}:{{.Tag}} {{.Size}}' >&2
}

requirements
run=$(mktemp -d "$cache/run.XXXXXX")
trap clean_up EXIT
choose_client
choose_compose
say "starting a Docker daemon of its own"
start_daemon "$run/docker" || { tail -n 3 "$run/docker/dockerd.log" >&2; skip "a Docker daemon does not start here (above)"; }
say "building the images: $rust_image, $debian_image, $kcp_image and $rabbitmq_image are stand-ins"
images
act_first_start
act_containment
act_requests
act_scale
act_killed_worker
act_crashed_watcher
act_killed_rabbitmq
act_killed_kcp
act_restarts
act_own_image
act_down
say "docker-compose.yml does what docs/operations.md says ($(clock $SECONDS))"
