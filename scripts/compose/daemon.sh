# shellcheck shell=bash
# shellcheck disable=SC2154  # here is set by scripts/compose-test.sh
# A Docker daemon that nobody else sees: in namespaces of its own, so that its bridges, firewall rules, mounts and
# processes are gone when it ends, whatever ends it. It reaches the outside as a rootless daemon does, through
# slirp4netns, and nothing reaches it but through its socket.

# first_child PID: the process that `unshare --fork` started.
first_child() { cut -d' ' -f1 "/proc/$1/task/$1/children" 2>/dev/null; }

# start_daemon FOLDER: data and logs go there. Sets DOCKER_HOST, and what stop_daemon needs.
start_daemon() {
    daemon_dir=$1
    # A path in the cache may be too long for a socket.
    socket_dir=$(mktemp -d)
    cgroup=isc-compose-test-$$
    mkdir "$daemon_dir"
    echo '{}' >"$daemon_dir/daemon.json"
    export DOCKER_HOST=unix://$socket_dir/docker.sock
    setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child --mount-proc \
        bash "$here/compose/init.sh" --config-file "$daemon_dir/daemon.json" --host "$DOCKER_HOST" \
        --data-root "$daemon_dir/data" --exec-root "$daemon_dir/exec" --pidfile "$daemon_dir/dockerd.pid" \
        --cgroup-parent "/$cgroup" --dns 10.0.2.3 >"$daemon_dir/dockerd.log" 2>&1 </dev/null &
    daemon_shell=$!
    for _ in $(seq 50); do
        daemon=$(first_child $daemon_shell) && [ -n "$daemon" ] && break
        sleep 0.1
    done
    [ -n "$daemon" ] || return 1
    setpriv --pdeathsig KILL slirp4netns --configure --disable-host-loopback "$daemon" tap0 \
        >"$daemon_dir/slirp4netns.log" 2>&1 </dev/null &
    daemon_net=$!
    for _ in $(seq 60); do
        docker version >/dev/null 2>&1 && return 0
        kill -0 $daemon_shell 2>/dev/null || return 1
        sleep 0.5
    done
    return 1
}

# in_daemon COMMAND...: where the numbers of processes are those that the daemon tells.
in_daemon() { nsenter --target "$daemon" --pid --mount "$@"; }

# stop_daemon: ends it and removes all that it has written.
stop_daemon() {
    [ -n "${daemon_shell:-}" ] || return 0
    [ -z "${daemon:-}" ] || kill -TERM "$daemon" 2>/dev/null || true
    for _ in $(seq 60); do
        kill -0 "$daemon_shell" 2>/dev/null || break
        sleep 0.5
    done
    # With it ends every process in its namespace.
    kill -KILL "$daemon_shell" 2>/dev/null || true
    [ -z "${daemon_net:-}" ] || kill -TERM "$daemon_net" 2>/dev/null || true
    wait "$daemon_shell" ${daemon_net:+"$daemon_net"} 2>/dev/null || true
    daemon_shell=
    rm -rf "$daemon_dir" "$socket_dir"
    find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null || true
}
