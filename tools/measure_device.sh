#!/usr/bin/env bash
# The tests of distributed training and the whole benchmark on this machine's device, in one go:
#
#     tools/measure_device.sh [FOLDER] [ARG ...]    FOLDER (default: docs/results/benchmark of this repository) gets the
#                                                   figures as DEVICE.json, with a chart; the ARGs go to `benchmark`
#
# DEVICE is what the accelerator is called, or the processor where there is none. Beside PyTorch where it is at hand (see
# DLVR_TORCH_PYTHON in docs/performance.md). A test that needs more devices than there are is skipped.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(realpath -m "${1:-$root/docs/results/benchmark}")
shift || true
cd "$root"
mkdir -p "$folder"

./launch.sh test -m "not compare" tests/training/test_sharding.py tests/training/test_population.py tests/end_to_end/test_several_processes.py

python=${DLVR_VENV:-.venv}/bin/python
[ "${DLVR_VENV:-}" != none ] || python=${DLVR_PYTHON:-python3}
called='
from dlvr_jax import runtime

runtime.start()
of = runtime.environment()
print(of["cpu"]["model"] if of["device"]["platform"] == "cpu" else of["device"]["kind"])'
name=$("$python" -c "$called" | tr '[:upper:] ' '[:lower:]_' | tr -cd '[:alnum:]_')
./launch.sh benchmark --against torch --rounds 8 --out "$folder/$name.json" "$@"
