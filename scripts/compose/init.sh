#!/usr/bin/env bash
# Process 1 of the namespaces in which scripts/compose/daemon.sh runs dockerd, which gets the arguments: dockerd
# itself would not reap what containers leave behind.
set -euo pipefail

# An empty /run hides a containerd of the machine, which dockerd would use otherwise.
mount -t tmpfs tmpfs /run
dockerd "$@" &
dockerd=$!
trap 'kill -TERM $dockerd' TERM
# The first wait ends with the signal.
wait $dockerd || wait $dockerd
