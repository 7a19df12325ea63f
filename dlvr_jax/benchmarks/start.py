"""How long a training takes to begin: from the start of the process to the first finished step."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dlvr_jax import check, config
from dlvr_jax.errors import UserError

POLL_SECONDS = 0.005


def seconds_to_import() -> float:
    """Of a process that imports what `train` imports, and ends."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import experiments.train"], check=True)
    return time.perf_counter() - started


def seconds_to_first_step(name: str, flags: Sequence[str]) -> float:
    """Until a new training of the config has logged its first step, or its first call of several; imports included."""
    flat = check.complete(config.load(config.find(name)), config.flags(flags)).flat
    logging = f"--config.train.log_every={flat['train.steps_per_call']}"
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "experiments.train", name, "--workdir", str(run), *flags]
        started = time.perf_counter()
        with subprocess.Popen([*command, logging], stdout=subprocess.DEVNULL) as process:
            try:
                while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").stat().st_size:
                    if process.poll() is not None:
                        code = process.returncode
                        raise UserError(f"the training ended before its first step, with exit code {code}")
                    time.sleep(POLL_SECONDS)
                return time.perf_counter() - started
            finally:
                process.kill()
