"""Carbon dioxide in the air over Mauna Loa, parts per million: 2,284 weeks from March 1958 to December 2001.

Out of the package statsmodels (Keeling & Whorf 2004), in the public domain. The 59 missing weeks, all before 1986 and
so in the train span, are filled linearly. The series is then differenced by 52 weeks: what is forecast is the rise over
a year, whose error is that of the concentration itself, since that of a year before is known. So the zero forecast
means "as a year ago", and persistence "as a year ago, plus the rise over the last year".
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

_YEAR = 52  # weeks
_ORIGIN = Origin(
    name="co2",
    files=(File("co2.csv", "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f"),),
    package=Package("pip", "statsmodels", folder="statsmodels/datasets/co2", version="0.15.0"),
)


def co2(
    *,
    length: Annotated[int, Between(2, 200)] = 52,
    horizon: Annotated[int, Between(1, _YEAR)] = 13,
    path: str | None = None,
) -> Source:
    """Windows of `length` weeks and the `horizon` weeks after; one channel, the rise over 52 weeks in ppm.

    A horizon of at most 52, so that the value of a year before is always known. `path` names co2.csv or its folder.
    """
    check_path(_ORIGIN, path)
    spec = series_spec("co2", steps=2_284 - _YEAR, length=length, horizon=horizon, mean=(1.209,), std=(0.7456,))
    return Prepared(spec, reader(lambda: rises(fetch(_ORIGIN, path)["co2.csv"].decode()), spec), f"{length}_{horizon}")


def rises(table: str) -> Float[np.ndarray, "weeks channels"]:
    """The second column, filled and differenced."""
    cells = [line.split(",")[1] for line in table.splitlines()[1:]]
    known = np.array([bool(cell) for cell in cells])
    ppm = np.interp(np.arange(len(cells)), np.flatnonzero(known), [float(cell) for cell in cells if cell])
    return (ppm[_YEAR:] - ppm[:-_YEAR])[:, None]
