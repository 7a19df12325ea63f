"""The simple recurrent network: Elman 1990, "Finding Structure in Time", doi 10.1207/s15516709cog1402_1, figure 2.

It reads the history of a series and gives its next values:

    h[t] = tanh(W x[t] + U h[t-1] + b),    h[0] = 0,    forecasts = V h[T] + c

Deviations: tanh for the logistic function, so that a unit at rest is 0; the output sees the end of the history only,
and gives all horizons at once (the paper predicts one step ahead, at every step); back-propagation through time
(Rumelhart, Hinton & Williams 1986), where the paper's goes back a single step: `truncate=1`.
"""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.dense import Dense
from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.schema import Between, Count, Number


class Elman(nn.Module):
    """History to forecasts.

    `truncate`: the gradient goes back that many steps and no further, truncated back-propagation through time
    (Williams & Peng 1990); the values forwards are the same. None: through the whole history.
    """

    horizon: int
    width: Count = 32
    truncate: Annotated[int | None, Between(1, None)] = None
    dtype: DTypeLike = jnp.float32  # of the arithmetic; parameters and forecasts are float32

    @nn.compact
    def __call__(
        self,
        history: Float[Array, "batch length channels"],
        *,
        train: bool,
        dropout: Annotated[Number | None, Between(0, 1)] = None,
    ) -> Float[Array, "batch {self.horizon}"]:
        """The next `horizon` values, float32, in the units of the standardised history.

        `dropout` is a rate, used when `train` on what the output sees; it needs the random stream "dropout".
        """
        inputs = Dense(self.width, kernel_init=nn.initializers.lecun_normal(), dtype=self.dtype, name="input")(history)
        # A rotation keeps the length of the state, so that at first no step fades or explodes.
        recurrent = self.param("recurrent", nn.initializers.orthogonal(), (self.width, self.width)).astype(self.dtype)
        steps = inputs.swapaxes(0, 1)
        seen = 0 if self.truncate is None else max(len(steps) - self.truncate, 0)
        state = jnp.zeros(steps.shape[1:], self.dtype)
        state = jax.lax.stop_gradient(_run(recurrent, state, steps[:seen])) if seen else state
        state = _run(recurrent, state, steps[seen:]).astype(jnp.float32)
        if train and dropout is not None:
            state = drop(state, dropout, self.make_rng("dropout"))
        return Dense(self.horizon, kernel_init=nn.initializers.lecun_normal(), name="output")(state)


def _run(
    recurrent: Float[Array, "width width"], state: Float[Array, "batch width"], steps: Float[Array, "time batch width"]
) -> Float[Array, "batch width"]:
    """The state after all steps; `steps` are W x[t] + b."""

    def step(state: Array, x: Array) -> tuple[Array, None]:
        return jnp.tanh(x + state @ recurrent), None

    return jax.lax.scan(step, state, steps)[0]
