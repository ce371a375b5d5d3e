#!/usr/bin/env bash
# Puts Celery, which the benchmark compares with, into a Python environment of its own in the cache folder,
# and prints where that is.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

wanted=$here/../bench/peers/celery/requirements.txt
venv=$(cache_folder)/celery-$(sha256sum "$wanted" | cut -c1-12)

install() {
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --disable-pip-version-check -r "$wanted"
}

if [ ! -e "$venv/complete" ]; then
    "$here/setup.sh" --bench
    log=$(mktemp -d)/pip.log
    with_progress "Celery" "$log" no_detail install
    rm -rf "$(dirname "$log")"
    touch "$venv/complete"
fi
echo "$venv"
