#!/usr/bin/env bash
# params: {"name": "<file name>", "content": "<base64>"}
# result: {"uri", "sha256", "bytes"}
#
# The store is a folder here; the pauses stand for a slow line to a real one.
set -euo pipefail

name=$(sed -nE 's/.*"name": ?"([A-Za-z0-9][A-Za-z0-9._-]*)".*/\1/p' "$ISC_PARAMS")
sed -nE 's/.*"content": ?"([A-Za-z0-9+\/=]+)".*/\1/p' "$ISC_PARAMS" | base64 -d >file
if [ -z "$name" ] || [ ! -s file ]; then
    echo 'params.name must be a plain file name and params.content base64' >&2
    exit 65
fi

# One folder per workspace: two teams may publish the same name.
store=$PUBLISH_DIR/$ISC_CLUSTER
mkdir -p "$store"
partial=$store/.$ISC_UID.$ISC_ATTEMPT
trap 'rm -f "$partial"' EXIT
: >"$partial"

parts=20
bytes=$(stat -c %s file)
size=$(((bytes + parts - 1) / parts))
exec 3>"$ISC_PROGRESS"
for ((part = 0; part < parts; part++)); do
    dd if=file bs="$size" skip="$part" count=1 status=none >>"$partial"
    printf '{"percent": %d, "message": "part %d of %d"}\n' $(((part + 1) * 100 / parts)) $((part + 1)) "$parts" >&3
    sleep 0.4
done

# All of it or nothing, under its name.
mv "$partial" "$store/$name"
printf '{"uri": "file://%s", "sha256": "%s", "bytes": %d}\n' \
    "$store/$name" "$(sha256sum <"$store/$name" | cut -d' ' -f1)" "$bytes" >"$ISC_RESULT"
