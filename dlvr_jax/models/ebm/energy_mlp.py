"""Energies of points, one for each class: linear, quadratic, or a multilayer perceptron's.

LeCun et al. 2006, "A Tutorial on Energy-Based Learning", http://yann.lecun.com/exdb/publis/pdf/lecun-06.pdf.
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dlvr_jax.layers.dense import Dense
from dlvr_jax.schema import Count


class EnergyMLP(nn.Module):
    """Points to the energy E(x, y) of each class y.

    - "linear": E = w_y.x + b_y; two classes part at a line.
    - "quadratic": E = x.A_y x + w_y.x + b_y; they part at a conic section, for one a circle.
    - "mlp": E = w_y.f(x) + b_y, f with tanh units: smooth, and bounded together with its slope, so that no region far
      from the data is a bottomless pit.
    """

    num_classes: int = 1
    form: Literal["linear", "quadratic", "mlp"] = "mlp"
    hidden: tuple[Count, ...] = (64, 64)  # units of the hidden layers of "mlp"
    dtype: DTypeLike = jnp.float32  # of the hidden layers' arithmetic; parameters and energies are float32

    @nn.compact
    def __call__(self, points: Float[Array, "batch dimensions"], *, train: bool) -> Float[Array, "batch classes"]:
        """The energies, float32, in nats."""
        x = points
        if self.form == "quadratic":
            x = jnp.concatenate([x, _products(x)], axis=-1)
        elif self.form == "mlp":
            for place, units in enumerate(self.hidden):
                layer = Dense(units, dtype=self.dtype, kernel_init=_HIDDEN, name=f"hidden{place + 1}")
                x = jnp.tanh(layer(x))
        return Dense(self.num_classes, kernel_init=_LAST, name="energy")(x.astype(jnp.float32))


# Twice the usual variance: tanh squashes, and points of a unit square need bends inside it.
_HIDDEN = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
_LAST = nn.initializers.lecun_normal()


def _products(x: Float[Array, "batch dimensions"]) -> Float[Array, "batch pairs"]:
    """x_i x_j for i <= j."""
    rows, columns = jnp.triu_indices(x.shape[-1])
    return x[:, rows] * x[:, columns]
