#!/usr/bin/env bash
# A Ray cluster on this machine's loopback address, for tests: a head without cores, and nodes that train.
#
#     tools/start_ray.sh FOLDER [NODES [CPUS]]    starts it, prints its address; each node offers CPUS cores (2 and 1)
#     tools/start_ray.sh kill FOLDER NODE         kills node NODE (from 1 on) and all that runs there, as if it lost power
#     tools/start_ray.sh stop FOLDER              ends all nodes
#
# RAY names the command (default: ray on PATH). Nothing outside FOLDER is written; give a short path, as Ray's sockets are in it.
set -euo pipefail

ray=${RAY:-ray}

fail() {
    echo "error: $*" >&2
    exit 1
}

# A process and all that it has started, also in groups of their own.
tree() {
    local child
    echo "$1"
    for child in $(pgrep -P "$1"); do tree "$child"; done
}

# The processes of a node.
node() { tree "$(cat "$1/node$2.pid")"; }

kill_node() { node "$1" "$2" | xargs -r kill -KILL 2>/dev/null || true; }

# Starts a node and waits until it is one; one after the other, since on a busy machine they would wait for each other.
start_node() {
    local folder=$1 log=$1/node$2.log pid
    "$ray" start --block --disable-usage-stats "${@:3}" >"$log" 2>&1 </dev/null &
    pid=$!
    echo $pid >"$folder/node$2.pid"
    until grep -q "Ray runtime started" "$log"; do
        kill -0 $pid 2>/dev/null || fail "node $2 did not start: $(tail -n 1 "$log")"
        sleep 0.2
    done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

start() {
    local folder=$1 nodes=$2 cpus=$3 port number
    type -P "$ray" >/dev/null || fail "$ray is not installed: python -m pip install ray"
    mkdir -p "$folder"
    port=$(free_port)
    start_node "$folder" 0 --head --node-ip-address=127.0.0.1 --port="$port" --num-cpus=0 --include-dashboard=false \
        --temp-dir="$folder/ray"
    for number in $(seq "$nodes"); do
        start_node "$folder" "$number" --address="127.0.0.1:$port" --node-ip-address=127.0.0.1 --num-cpus="$cpus"
    done
    echo "127.0.0.1:$port"
}

case ${1:-} in
"" | -*) fail "give a folder, or kill or stop and a folder" ;;
kill) kill_node "$2" "$3" ;;
stop) for file in "$2"/node*.pid; do kill_node "$2" "$(basename "$file" .pid | tr -dc 0-9)"; done ;;
*) start "$1" "${2:-2}" "${3:-1}" ;;
esac
