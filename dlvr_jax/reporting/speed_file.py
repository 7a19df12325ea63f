"""The file that keeps a benchmark's figures: the rows of one whole command, and never those of two."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dlvr_jax.atomic_write import write_text
from dlvr_jax.errors import UserError
from dlvr_jax.guarantee import differences
from dlvr_jax.reporting import speed

Row = Mapping[str, Any]


@contextlib.contextmanager
def kept(
    out: Path | None, command: str, flags: Mapping[str, Mapping[str, str]], compared: bool, tell: Callable[[str], None]
) -> Iterator[Callable[[Row], None]]:
    """Gives what keeps a row: in a file beside `out`, which gets that name, and a chart, when the context ends well.

    Otherwise it stays there, which is told, and `out` is as it was. `flags` says of each config what is set.

    Raises:
        UserError: `out` holds rows that are not measured again.
    """
    if out is None:
        yield lambda row: None
        return
    _check_replaced(out, flags, compared)
    began, rows = datetime.now(), list[Row]()
    partial = out.with_name(f"{out.stem}.partial-{began:%Y%m%d-%H%M%S-%f}.json")

    def keep(row: Row) -> None:
        rows.append(row)
        if differ := differences(rows[0]["environment"], row["environment"]):
            tell(f"{row['config']}: not in the first row's environment, so it keeps its own ({'; '.join(differ)})")
        write_text(partial, _text(rows, command, began))

    try:
        yield keep
        _check_replaced(out, flags, compared)  # again, since another command may have ended meanwhile
    except BaseException:
        if partial.exists():
            tell(f"{out} is as it was; the rows that were measured are in {partial}")
        raise
    chart = speed.chart(rows)
    os.replace(partial, out)
    write_text(out.with_suffix(".svg"), chart)


def _check_replaced(out: Path, flags: Mapping[str, Mapping[str, str]], compared: bool) -> None:
    """Raises UserError where the file holds what this command does not measure."""
    if not out.exists():
        return
    try:
        rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
        there = [(row["config"], dict(row["flags"]), "peer" in row) for row in rows]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"--out {out}: is not a file of benchmark's; choose another file") from None
    wanted = [(name, own, compared) for name, own in flags.items()]
    for config, own, with_peer in there:
        if (config, own, with_peer) not in wanted:
            given = "".join(f" --config.{key}={value}" for key, value in own.items())
            how = f"{config}{given}" + (" beside PyTorch" if with_peer else "")
            raise UserError(f"--out {out}: holds a row that this command does not measure, {how}; choose another file")


def _text(rows: list[Row], command: str, began: datetime) -> str:
    """As JSON, with the environment of the first row for all; a row that has another one keeps it."""
    first = rows[0]["environment"]
    told = {"command": command, "date": began.date().isoformat(), **first}
    shown = [{key: value for key, value in row.items() if key != "environment" or value != first} for row in rows]
    return json.dumps({**told, "rows": shown}, indent=1) + "\n"
