#!/bin/bash
# Asks the admin server of this container whether the process lives, with nothing but bash.
# usage: healthcheck.sh PORT [PATH]     PATH: /livez (default) or /readyz
set -eu
port=$1 path=${2:-/livez}
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$path" >&3
# Not all of the answer's text is worth showing, but a dependency that is missing is.
status=
read -r -t 5 _ status _ <&3
[ "$status" = 200 ] || { timeout 2 cat <&3 | tail -n 5; exit 1; }
