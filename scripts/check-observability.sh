#!/usr/bin/env bash
# Has promtool check and test the alert rules. Without promtool that is skipped; with --strict it is an error.
# (That dashboard and rules ask for metrics that exist is a test: tests/tests/observability.rs.)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/../deploy/observability"

if ! promtool=$(find_promtool); then
    how="promtool is not installed: run scripts/setup.sh --lint, or install it (apt-get install prometheus)"
    [ "${1:-}" != --strict ] || die "$how"
    printf '    skipped  deploy/observability: %s\n' "$how" >&2
    exit
fi
"$promtool" check rules alerts.yaml >&2
"$promtool" test rules alerts.test.yaml >&2
