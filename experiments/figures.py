"""Files of figures that the measuring verbs keep by `--out`: what was asked, where it was measured, and the rows."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlvr_jax import runtime
from dlvr_jax.atomic_write import check_file, write_text
from dlvr_jax.errors import UserError


def check_figures(out: Path | None) -> None:
    """Before long work: raises UserError where no figures can be written later, or the file there holds none."""
    if out is None:
        return
    check_file(out)
    if out.suffix != ".json":
        raise UserError(f"--out {out}: must end in .json")
    try:
        is_ours = not out.exists() or "rows" in json.loads(out.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        is_ours = False
    if not is_ours:
        raise UserError(f"--out {out}: is no file of figures; choose another file")


def write_figures(
    out: Path, verb: str, argv: Sequence[str], rows: Sequence[Any], more: Mapping[str, Any] | None = None
) -> None:
    """As JSON; `more` stands before the rows."""
    environment = runtime.environment()
    where = {key: environment[key] for key in ("device", "cpu", "versions", "flags", "git")}
    told = {"command": shlex.join(["./launch.sh", verb, *argv]), **where, **(more or {}), "rows": rows}
    write_text(out, json.dumps(told, indent=1) + "\n")
