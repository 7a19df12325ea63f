"""Partition functions by annealed importance sampling: Neal 2001, https://arxiv.org/abs/physics/9803008.

For restricted Boltzmann machines as Salakhutdinov and Murray 2008, "On the Quantitative Analysis of Deep Belief
Networks", doi 10.1145/1390156.1390266, section 4.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Num

from dlvr_jax.random_key import key_of

Samples = Num[Array, "chains *shape"]


class LogPartition(NamedTuple):
    """An estimate of log Z in nats, its standard error, and how many of the chains carry it (effective sample size).

    E[Z estimated] = Z, so log Z comes out too low rather than too high, and log-likelihoods too high: with few
    effective chains do not trust either.
    """

    value: float
    error: float
    effective_chains: float


def log_partition(log_weights: Float[np.ndarray, " chains"], log_partition_of_start: float) -> LogPartition:
    """log Z from the chains' log importance weights, on the host in float64."""
    weights = np.asarray(log_weights, np.float64)
    largest = weights.max()
    scaled = np.exp(weights - largest)
    mean = scaled.mean()
    error = float(scaled.std(ddof=1) / (mean * np.sqrt(len(scaled)))) if len(scaled) > 1 else float("inf")
    effective = float(scaled.sum() ** 2 / (scaled**2).sum())
    return LogPartition(float(log_partition_of_start + largest + np.log(mean)), error, effective)


def log_weights(
    log_density: Callable[[Samples, Array], Float[Array, " chains"]],
    transition: Callable[[Key[Array, ""], Samples, Array], Samples],
    start: Samples,
    betas: Float[Array, " temperatures"],
    key: Key[Array, ""],
) -> Float[Array, " chains"]:
    """sum_k log p*_k+1(x_k) - log p*_k(x_k) of each chain, with x_k+1 drawn from x_k under p_k+1.

    `log_density` (x, beta) is unnormalised, the start's at beta = 0, the target's at 1; `transition` (key, x, beta)
    leaves the density at beta as it is; `start` is drawn from the one at 0. `betas` rise from 0 to 1.
    """

    def one(scanned: tuple[Samples, Array], step: tuple[Array, Array, Key[Array, ""]]) -> tuple[tuple, None]:
        x, total = scanned
        before, beta, key = step
        total = total + log_density(x, beta) - log_density(x, before)
        return (transition(key, x, beta), total), None

    steps = (betas[:-1], betas[1:], jax.random.split(key, len(betas) - 1))
    return jax.lax.scan(one, (start, jnp.zeros(len(start))), steps)[0][1]


def rbm_log_partition(
    weights: Float[Array, "visible hidden"],
    visible_bias: Float[Array, " visible"],
    hidden_bias: Float[Array, " hidden"],
    seed: int,
    *,
    chains: int = 100,
    temperatures: int = 1_000,
) -> LogPartition:
    """log Z of a Bernoulli RBM, from the one without weights and hidden biases, whose log Z is known.

    At beta the hidden units have beta times their weights and biases; the visible biases stay.
    """
    found = _rbm_log_weights(weights, visible_bias, hidden_bias, key_of(seed), chains, temperatures)
    start = hidden_bias.size * np.log(2) + np.logaddexp(0, np.asarray(visible_bias, np.float64)).sum()
    return log_partition(np.asarray(found), float(start))


@partial(jax.jit, static_argnums=(4, 5))
def _rbm_log_weights(
    weights: Float[Array, "visible hidden"],
    visible_bias: Float[Array, " visible"],
    hidden_bias: Float[Array, " hidden"],
    key: Key[Array, ""],
    chains: int,
    temperatures: int,
) -> Float[Array, " chains"]:
    def log_density(v: Samples, beta: Array) -> Float[Array, " chains"]:
        return v @ visible_bias + jax.nn.softplus(beta * (v @ weights + hidden_bias)).sum(-1)

    def transition(key: Key[Array, ""], v: Samples, beta: Array) -> Samples:
        for_hidden, for_visible = jax.random.split(key)
        hidden = jax.random.bernoulli(for_hidden, jax.nn.sigmoid(beta * (v @ weights + hidden_bias)))
        logits = visible_bias + beta * (hidden.astype(v.dtype) @ weights.T)
        return jax.random.bernoulli(for_visible, jax.nn.sigmoid(logits)).astype(v.dtype)

    for_start, for_chains = jax.random.split(key)
    start = jax.random.bernoulli(for_start, jax.nn.sigmoid(visible_bias), (chains, len(visible_bias)))
    betas = jnp.linspace(0.0, 1.0, temperatures)
    return log_weights(log_density, transition, start.astype(jnp.float32), betas, for_chains)
