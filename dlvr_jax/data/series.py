"""Series as windows of a history and the values that follow it, cut so that nothing of the future is seen.

The first 70 % of a series are train, the next 15 % validation, the last 15 % test. A window lies within one of these
spans, history and all, so no value is in windows of two splits. Mean and deviation are those of the train span.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from dlvr_jax.data.array_files import Arrays
from dlvr_jax.data.sources import SPLITS, Feature, Spec
from dlvr_jax.errors import UserError

_ENDS = (70, 85, 100)  # of train, validation and test, in percent of the series


def spans(steps: int) -> dict[str, tuple[int, int]]:
    """The first step of each split, and the one after its last."""
    ends = [steps * percent // 100 for percent in _ENDS]
    return dict(zip(SPLITS, zip((0, *ends), ends, strict=False), strict=True))


def series_spec(
    name: str,
    *,
    steps: int,
    length: int,
    horizon: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    period: int | None = None,
) -> Spec:
    """The spec of windows of a series. Raises UserError where a span is too short for one window."""
    counts = {split: end - first - length - horizon + 1 for split, (first, end) in spans(steps).items()}
    for split, count in counts.items():
        if count < 1:
            raise UserError(
                f"data.length = {length} and data.horizon = {horizon} do not fit into the {split} span of "
                f"{name}, {count + length + horizon - 1} of {steps} steps; shorten them"
            )
    features = {"history": Feature((length, len(mean)), "float32"), "future": Feature((horizon,), "float32")}
    return Spec(name=name, features=features, splits=counts, mean=mean, std=std, period=period)


def windows(values: Float[np.ndarray, "steps channels"], spec: Spec) -> dict[str, Arrays]:
    """Every window of each split, by time: "history" of all channels, "future" of channel 0. Steps are as in `spec`."""
    length, horizon = spec.features["history"].shape[0], spec.features["future"].shape[0]
    return {split: _windows(values[first:end], length, horizon) for split, (first, end) in spans(len(values)).items()}


def _windows(values: Float[np.ndarray, "steps channels"], length: int, horizon: int) -> Arrays:
    view = np.lib.stride_tricks.sliding_window_view(values.astype(np.float32), length + horizon, 0)
    whole = view.transpose(0, 2, 1)  # (windows, steps, channels)
    return {
        "history": np.ascontiguousarray(whole[:, :length]),
        "future": np.ascontiguousarray(whole[:, length:, 0]),
    }


def statistics(values: Float[np.ndarray, "steps channels"]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over the train span; 1 for a channel that is constant there."""
    first, end = spans(len(values))["train"]
    std = values[first:end].std(0)
    return tuple(values[first:end].mean(0).tolist()), tuple(np.where(std > 0, std, 1).tolist())


def reader(read: Callable[[], Float[np.ndarray, "steps channels"]], spec: Spec) -> Callable[[], Mapping[str, Arrays]]:
    """What `Prepared` asks for, from what reads the series."""
    return lambda: windows(read(), spec)
