"""Samplers against diffusers, against each other, and on data whose best denoiser is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.tasks.sampling.diffusion_process import Process
from dlvr_jax.tasks.sampling.diffusion_sampling import Route, draws, first_noise, sampled, sampled_path

PROCESS = Process("linear", 1000)
SHAPE = (3, 3, 1)
KEYS = draws(jax.random.key(3), jnp.arange(6))
X = first_noise(KEYS, SHAPE)


def smooth(x, times):
    """Some denoiser."""
    return jnp.tanh(0.5 * x + jnp.sin(times / 100.0)[:, None, None, None])


def test_ddim_draws_nothing_on_its_way() -> None:
    others = draws(jax.random.key(4), jnp.arange(6))
    route = Route.of(PROCESS, "ddim", 20)
    np.testing.assert_array_equal(sampled(route, smooth, X, KEYS), sampled(route, smooth, X, others))
    route = Route.of(PROCESS, "ddim", 20, 0.5)
    assert np.abs(sampled(route, smooth, X, KEYS) - sampled(route, smooth, X, others)).max() > 1e-2


@pytest.mark.parametrize("steps", [1000, 50])
def test_with_eta_one_ddim_is_ancestral_sampling(steps: int) -> None:
    one = sampled(Route.of(PROCESS, "ddim", steps, 1.0), smooth, X, KEYS)
    other = sampled(Route.of(PROCESS, "ancestral", steps), smooth, X, KEYS)
    np.testing.assert_allclose(one, other, atol=1e-4)  # a thousand steps of f32 rounding


def test_an_image_does_not_depend_on_how_many_there_are() -> None:
    route = Route.of(PROCESS, "ancestral", 50)
    np.testing.assert_array_equal(sampled(route, smooth, X[:2], KEYS[:2]), sampled(route, smooth, X, KEYS)[:2])


def test_the_path_ends_in_the_sample() -> None:
    route = Route.of(PROCESS, "ddim", 10, 0.3)
    images, path, guesses = sampled_path(route, smooth, X, KEYS, 2)
    assert path.shape == guesses.shape == (10, 2, *X.shape[1:])
    np.testing.assert_array_equal(path[-1], images[:2])
    np.testing.assert_allclose(images, sampled(route, smooth, X, KEYS), atol=1e-6)  # two programs: f32 rounding
    np.testing.assert_allclose(path[-1], guesses[-1], atol=1e-5)  # the last step goes all the way to the guess


def test_times_begin_at_the_last_and_end_at_zero() -> None:
    assert Route.of(PROCESS, "ddim").times[[0, 1, -2, -1]].tolist() == [1000, 980, 20, 0]
    np.testing.assert_array_equal(Route.of(PROCESS, "ancestral").times, np.arange(1000, -1, -1))
    uneven = Route.of(PROCESS, "ddim", 7).times
    assert (np.diff(uneven) < 0).all() and uneven[0] == 1000 and uneven[-1] == 0


@pytest.mark.parametrize("bad", [dict(sampler="euler"), dict(steps=0), dict(steps=1001), dict(eta=1.5)])
def test_wrong_routes_are_refused(bad: dict) -> None:
    with pytest.raises(UserError):
        Route.of(PROCESS, **bad)


# Gaussian data: the best guess is the mean of a product of two Gaussians, and every step is affine in x_t.
MEAN, DEVIATION = 0.4, 0.3


def best_guess(x, times):
    a, s = (part[:, None, None, None] for part in (PROCESS.signal(times), PROCESS.noise(times)))
    return MEAN + a * DEVIATION**2 / (a**2 * DEVIATION**2 + s**2) * (x - a * MEAN)


@pytest.mark.parametrize(
    ("route", "bias"),
    [
        (Route.of(PROCESS, "ddim", 1000), 0.01),
        (Route.of(PROCESS, "ancestral"), 0.01),
        (Route.of(PROCESS, "ddim", 50), 0.1),  # twenty times longer steps
        (Route.of(PROCESS, "ddim", 1000, 0.5), 0.01),
    ],
)
def test_with_the_best_denoiser_gaussian_data_come_out(route: Route, bias: float) -> None:
    """`bias`: the part of the standard deviation that steps of finite length may cost."""
    count = 20_000
    keys = draws(jax.random.key(0), jnp.arange(count))
    found = np.asarray(jax.jit(lambda x: sampled(route, best_guess, x, keys))(first_noise(keys, (1, 1, 1))))
    np.testing.assert_allclose(found.mean(), MEAN, atol=5 * DEVIATION / np.sqrt(count) + bias * DEVIATION)
    np.testing.assert_allclose(found.std(), DEVIATION, rtol=5 / np.sqrt(2 * count) + bias)


def diffusers_scheduler(kind: str, steps: int):
    diffusers = pytest.importorskip("diffusers")
    own = dict(clip_sample=False, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", timestep_spacing="trailing")
    if kind == "ancestral":
        scheduler = diffusers.DDPMScheduler(num_train_timesteps=1000, variance_type="fixed_small", **own)
    else:
        scheduler = diffusers.DDIMScheduler(num_train_timesteps=1000, set_alpha_to_one=True, **own)
    scheduler.set_timesteps(steps)
    return scheduler


def noise_said(x, time: int):
    """What some network says of x, in numpy: bounded, so that the samples stay of order 1."""
    return np.float32(0.9) * x / np.sqrt(np.float32(1) + np.square(x)) + np.float32(0.1) * np.sin(np.float32(time))


@pytest.mark.compare
@pytest.mark.parametrize(
    ("kind", "steps", "eta"), [("ancestral", 1000, 0.0), ("ddim", 50, 0.0), ("ddim", 1000, 0.0), ("ddim", 50, 0.7)]
)
def test_every_step_is_that_of_diffusers(kind: str, steps: int, eta: float, monkeypatch) -> None:
    """From the same x_t, with what the network says of it, and with the same noise."""
    torch = pytest.importorskip("torch")
    scheduler, route = diffusers_scheduler(kind, steps), Route.of(PROCESS, kind, steps, eta)
    assert scheduler.timesteps.tolist() == (route.times[:-1] - 1).tolist()  # theirs count from 0

    def guess(x, times):
        eps = 0.9 * x / jnp.sqrt(1 + x**2) + 0.1 * jnp.sin(times.astype(jnp.float32))[:, None, None, None]
        return PROCESS.image("eps", eps, x, times)

    _, path, _ = jax.jit(lambda x: sampled_path(route, guess, x, KEYS))(X)
    before = np.concatenate([np.asarray(X)[None], np.asarray(path)[:-1]])
    for number in sorted({0, 1, steps // 2, steps - 2, steps - 1}):
        x, time = before[number], int(route.times[number])
        noise = np.stack([jax.random.normal(jax.random.fold_in(key, number + 1), SHAPE) for key in KEYS])
        said, now = torch.tensor(noise_said(x, time)), scheduler.timesteps[number]
        if kind == "ancestral":
            module = "diffusers.schedulers.scheduling_ddpm.randn_tensor"
            monkeypatch.setattr(module, lambda *_, noise=noise, **__: torch.tensor(noise))
            other = scheduler.step(said, now, torch.tensor(x)).prev_sample
        else:
            more = dict(variance_noise=torch.tensor(noise)) if eta else {}
            other = scheduler.step(said, now, torch.tensor(x), eta=eta, **more).prev_sample
        # Their alpha-bars are products in f32, ours in float64: 1e-5 relative after a thousand factors; and at the
        # last time x_0 is 1 / a_T = 157 times the difference of two numbers of order 1.
        np.testing.assert_allclose(path[number], other.numpy(), rtol=1e-4, atol=1e-4, err_msg=str(number))


@pytest.mark.compare
def test_alpha_bars_and_noising_are_those_of_diffusers() -> None:
    torch = pytest.importorskip("torch")
    scheduler = diffusers_scheduler("ancestral", 1000)
    np.testing.assert_allclose(PROCESS.alpha_bars[1:], scheduler.alphas_cumprod.numpy(), rtol=2e-4)  # f32 products
    times = jnp.array([1, 10, 100, 500, 900, 1000])
    x0, eps = jnp.tanh(X), X[::-1]
    other = scheduler.add_noise(*(torch.tensor(np.asarray(a)) for a in (x0, eps, times - 1)))
    np.testing.assert_allclose(PROCESS.noised(x0, eps, times), other.numpy(), atol=1e-5)


@pytest.mark.compare
def test_the_cosine_schedule_is_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=200, beta_schedule="squaredcos_cap_v2")
    np.testing.assert_allclose(
        1 - np.cumprod(1 - scheduler.betas.numpy().astype(np.float64)),
        1 - Process("cosine", 200).alpha_bars[1:],
        rtol=1e-5,
    )  # their betas are f32
