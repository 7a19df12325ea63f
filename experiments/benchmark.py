"""`./launch.sh benchmark [CONFIG ...] [--against torch] [--out FILE.json] [--profile DIR]`: how fast configs train.

Steps are those of a config on made-up examples of its data's shapes, so no data are needed. `--against torch` measures
the same networks in PyTorch in turn with ours (see `benchmarks/peers`), without what they do not have: augmentation,
dropout, averaging. PyTorch may belong to another Python: name that by `DLVR_TORCH_PYTHON`.
"""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from dlvr_jax import check, config, runtime
from dlvr_jax.atomic_write import check_file
from dlvr_jax.benchmarks.plain import plain_flags
from dlvr_jax.benchmarks.row import Settings, measured
from dlvr_jax.errors import UserError
from dlvr_jax.reporting import speed
from dlvr_jax.reporting.console import warn
from dlvr_jax.reporting.speed_file import kept
from dlvr_jax.reporting.tables import print_table
from dlvr_jax.schema import Between
from dlvr_jax.sections import leaves_devices_open
from experiments.command import arguments, ended_by_sigterm, main
from experiments.figures import check_figures

# A net of each kind; on an accelerator two large ones more.
SMALL: dict[str, dict[str, str]] = {
    "configs/cnn/lenet5_fashion_mnist.py": {},
    "configs/modern_cnn/resnet20_fashion_mnist.py": {},
    "configs/modern_cnn/resnet18_fashion_mnist.py": {},
    "configs/modern_rnn/lstm_shakespeare_1m.py": {},
    "configs/modern_rnn/gru_shakespeare_1m.py": {},
    "configs/transformer/gpt_shakespeare_1m.py": {
        "model.width": "256",
        "model.num_heads": "8",
        "train.batch_size": "8",
    },
    "configs/transformer/vit_fashion_mnist.py": {},
    "configs/gan/dcgan_fashion_mnist.py": {},
    "configs/diffusion/ddpm_fashion_mnist.py": {},
    "configs/ebm/deep_ebm_fashion_mnist.py": {},
}
LARGE: dict[str, dict[str, str]] = {
    "configs/transformer/gpt2_made_up.py": {},
    "configs/modern_cnn/resnet50_made_up.py": {},
}


def benchmark(argv: Sequence[str]) -> None:
    """Prints a table as it grows; a config that cannot be measured is told and passed over."""
    parser = arguments(
        "benchmark",
        "Times a config's training step and its inference, alone or beside PyTorch's (DLVR_TORCH_PYTHON names a Python "
        "that has it). A config takes one to two minutes. --config.KEY=VALUE sets a key of every config.",
    )
    parser.add_argument("configs", metavar="CONFIG", nargs="*", help="(default: a net of each kind)")
    parser.add_argument("--against", choices=["torch"], help="measure the same nets in PyTorch in turn with ours")
    parser.add_whole(
        "--rounds", Between(2, 10_000), default=20, metavar="N", help="how many blocks of steps are timed (default: 20)"
    )
    parser.add_whole(
        "--prepare", Between(1, 1000), default=1, metavar="N", help="configs compiled at the same time (default: 1)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="keep the figures, and a chart beside them, once all are there; a FILE that holds rows that this command "
        "does not measure again is refused, and those of a command that fails stay in FILE.partial-TIME.json",
    )
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write a trace of each config's steps there")
    known, rest = parser.parse_known_args(argv)
    given = config.flags(rest)
    check_figures(known.out)
    if known.profile is not None:
        check_file(known.profile / "trace")
    peer = _python_with_torch() if known.against else None
    accelerated = _backend() != "cpu"
    wanted: dict[str, dict[str, str]] = {name: {} for name in known.configs} or ((LARGE if accelerated else {}) | SMALL)
    compared = peer is not None
    flags = {name: _flags(name, own | given, compared) for name, own in wanted.items()}
    one = compared and accelerated  # a peer has one device
    with ended_by_sigterm():
        flags = {name: _on_devices(name, own, one) for name, own in flags.items()}
    size, tell = 8192 if accelerated else 2048, partial(print, file=sys.stderr, flush=True)
    threads = runtime.threads_at_hand()
    settings = Settings(known.rounds, peer, threads, size, known.prepare, tell, known.profile)
    command = shlex.join(["./launch.sh", "benchmark", *argv])
    rows: list[dict[str, Any]] = []
    faults = []
    with (
        ended_by_sigterm(),
        kept(known.out, command, flags, compared, tell) as keep,
        contextlib.closing(measured(flags, settings)) as all_found,
    ):
        for name, found in all_found:
            if isinstance(found, UserError):
                faults += [f"{name}: {fault}" for fault in found.faults]
                continue
            rows.append(found)
            print(speed.line(found), flush=True)
            keep(found)
        if faults:
            _print_end(rows)
            raise UserError(*faults)
    _print_end(rows)
    if known.out is not None:
        print(f"figures  {known.out}\nchart    {known.out.with_suffix('.svg')}")


def _flags(name: str, given: Mapping[str, str], compared: bool) -> dict[str, str]:
    """What is set beside the config's own; for a comparison without what peers lack. Checked before any work."""
    complete = check.complete(config.load(config.find(name)), dict(given))
    plain = plain_flags(complete.flat) if compared else {}
    return {**plain, **given}


def _on_devices(name: str, flags: Mapping[str, str], one: bool) -> dict[str, str]:
    """With the number of devices, where the config leaves it open: one, or as is quicker."""
    if not leaves_devices_open(check.complete(config.load(config.find(name)), dict(flags)).flat):
        return dict(flags)
    given = [f"--config.{key}={value}" for key, value in flags.items()]
    asked = [sys.executable, "-m", "dlvr_jax.benchmarks.devices", name, *given]
    answer = None if one else subprocess.run(asked, capture_output=True, check=False, text=True)
    found = "1" if answer is None or answer.returncode else answer.stdout.strip()  # what fails is told by its row
    return {**flags, "mesh.data": found}


def _python_with_torch() -> str | None:
    """The interpreter that the peers run in; None, with a hint, where nobody named one and this one lacks PyTorch.

    Raises:
        UserError: the one that was named lacks PyTorch or transformers, or does not run.
    """
    named = os.environ.get("DLVR_TORCH_PYTHON")
    python = named or sys.executable
    try:
        asked = [python, "-c", "import torch, transformers; print('here')"]
        found = subprocess.run(asked, capture_output=True, check=False, text=True)
    except OSError as error:
        raise UserError(f"DLVR_TORCH_PYTHON={python}: cannot be run ({error.strerror})") from None
    if not found.returncode and found.stdout.endswith("here\n"):
        return python
    hint = (
        f"--against torch: {python} lacks PyTorch or transformers; install them there (pip install torch "
        "transformers), or name a Python that has them by DLVR_TORCH_PYTHON"
    )
    if named:
        raise UserError(hint)
    warn(f"{hint}; ours alone is measured")
    return None


def _backend() -> str:
    """JAX's platform, asked of another process: this one leaves the device to those that are measured.

    Raises:
        UserError: it cannot open its device.
    """
    asked = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    answer = subprocess.run(asked, capture_output=True, check=False, text=True)
    if answer.returncode:
        raise UserError(f"JAX cannot open its device: {answer.stderr.strip().splitlines()[-1]}")
    return answer.stdout.strip()


def _print_end(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    print()
    for header, cells in (speed.training_table(rows), speed.other_table(rows)):
        print_table(header, cells, right=header[1:])
    for row in rows:
        if "operations" in row:
            print(row["config"])
            header, cells = speed.operations(row["operations"])
            print_table(header, cells, right=("ms a step", "share"))
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    if ratios:
        print(f"training step over PyTorch's: geometric mean {geometric_mean(ratios):.2f}, at most {max(ratios):.2f}")


if __name__ == "__main__":
    main(benchmark)
