"""The next values of a series from its history, learned by squared error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from dlvr_jax.displays import Display
from dlvr_jax.metrics.forecasting import finish_forecasting, forecasting_sums, references
from dlvr_jax.tasks.shown.forecasting import by_horizon, continued, over_time, skill_table
from dlvr_jax.tasks.task import (
    Batch,
    Carry,
    Direction,
    Keys,
    Outputs,
    Params,
    Purpose,
    Ratio,
    State,
    Sums,
    Variables,
    masked_sums,
    rates,
)

SHOWN = 6  # histories with their forecasts


@dataclass(frozen=True)
class Forecasting:
    """The `horizon` values after a history, of channel 0, all at once.

    The model gives (batch, horizon) for histories (batch, length, channels), both scaled by mean and deviation of the
    train span; the loss is the squared error in these units, everything else is in the units of the data. What the
    metrics compare with: `metrics.forecasting.references`.
    """

    model: Any
    mean: tuple[float, ...]  # per channel
    std: tuple[float, ...]
    horizon: int
    period: int | None = None  # of a season, in steps
    directions: ClassVar[Mapping[str, Direction]] = {
        "loss": "lower",
        "mae": "lower",
        "rmse": "lower",
        "mase": "lower",
        "skill_persistence": "higher",
        "skill_mean": "higher",
        "skill_zero": "higher",
    }

    def init(self, key: Key[Array, ""], batch: Batch) -> tuple[Params, Variables]:
        """See Objective."""
        variables = dict(self.model.init({"params": key}, self._scaled(batch["history"]), train=False))
        return variables.pop("params"), variables

    def initial_carry(self, key: Key[Array, ""], batch: Batch) -> Carry:
        """See Objective."""
        return None

    def loss(
        self, params: Params, state: State, batch: Batch, keys: Keys
    ) -> tuple[Ratio, tuple[Variables, Carry, Sums]]:
        """See Objective: the squared error, averaged over the horizon."""
        forecast, after = self.model.apply(
            {"params": params, **state.variables},
            self._scaled(batch["history"]),
            train=True,
            **rates(state.hyper, "model"),
            mutable=list(state.variables),
            rngs={"dropout": keys.own(Purpose.DROPOUT)},
        )
        sums = masked_sums(batch, {"loss": self._losses(forecast, batch["future"])})
        return sums["loss"], (after, state.carry, sums)

    def predict(self, state: State, batch: Batch) -> Outputs:
        """See Objective: "forecast" (batch, horizon), in the units of the data."""
        scaled = self.model.apply(
            {"params": state.params, **state.variables},
            self._scaled(batch["history"]),
            train=False,
            **rates(state.hyper, "model"),
        )
        return {"forecast": self.mean[0] + self.std[0] * scaled}

    def evaluate(self, state: State, batch: Batch, carry: Carry) -> tuple[Sums, Outputs, Carry]:
        """See Objective."""
        forecast = self.predict(state, batch)["forecast"]
        simple = references(batch["history"], self.horizon, self.mean[0], self.period)
        losses = self._losses((forecast - self.mean[0]) / self.std[0], batch["future"])
        sums = masked_sums(batch, {"loss": losses})
        sums |= forecasting_sums({"model": forecast, **simple}, batch, self.period)
        outputs = {"index": batch["index"], "future": batch["future"], "forecast": forecast}
        return sums, outputs | {f"reference/{name}": one for name, one in simple.items()}, carry

    def finish(self, state: State, sums: Any, outputs: Any) -> dict[str, float]:
        """See `finish_forecasting`."""
        return {"loss": float(sums["loss"][0] / sums["loss"][1])} | finish_forecasting(sums, outputs)

    def displays(
        self, state: State, sums: Any, outputs: Mapping[str, np.ndarray], examples: Callable[[np.ndarray], Batch]
    ) -> dict[str, Display]:
        """See Objective: forecasts over time, errors by horizon, skill; some histories with what follows."""
        chosen = np.linspace(0, len(outputs["index"]) - 1, SHOWN).astype(int)
        shown = continued(examples(outputs["index"][chosen]), outputs["forecast"][chosen])
        shown |= over_time(outputs)
        return shown | {"by_horizon": by_horizon(sums), "skill": skill_table(sums, outputs)}

    def show(self, batch: Batch, outputs: Mapping[str, np.ndarray]) -> dict[str, Display]:
        """See Objective: each history with its forecast, and with the truth."""
        shown: dict[str, Display] = continued(batch, np.asarray(outputs["forecast"]))
        return shown

    def _scaled(self, history: Float[Array, "batch length channels"]) -> Float[Array, "batch length channels"]:
        return (history - jnp.array(self.mean)) / jnp.array(self.std)

    def _losses(
        self, scaled: Float[Array, "batch horizon"], future: Float[Array, "batch horizon"]
    ) -> Float[Array, " batch"]:
        """The mean squared error of scaled forecasts."""
        return jnp.square(scaled - (future - self.mean[0]) / self.std[0]).mean(-1)
