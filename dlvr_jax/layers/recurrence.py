"""Layers that pass a state from step to step: LSTM and GRU, scanned over time.

`x` holds rows of steps; `lengths` says how many steps of a row are real. What lies beyond gives zeros and leaves the
carry as it was, so a row's carry is that after its last real step, and with `reverse` that after its first. The carry
is float32 whatever the arithmetic is, and every leaf of it has the rows as its leading axis.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key, PyTree

from dlvr_jax.layers.dropout import dropout as drop
from dlvr_jax.layers.through_time import Cell, Weights, through_time
from dlvr_jax.schema import Number

Steps = Float[Array, "batch length inputs"]
Hidden = Float[Array, "batch features"]
Gates = Float[Array, "*steps _"]
LSTMCarry = tuple[Hidden, Hidden]  # h, c
GRUCarry = Hidden  # h
Lengths = Int[Array, " batch"]


class LSTM(nn.Module):
    """Long short-term memory: Hochreiter & Schmidhuber 1997, doi 10.1162/neco.1997.9.8.1735, with the forget gate of
    Gers, Schmidhuber & Cummins 2000, doi 10.1162/089976600300015015:

        i, f, o = sigmoid(W x_t + U h_{t-1} + b)      g = tanh(W_g x_t + U_g h_{t-1} + b_g)
        c_t = f * c_{t-1} + i * g                     h_t = o * tanh(c_t)

    Without peepholes, as everywhere now. The gates lie side by side in the order i, f, g, o. U starts orthogonal, gate
    by gate, which keeps the length of h; the forget gate's bias starts at `forget_bias`, so that gradients last from
    the start: Jozefowicz, Zaremba & Sutskever 2015, section 2.1.
    """

    features: int
    reverse: bool = False
    forget_bias: float = 1.0
    dtype: DTypeLike = jnp.float32  # of the matrix products; parameters, gates and carry are float32

    @nn.nowrap
    def initial_carry(self, batch_size: int) -> LSTMCarry:
        """Zeros."""
        return jnp.zeros((batch_size, self.features)), jnp.zeros((batch_size, self.features))

    @nn.compact
    def __call__(
        self, x: Steps, carry: LSTMCarry | None = None, lengths: Lengths | None = None
    ) -> tuple[Float[Array, "batch length {self.features}"], LSTMCarry]:
        """h of every step and the carry after the last; without a carry it starts from zeros."""
        size = self.features
        kernel = self.param("input", nn.initializers.lecun_normal(), (x.shape[-1], 4 * size))
        recurrent = self.param("recurrent", orthogonal_gates(4), (size, 4 * size))
        bias = self.param("bias", self._first_bias, (4 * size,))
        weights = Weights(kernel.astype(self.dtype), recurrent.astype(self.dtype), bias)
        first = self.initial_carry(len(x)) if carry is None else carry
        return _rows_through_time(_LSTM, self.reverse, weights, first, x.astype(self.dtype), lengths)

    def _first_bias(self, key: Key[Array, ""], shape: tuple[int]) -> Float[Array, " gates"]:
        return jnp.zeros(shape).at[self.features : 2 * self.features].set(self.forget_bias)


class GRU(nn.Module):
    """Gated recurrent unit: Cho et al. 2014, https://arxiv.org/abs/1406.1078, section 2.3:

        r, z = sigmoid(W x_t + U h_{t-1} + b)         n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + c_n))
        h_t = (1 - z) * n + z * h_{t-1}

    The reset gate r acts after the product with U_n, not before it as in the paper: one matrix product a step, and what
    cuDNN and PyTorch compute. The gates lie side by side in the order r, z, n; U starts orthogonal, gate by gate.
    """

    features: int
    reverse: bool = False
    dtype: DTypeLike = jnp.float32  # of the matrix products; parameters, gates and carry are float32

    @nn.nowrap
    def initial_carry(self, batch_size: int) -> GRUCarry:
        """Zeros."""
        return jnp.zeros((batch_size, self.features))

    @nn.compact
    def __call__(
        self, x: Steps, carry: GRUCarry | None = None, lengths: Lengths | None = None
    ) -> tuple[Float[Array, "batch length {self.features}"], GRUCarry]:
        """h of every step and the carry after the last; without a carry it starts from zeros."""
        size = self.features
        kernel = self.param("input", nn.initializers.lecun_normal(), (x.shape[-1], 3 * size))
        recurrent = self.param("recurrent", orthogonal_gates(3), (size, 3 * size))
        bias = self.param("bias", nn.initializers.zeros, (3 * size,))
        recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (size,))  # c_n
        of_h = jnp.concatenate([jnp.zeros(2 * size), recurrent_bias])  # r multiplies c_n, so it cannot join the bias
        weights = Weights(kernel.astype(self.dtype), recurrent.astype(self.dtype), bias, of_h)
        first = self.initial_carry(len(x)) if carry is None else carry
        return _rows_through_time(_GRU, self.reverse, weights, first, x.astype(self.dtype), lengths)


class Stack(nn.Module):
    """Layers one above the other, with dropout on what each of them gets and on the result, never from step to step:
    Zaremba, Sutskever & Vinyals 2014, https://arxiv.org/abs/1409.2329, section 3.1.
    """

    layers: Sequence[LSTM | GRU]

    @nn.nowrap
    def initial_carry(self, batch_size: int) -> tuple[PyTree, ...]:
        """That of each layer, from the lowest on."""
        return tuple(layer.initial_carry(batch_size) for layer in self.layers)

    def __call__(
        self,
        x: Steps,
        carry: tuple[PyTree, ...] | None = None,
        lengths: Lengths | None = None,
        *,
        train: bool,
        dropout: Number | None = None,
    ) -> tuple[Float[Array, "batch length features"], tuple[PyTree, ...]]:
        """See the layers. `dropout` needs the random stream "dropout"."""
        after = []
        for layer, before in zip(self.layers, carry or (None,) * len(self.layers), strict=True):
            x, left = layer(self._dropped(x, train, dropout), before, lengths)
            after.append(left)
        return self._dropped(x, train, dropout), tuple(after)

    def _dropped(self, x: Steps, train: bool, rate: Number | None) -> Steps:
        return drop(x, rate, self.make_rng("dropout")) if train and rate is not None else x


def orthogonal_gates(count: int) -> Callable[..., Array]:
    """For a kernel (features, count * features): an orthogonal matrix for each gate."""

    def make(key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        keys = jax.random.split(key, count)
        one = nn.initializers.orthogonal()
        return jnp.concatenate([one(k, (shape[0], shape[1] // count), dtype) for k in keys], -1)

    return make


def _lstm_step(gates: Float[Array, "batch gates"], carry: LSTMCarry) -> LSTMCarry:
    i, f, g, o = jnp.split(gates, 4, -1)
    c = nn.sigmoid(f) * carry[1] + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(c), c


def _gru_gates(from_x: Gates, from_h: Gates) -> tuple[Gates, Gates, Gates]:
    """Those of r and z together, and the two parts of n, between which the reset gate acts."""
    size = from_x.shape[-1] // 3
    (x, x_n), (h, h_n) = (jnp.split(part, [2 * size], -1) for part in (from_x, from_h))
    return x + h, x_n, h_n


def _gru_step(gates: tuple[Array, Array, Array], h: GRUCarry) -> GRUCarry:
    r, z = jnp.split(nn.sigmoid(gates[0]), 2, -1)
    n = jnp.tanh(gates[1] + r * gates[2])
    return (1 - z) * n + z * h


_LSTM = Cell(gates=jnp.add, step=_lstm_step, hidden=lambda carry: carry[0])
_GRU = Cell(gates=_gru_gates, step=_gru_step, hidden=lambda carry: carry)


def _rows_through_time(
    cell: Cell, reverse: bool, weights: Weights, carry: PyTree, x: Steps, lengths: Lengths | None
) -> tuple[Float[Array, "batch length features"], PyTree]:
    mask = None if lengths is None else jnp.arange(x.shape[1])[:, None] < lengths
    hidden, carry = through_time(cell, reverse, weights, carry, x.swapaxes(0, 1), mask)
    return hidden.swapaxes(0, 1), carry
