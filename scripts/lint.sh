#!/usr/bin/env bash
# Everything that can be said about the code without running it. Ends at the first complaint.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

generated_files_are_current() {
    local fresh file
    fresh=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$fresh'" RETURN
    cargo run -q -p isc-watcher --bin crdgen -- "$fresh"
    while read -r file; do
        diff -u "deploy/$file" "$fresh/$file" || die "deploy/$file is not what the types say: run \`make gen\`"
    done < <(cd "$fresh" && find . -type f | sort)
}

# Each manifest must name all that its crate needs: features of the others are not there then.
each_crate_alone() {
    local manifest
    for manifest in */Cargo.toml; do
        cargo check -q --all-targets -p "$(sed -nE 's/^name = "(.*)"/\1/p' "$manifest" | head -n 1)"
    done
}

dependencies() {
    if command -v cargo-deny >/dev/null; then
        cargo deny --all-features check bans licenses sources
    else
        say "skipped: cargo-deny is not installed (cargo install --locked cargo-deny takes several minutes)"
    fi
}

say "cargo fmt"
cargo fmt --all --check
say "clippy"
cargo clippy -q --workspace --all-targets -- -D warnings
say "cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc -q --workspace --no-deps --document-private-items
say "each crate alone"
each_crate_alone
say "generated files"
generated_files_are_current
say "shellcheck"
"$here/setup.sh" --lint
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x
say "deploy/ and docker-compose.yml"
"$here/check-deploy.sh"
say "alert rules"
"$here/check-observability.sh"
say "cargo deny"
dependencies
say "lint is clean"
