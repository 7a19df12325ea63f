#!/usr/bin/env bash
# The tests of distributed training and the whole benchmark on this machine's device, in one go:
#
#     tools/measure_device.sh [FOLDER] [ARG ...]    FOLDER (default: docs/results/benchmark) gets the figures as
#                                                   DEVICE.json, with a chart; the ARGs go to `benchmark`
#
# Beside PyTorch where it is at hand (see DLVR_TORCH_PYTHON in docs/performance.md). A test that needs more devices than
# there are is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-docs/results/benchmark}
shift || true
mkdir -p "$folder"

./launch.sh test -m "not compare" tests/training/test_sharding.py tests/training/test_population.py tests/end_to_end/test_several_processes.py

kind='import jax; device = jax.devices()[0]; print("cpu" if device.platform == "cpu" else device.device_kind)'
python=${DLVR_VENV:-.venv}/bin/python
[ "${DLVR_VENV:-}" != none ] || python=python3
name=$("$python" -c "$kind" | tr '[:upper:] ' '[:lower:]_' | tr -cd '[:alnum:]_')
./launch.sh benchmark --against torch --rounds 8 --out "$folder/$name.json" "$@"
