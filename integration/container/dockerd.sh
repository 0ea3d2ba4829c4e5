#!/usr/bin/env bash
# Runs a command with a Docker engine at hand: the one that answers already, or a private one that lives as long as the command.
#
#   dockerd.sh COMMAND [ARGUMENT...]
#
# The private engine keeps everything of its own (data, state, socket, pid file) under one folder, touches neither iptables nor any
# bridge, and is ended by its pid. PORTCULLIS_CACHE (default: .cache in the repository) keeps its images between runs.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: dockerd.sh COMMAND [ARGUMENT...]" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PORTCULLIS_CACHE:-$here/../../.cache}

if docker info >/dev/null 2>&1; then
    exec "$@"
fi
command -v dockerd >/dev/null || { echo "dockerd.sh: no Docker engine answers, and dockerd is missing: apt-get install docker.io" >&2; exit 1; }

state=$(mktemp -d /tmp/portcullis-dockerd.XXXXXX)
pid=
data=

stop() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    pid=
}

finish() {
    stop
    rm -rf "$state"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts an engine with one storage driver and waits until it answers; false if it ends, or does not answer in 30 s.
start() {
    local driver=$1 deadline=$((SECONDS + 30))
    data=$cache/docker-$driver
    mkdir -p "$data" "$state/exec"
    dockerd --data-root "$data" --exec-root "$state/exec" --pidfile "$state/pid" -H "unix://$state/docker.sock" \
        --storage-driver "$driver" --iptables=false --ip6tables=false --bridge=none >"$state/log" 2>&1 &
    pid=$!
    until DOCKER_HOST=unix://$state/docker.sock docker info >/dev/null 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
            stop
            return 1
        fi
        sleep 0.1
    done
}

start overlay2 || start vfs || { echo "dockerd.sh: the engine does not start:" >&2; tail -n 20 "$state/log" >&2; exit 1; }
export DOCKER_HOST=unix://$state/docker.sock
"$@"
