#!/usr/bin/env bash
# Runs the upgrade test with the programs of an earlier commit as the old version: by default the one before the
# last. They are built in target/upgrade, from a work tree there.
#   scripts/upgrade-test.sh [COMMIT]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

old=$(git rev-parse --verify --quiet "${1:-HEAD~1}^{commit}") || die "there is no commit ${1:-HEAD~1}"
tree=$PWD/target/upgrade/tree
mkdir -p target/upgrade
git worktree prune
rm -rf "$tree"
git worktree add --quiet --force --detach "$tree" "$old"
trap 'git worktree remove --force "$tree"' EXIT
say "building the old version, $(git log -1 --format='%h %s' "$old")"
(cd "$tree" && CARGO_TARGET_DIR=$PWD/../build cargo build -q -p isc-watcher -p isc-worker --bins)
say "upgrading from it, and back"
ISCDEV_OLD_BIN=$PWD/target/upgrade/build/debug target/debug/isc-dev test -- \
    cargo test --workspace --test upgrade
