#!/usr/bin/env bash
# Stands for a Python, for that of an environment, and for uv, so that set-up takes no time: notes every call in $CALLS.
# FAKE_PIP and FAKE_UV: what they fail with; FAKE_SECONDS: how long uv takes; FAKE_OLD: only this Python's uv works.
set -euo pipefail
printf '%s %s\n' "$(basename "$0")" "$*" >>"$CALLS"
folder=$(dirname "$(dirname "$0")")

refuse() {
    echo "$1"
    exit 1
}

case "$*" in
"-I -c "*) # the probe: 3.N by the name
    minor=${0##*python3.}
    [ "$minor" != 99 ] || refuse "a version manager's shim that leads nowhere"
    printf '03.%s.000 %s\n' "$minor" "$0"
    ;;
*set_up.py*) # the real one, which takes this script for its Python
    echo "$$" >"$CALLS.set_up_pid"
    exec "$REAL_PYTHON" -I -c '
import runpy, sys
sys.executable, sys.argv = sys.argv[1], sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")' "$0" "${@:2}"
    ;;
"-I -m venv "*)
    made=${!#}
    mkdir -p "$made/bin"
    cp "$0" "$made/bin/python"
    basename "$0" >"$made/made_by"
    ;;
"-I -m ensurepip "*) ;;
"-I -m pip "*)
    [ -z "${FAKE_PIP:-}" ] || refuse "$FAKE_PIP"
    cp "$0" "$folder/bin/uv"
    ;;
"pip install "*)
    flock --nonblock 9 9>"$folder/.lock" || refuse "uv waits for its own lock"
    sleep "${FAKE_SECONDS:-0}"
    [ -z "${FAKE_UV:-}" ] || [ "$(cat "$folder/made_by")" = "${FAKE_OLD:-}" ] || refuse "$FAKE_UV"
    ;;
*) # the program
    printf 'pid=%s\ncwd=%s\npath=%s\nmalloc=%s\narenas=%s\n' "$$" "$PWD" "$PYTHONPATH" "$MALLOC_TOP_PAD_" "${MALLOC_ARENA_MAX:-}"
    printf 'argument=%s\n' "$@"
    exit "${FAKE_EXIT:-0}"
    ;;
esac
