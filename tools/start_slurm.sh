#!/usr/bin/env bash
# A Slurm cluster of this machine alone, for tests: controller, node and authentication, all kept in one folder.
#
#     tools/start_slurm.sh FOLDER [CPUS]    starts it, and prints the setting by which its commands are used
#     tools/start_slurm.sh stop FOLDER      cancels its jobs and ends it
#
# It needs root, and Debian's packages slurm-wlm and munge. Nothing outside FOLDER is written; no other cluster of this
# machine is touched. CPUs: how many the node offers (default: all).
set -euo pipefail

fail() {
    echo "error: $*" >&2
    exit 1
}

stop() {
    local name pid
    SLURM_CONF=$1/slurm.conf timeout 10 scancel --user=root 2>/dev/null || true
    for name in slurmd slurmctld munged; do
        pid=$(cat "$1/$name.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || true
        for _ in {1..100}; do if kill -0 "$pid" 2>/dev/null; then sleep 0.1; fi; done
    done
}

# A port that nobody listens on.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

write_config() {
    local folder=$1 cpus=$2 host memory
    host=$(hostname -s)
    memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo) # MB
    cat >"$folder/slurm.conf" <<TEXT
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=sched_interval=5,sched_min_interval=200000
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
TEXT
}

start() {
    local folder=$1 name
    [ "$(id -u)" = 0 ] || fail "a Slurm cluster is started by root"
    for name in munged slurmctld slurmd; do
        type -P "$name" >/dev/null || fail "$name is not installed: apt-get install slurm-wlm munge"
    done
    mkdir -p "$folder/munge" "$folder/state" "$folder/spool"
    folder=$(cd "$folder" && pwd)
    chmod 755 "$folder/munge"
    write_config "$folder" "$2"
    export SLURM_CONF=$folder/slurm.conf

    (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    slurmctld
    slurmd
    for _ in {1..600}; do
        if [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ]; then
            echo "export SLURM_CONF=$SLURM_CONF"
            return
        fi
        sleep 0.2
    done
    tail -n 5 "$folder"/slurm*.log >&2
    stop "$folder"
    fail "the node is not ready after two minutes; its logs are in $folder"
}

case ${1:-} in
"" | -*) fail "give a folder, or stop and a folder" ;;
stop) stop "${2:?error: give the folder}" ;;
*) start "$1" "${2:-$(nproc)}" ;;
esac
