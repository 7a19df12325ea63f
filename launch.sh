#!/usr/bin/env bash
# The one command: sets up the environment where that is still to do, then runs a verb. `./launch.sh --help` tells more.
set -euo pipefail

usage() {
    cat <<TEXT
./launch.sh                  train configs/cnn/lenet5_digits.py
./launch.sh test [ARG ...]   run the tests; arguments go to pytest
./launch.sh VERB [ARG ...]   run a program of experiments/: $(verbs)

The environment is made at the first call, and made anew when it is damaged or the lock has changed. Settings:
  DLVR_PYTHON    the Python to use, a name or a path (default: the newest one from 3.11 on)
  DLVR_VENV      the folder of the environment (default: .venv beside launch.sh); none: use the interpreter as it is
  DLVR_PLATFORM  cpu, cuda or tpu (default: what this machine has)

One training by several processes, of one machine or several: the same \`train\` for each, with
  DLVR_COORDINATOR                auto under Slurm, Open MPI and on TPU pods; else HOST:PORT, a free port of the first process
  DLVR_NUM_PROCESSES, DLVR_PROCESS_ID    beside HOST:PORT: how many processes there are, and which this one is, from 0
TEXT
}

fail() {
    echo "error: $*" >&2
    exit 1
}

# The folder of a file, with symbolic links followed.
folder_of() {
    local path=$1 target
    while [ -L "$path" ]; do
        target=$(readlink "$path")
        case $target in
        /*) path=$target ;;
        *) path=$(dirname "$path")/$target ;;
        esac
    done
    (CDPATH='' cd -P -- "$(dirname "$path")" && pwd)
}

# Whether experiments/ has a program of that name: what the programs share lies there too.
is_program() {
    case $1 in */* | .* | _* | -*) return 1 ;; esac
    [ -f "$root/experiments/$1.py" ] && grep -q '^if __name__ == "__main__"' "$root/experiments/$1.py"
}

# The programs of experiments/, on one line.
verbs() {
    local file name
    for file in "$root"/experiments/*.py; do
        name=$(basename "$file" .py)
        if is_program "$name"; then printf '%s ' "$name"; fi
    done
}

# ---------------------------------------------------------------------------------------------------------- the platform

has_cuda() { [ -e /dev/nvidiactl ] || [ -e /dev/nvidia0 ] || [ -e /usr/lib/wsl/lib/libcuda.so.1 ]; }

# PCI devices of Google's (0x1ae0) that are TPUs: v3, v4, v5p, v5e, v6e, v7.
has_tpu() {
    local device vendor id
    for device in /sys/bus/pci/devices/*; do
        { read -r vendor <"$device/vendor" && read -r id <"$device/device"; } 2>/dev/null || continue
        case $vendor:$id in
        0x1ae0:0x0027 | 0x1ae0:0x005e | 0x1ae0:0x0062 | 0x1ae0:0x0063 | 0x1ae0:0x006f | 0x1ae0:0x0076) return 0 ;;
        esac
    done
    return 1
}

# An environment with device wheels serves a machine without the device too, so that the login node of a cluster, which
# shares the folder with the compute nodes, does not make it anew.
find_platform() {
    case ${DLVR_PLATFORM:-} in
    cpu | cuda | tpu) platform=$DLVR_PLATFORM ;;
    "")
        if has_cuda; then platform=cuda; elif has_tpu; then platform=tpu; else platform=${made_for:-cpu}; fi
        ;;
    *) fail "DLVR_PLATFORM=$DLVR_PLATFORM is unknown; use cpu, cuda or tpu" ;;
    esac
}

# ------------------------------------------------------------------------------------------------------- the environment

# The environment is ready when its stamp, written last, is that of today's lock, and its Python is still there.
is_ready() {
    [ -x "$venv/bin/python" ] && [ "$made_from" = "$checksum" ] && [ "$made_for" = "$platform" ] &&
        { [ -z "${DLVR_PYTHON:-}" ] || [ "$made_with" = "$DLVR_PYTHON" ]; }
}

# Pythons that may exist, one a line. A name on PATH proves nothing, so `pythons` asks each.
candidates() {
    local name=${1:-} folder pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}
    case $name in
    "")
        type -aP python python3 || true
        while read -r -d : folder; do
            printf '%s\n' "$folder"/python3.[1-9][0-9]
        done <<<"$PATH:"
        printf '%s\n' "$pyenv"/versions/*/bin/python
        ;;
    */*) echo "$name" ;;
    *)
        type -aP "$name" || true
        printf '%s\n' "$pyenv"/versions/*/bin/"$name"
        ;;
    esac
}

# Prints the version, to sort by, and the file of the interpreter proper: not a version manager's shim or an environment's link.
PROBE='
import os, sys, sysconfig
fits = sys.version_info >= (3, 11) and sys.version_info.releaselevel == "final" and sys.implementation.name == "cpython"
if not fits or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(1)
import ctypes, ensurepip, ssl, venv, zlib
print("%02d.%02d.%03d" % sys.version_info[:3], os.path.realpath(sys._base_executable))
'

# "VERSION PATH" of every Python that answers and can make an environment, the newest first.
pythons() {
    local path answer
    candidates "$@" | sort -u | while read -r path; do
        if answer=$("$path" -I -c "$PROBE" 2>/dev/null </dev/null); then echo "$answer"; fi
    done | sort -ru
}

set_up() {
    local found path status
    found=$(pythons "${DLVR_PYTHON:-}")
    if [ -z "$found" ] && [ -n "${DLVR_PYTHON:-}" ]; then
        fail "DLVR_PYTHON=$DLVR_PYTHON does not run, is older than 3.11, or cannot make an environment"
    elif [ -z "$found" ]; then
        fail "found no Python from 3.11 on that can make an environment; install one, or name it by DLVR_PYTHON"
    fi
    while read -r _ path; do
        status=0
        "$path" -I "$root/tools/set_up.py" "$venv" "$platform" "$checksum" "${DLVR_PYTHON:-}" </dev/null || status=$?
        case $status in
        0) return ;;
        3) continue ;; # this Python cannot: it has said why
        *) exit "$status" ;;
        esac
    done <<<"$found"
    fail "no Python could make the environment"
}

# Sets `python` to the interpreter that the verb runs with.
find_python() {
    local made_from="" made_for="" made_with="" platform checksum
    if [ "$venv" = none ]; then
        python=$(type -P "${DLVR_PYTHON:-python3}" || type -P python) || fail "DLVR_VENV=none, but there is no Python on PATH"
        return
    fi
    case $venv in
    /*) ;;
    *) venv=$PWD/$venv ;;
    esac
    if [ -r "$venv/.ready" ]; then
        { read -r made_for && read -r made_from && read -r made_with; } <"$venv/.ready" || true
    fi
    find_platform
    checksum=$(cksum <"$root/requirements/$platform.lock")
    python=$venv/bin/python
    if ! is_ready; then set_up; fi
}

# -------------------------------------------------------------------------------------------------------------- the verb

root=$(folder_of "${BASH_SOURCE[0]}")
venv=${DLVR_VENV:-$root/.venv}
[ $# -gt 0 ] || set -- train configs/cnn/lenet5_digits.py
verb=$1
shift

case $verb in
-h | --help | help)
    usage
    exit 0
    ;;
test) ;;
*)
    is_program "$verb" || fail "unknown verb '$verb'; use one of: test $(verbs)"
    ;;
esac

find_python

# The repository comes first, so that no folder of the same name where the user stands hides its packages; the user's own
# modules are found there last. SAFEPATH: Python itself would put that folder first.
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}:$PWD" PYTHONSAFEPATH=1

# Compiled Python is kept in the environment, where nobody minds it: a start without it costs seconds more.
if [ "$venv" != none ]; then
    unset PYTHONDONTWRITEBYTECODE
    export PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX:-$venv/bytecode}"
fi

# Large arrays are kept for reuse instead of given back to the system (glibc only), whichever thread asks for them: for
# that there is one arena. A training step of a large net takes an eighth to a quarter less time: docs/performance.md.
export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-4294967296}"
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-17179869184}"
export MALLOC_TOP_PAD_="${MALLOC_TOP_PAD_:-268435456}"

if [ "$verb" = test ]; then # in many arenas: they compile more than they train, and threads that compile share one badly
    cd "$root" # the tests' paths are the repository's
    find_platform # on a CPU several tests at once; a device has memory for one process
    [ "$platform" != cpu ] || set -- --numprocesses auto --maxprocesses 8 "$@"
    exec "$python" -m pytest "$@"
fi
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}"
exec "$python" -m experiments "$verb" "$@"
