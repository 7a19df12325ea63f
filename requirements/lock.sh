#!/usr/bin/env bash
# Makes the locks anew from pyproject.toml; `--upgrade` takes the newest versions. Needs uv, which .venv has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/.venv/bin:$PATH"

compile() { # compile LOCK INPUT [OPTION ...]
    uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
        --custom-compile-command "requirements/lock.sh" --output-file "requirements/$1.lock" "${@:2}"
}

compile installer requirements/installer.in "$@"
compile cpu pyproject.toml --extra test "$@"
compile cuda pyproject.toml --extra test --extra cuda "$@"
compile tpu pyproject.toml --extra test --extra tpu "$@"
