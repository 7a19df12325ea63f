"""Daily log returns of the S&P 500 index, 5 January 1999 to 31 December 2018: 5,030 trading days.

Out of the package arch. Prices are nearly a random walk: the zero forecast (tomorrow's price is today's) is hardly to
be beaten, and a model that seems to beat it clearly on this or any such series should be suspected first.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Float

from dlvr_jax.data.fetch import File, Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.series import reader, series_spec
from dlvr_jax.data.sources import Source
from dlvr_jax.schema import Between

_FILE = "sp500.csv.gz"
_ORIGIN = Origin(
    name="sp500",
    files=(File(_FILE, "1c4d0aeed8db9284de8ad71e4063c97f645ad6dd13507f8e305338e96c396ba7"),),
    package=Package("pip", "arch", folder="arch/data/sp500", version="8.0.0"),
)


def sp500(
    *,
    length: Annotated[int, Between(2, 500)] = 30,
    horizon: Annotated[int, Between(1, 100)] = 5,
    path: str | None = None,
) -> Source:
    """Windows of `length` days and the `horizon` days after; one channel, log(close / close of the day before).

    `path` names sp500.csv.gz or its folder.
    """
    check_path(_ORIGIN, path)
    spec = series_spec("sp500", steps=5_030, length=length, horizon=horizon, mean=(4.96e-5,), std=(0.01337,))
    return Prepared(spec, reader(lambda: returns(fetch(_ORIGIN, path)[_FILE].decode()), spec), f"{length}_{horizon}")


def returns(table: str) -> Float[np.ndarray, "days channels"]:
    """Of the adjusted close, the sixth column."""
    closes = np.array([float(line.split(",")[5]) for line in table.splitlines()[1:]])
    return np.diff(np.log(closes))[:, None]
