"""The restricted Boltzmann machine beside scikit-learn's, on the same digits, by the same estimate of log Z."""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.data.builders.digits import digits
from dlvr_jax.metrics.annealed_importance import rbm_log_partition
from tests.configs import run_steps, state_of, tiny

HIDDEN, STEPS, BATCH = 128, 3_000, 64
SEEDS = (0, 1, 2)
REAL = dict(data__name="digits", data__size="8", model__hidden=str(HIDDEN), train__batch_size=str(BATCH))


@lru_cache
def bits(split: str) -> np.ndarray:
    images = digits(size=8).arrays(split)["image"]
    return (images >= 128).reshape(len(images), -1).astype(np.float32)


def log_likelihood(weights: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray) -> float:
    """Of the test digits, in nats an image."""
    v = bits("test").astype(np.float64)
    params = [np.asarray(part, np.float64) for part in (weights, visible_bias, hidden_bias)]
    negative_free_energy = v @ params[1] + np.logaddexp(0, v @ params[0] + params[2]).sum(1)
    partition = rbm_log_partition(*(jnp.asarray(part, jnp.float32) for part in params), seed=1, temperatures=3_000)
    assert partition.error < 0.2
    return float(negative_free_energy.mean() - partition.value)


@pytest.mark.slow
def test_it_is_likelier_than_scikit_learns_at_as_many_updates() -> None:
    ours = [log_likelihood(*learned(seed)) for seed in SEEDS]
    print(f"nats an image: ours {summed_up(ours)}")
    for rate in (0.01, 0.05, 0.1):
        theirs = [log_likelihood(*learned_by_peer(rate, seed)) for seed in SEEDS]
        print(f"nats an image: scikit-learn's at rate {rate:g} {summed_up(theirs)}")
        assert min(ours) > max(theirs) + 0.5


def learned(seed: int) -> list[np.ndarray]:
    experiment = tiny("configs/ebm/rbm_pcd_digits.py", train__steps=str(STEPS), seed=str(seed), **REAL)
    state, _ = run_steps(experiment, state_of(experiment, seed), STEPS)
    return [np.asarray(state.params[name]) for name in ("weights", "visible_bias", "hidden_bias")]


def learned_by_peer(rate: float, seed: int) -> list[np.ndarray]:
    from sklearn.neural_network import BernoulliRBM

    train = bits("train")
    epochs = STEPS * BATCH // len(train)
    peer = BernoulliRBM(HIDDEN, learning_rate=rate, batch_size=BATCH, n_iter=epochs, random_state=seed).fit(train)
    return [peer.components_.T, peer.intercept_visible_, peer.intercept_hidden_]


def summed_up(values: list[float]) -> str:
    return f"{np.mean(values):.2f} +- {np.std(values, ddof=1):.2f} (seeds {', '.join(map(str, SEEDS))})"
