"""Optimisers and schedules: traced numbers give what optax gives with constants, and decay stays where it belongs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlvr_jax.tasks.from_loss import update
from dlvr_jax.training import schedules
from tests.configs import tiny

RATE = 0.05
PARAMS = {"kernel": jnp.linspace(-1, 1, 12).reshape(3, 4), "bias": jnp.array([0.5, -0.5, 0.25, 1.0])}
# What each should equal: optax's own alias, with the same constants.
REFERENCES = {
    "sgd": (optax.sgd(RATE), {}),
    "sgd with momentum": (optax.sgd(RATE, 0.9), {"momentum": "0.9"}),
    "sgd with nesterov": (optax.sgd(RATE, 0.9, nesterov=True), {"momentum": "0.9", "nesterov": "true"}),
    "sgd clipped": (optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(RATE)), {"clip_norm": "0.5"}),
    "sgd within the clip": (optax.sgd(RATE), {"clip_norm": "100"}),
    "adam": (optax.adam(RATE, b1=0.8), {"b1": "0.8"}),
    "adamw": (
        optax.adamw(RATE, weight_decay=0.1, mask=lambda p: jax.tree.map(lambda leaf: leaf.ndim > 1, p)),
        {"weight_decay": "0.1"},
    ),
    "lion": (optax.lion(RATE, weight_decay=0.0), {}),
    "lamb": (optax.lamb(RATE, weight_decay=0.0), {}),
    "rmsprop": (optax.rmsprop(RATE, momentum=0.9), {"momentum": "0.9"}),
    "adafactor": (optax.adafactor(RATE), {}),
}


def chain(name: str, **flags: str):
    """The optimiser of a config, and its hyper."""
    given = {f"optimizer__{key}": text for key, text in flags.items()}
    settings = {"learning_rate": str(RATE), "schedule": "constant", "warmup_steps": "0"}
    experiment = tiny(
        "configs/cnn/lenet5_digits.py",
        optimizer__name=name,
        **{f"optimizer__{key}": text for key, text in settings.items() if f"optimizer__{key}" not in given},
        **given,
    )
    return experiment.task.optimizer, experiment.hyper


def moved(optimizer_and_hyper, steps: int = 10):
    """Where an optimiser of ours takes the parameters, its hyper traced."""
    optimizer, hyper = optimizer_and_hyper
    return jax.jit(lambda hyper: trajectory(optimizer(hyper), steps))(hyper)


def trajectory(transformation, steps: int = 10):
    """Parameters under the gradient of a bowl with unequal sides."""

    def body(carry, _):
        params, state = carry
        gradient = jax.tree.map(lambda leaf: 3 * leaf + jnp.sin(5 * leaf), params)
        updates, state = transformation.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(body, (PARAMS, transformation.init(PARAMS)), None, steps)[0][0]


@pytest.mark.parametrize("case", REFERENCES)
def test_traced_numbers_give_what_optax_gives_with_constants(case: str) -> None:
    reference, flags = REFERENCES[case]
    found = moved(chain(case.split()[0], **flags))
    # 1 - 0.999 has a relative error of 2e-5 in float32, where optax takes it in float64; ten steps carry it on.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), found, trajectory(reference))


@pytest.mark.parametrize("kind", ["weight_decay", "l2"])
def test_decay_spares_biases(kind: str) -> None:
    decayed, plain = moved(chain("sgd", **{kind: "0.5"}), 1), moved(chain("sgd"), 1)
    np.testing.assert_array_equal(decayed["bias"], plain["bias"])
    np.testing.assert_allclose(decayed["kernel"], plain["kernel"] - RATE * 0.5 * PARAMS["kernel"], rtol=1e-5, atol=1e-7)


def test_decoupled_decay_and_l2_are_the_same_under_sgd_and_differ_under_adam() -> None:
    def both(name: str):
        return [moved(chain(name, **{kind: "0.1"})) for kind in ("weight_decay", "l2")]

    sgd, adam = both("sgd"), both("adam")
    np.testing.assert_allclose(sgd[0]["kernel"], sgd[1]["kernel"], rtol=1e-5)
    assert abs(adam[0]["kernel"] - adam[1]["kernel"]).max() > 1e-3


def test_the_clipped_gradient_has_the_norm_asked_for() -> None:
    after = moved(chain("sgd", clip_norm="0.5", learning_rate="1.0"), 1)
    np.testing.assert_allclose(optax.tree.norm(jax.tree.map(jnp.subtract, PARAMS, after)), 0.5, rtol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1.0, np.inf, np.nan])
def test_it_is_clipped_as_by_optax(size: float) -> None:
    """Also where the norm is that asked for, or not a number."""
    optimizer, hyper = chain("sgd", clip_norm="1.0", learning_rate="1.0")
    gradient = {"kernel": jnp.zeros((3, 4)), "bias": jnp.array([size, 0.0, 0.0, 0.0])}
    reference = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
    found = jax.jit(lambda hyper: optimizer(hyper).update(gradient, optimizer(hyper).init(PARAMS), PARAMS)[0])(hyper)
    jax.tree.map(np.testing.assert_array_equal, found, reference.update(gradient, reference.init(PARAMS))[0])


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere XLA decides")
def test_a_step_computes_its_learning_rate_once() -> None:
    optimizer, hyper = chain("adam", schedule="cosine")
    params = {str(number): PARAMS["kernel"] for number in range(5)}
    state = optimizer(hyper).init(params)
    step = jax.jit(lambda hyper, gradient, state, step: update(optimizer, hyper, params, state, gradient, step))
    program = step.lower(hyper, params, state, 3).compile().as_text()
    assert program.count(" cosine(") == 2  # by the optimiser's count and by the step


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step", "inverse_square_root"])
@pytest.mark.parametrize("warmup", [0, 10])
def test_shapes_start_low_reach_one_and_never_pass_it(name: str, warmup: int) -> None:
    own = {"drop_every": 30} if name == "step" else {}
    values = np.array([getattr(schedules, name)(100, warmup_steps=warmup, **own)(step) for step in range(100)])
    assert values.min() >= 0 and np.isclose(values.max(), 1)
    if warmup:
        assert (np.diff(values[:warmup]) > 0).all() and 0 < values[0] < 0.2
    if warmup and name in ("constant", "cosine"):
        np.testing.assert_allclose(values[:10], np.arange(1, 11) / 11, rtol=1e-6)


def test_schedules_equal_their_formulas() -> None:
    steps = np.arange(100)
    np.testing.assert_allclose(
        [schedules.cosine(100)(s) for s in steps], (1 + np.cos(np.pi * steps / 100)) / 2, atol=1e-6
    )
    np.testing.assert_allclose([schedules.step(100, drop_every=40)(s) for s in steps], 0.1 ** (steps // 40), rtol=1e-5)
    root = [schedules.inverse_square_root(100, warmup_steps=25)(s) for s in steps[25:]]
    np.testing.assert_allclose(root, np.sqrt(25 / steps[25:]), rtol=1e-6)


def test_a_rate_of_the_state_multiplies_the_shape() -> None:
    optimizer, hyper = chain("sgd", schedule="cosine", warmup_steps="4")
    rate = optimizer.learning_rate({**hyper, "optimizer.learning_rate": jnp.array(0.3)}, 4)
    np.testing.assert_allclose(rate, 0.3, rtol=1e-6)
