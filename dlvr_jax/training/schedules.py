"""Shapes of the learning rate: from the number of finished updates to a factor of `optimizer.learning_rate`.

Lengths are structure, since optax takes no traced ones; the rate itself is hyper and multiplied outside. `total` is the
number of updates of the run. Every schedule may begin with a linear warm-up of `warmup_steps` updates.
"""

from typing import Annotated

import jax.numpy as jnp
import optax

from dlvr_jax.schema import Between

Steps = Annotated[int, Between(0, None)]


def constant(total: int, *, warmup_steps: Steps = 0) -> optax.Schedule:
    """1 throughout."""
    return _warmed(optax.constant_schedule(1.0), warmup_steps)


def cosine(total: int, *, warmup_steps: Steps = 0) -> optax.Schedule:
    """Half a cosine from 1 to 0: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts."""
    return _warmed(optax.cosine_decay_schedule(1.0, max(total - warmup_steps, 1)), warmup_steps)


def one_cycle(total: int, *, warmup_steps: Steps = 0) -> optax.Schedule:
    """Half a cosine up from 1/25 to 1 (over 30 % of the run, or `warmup_steps`), another down to 4e-6.

    Smith and Topin 2018, https://arxiv.org/abs/1708.07120.
    """
    rise = warmup_steps / total if warmup_steps else 0.3
    return optax.cosine_onecycle_schedule(total, 1.0, pct_start=rise, div_factor=25.0, final_div_factor=1e4)


def step(
    total: int,
    *,
    warmup_steps: Steps = 0,
    drop_every: Annotated[int, Between(1, None)],
    percent: Annotated[int, Between(1, 99)] = 10,
) -> optax.Schedule:
    """Falls to `percent` of itself every `drop_every` updates.

    He et al. 2015, https://arxiv.org/abs/1512.03385, section 3.4.
    """
    decay = optax.exponential_decay(1.0, drop_every, percent / 100, staircase=True)
    return _warmed(lambda count: decay(count + warmup_steps), warmup_steps)


def inverse_square_root(total: int, *, warmup_steps: Steps = 100) -> optax.Schedule:
    """sqrt(warmup / count) after the warm-up: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 5.3."""
    start = max(warmup_steps, 1)
    return _warmed(lambda count: jnp.sqrt(start / (jnp.maximum(count, 0) + start)), warmup_steps)


def _warmed(schedule: optax.Schedule, warmup_steps: int) -> optax.Schedule:
    if not warmup_steps:
        return schedule
    rise = optax.linear_schedule(1 / (warmup_steps + 1), 1.0, warmup_steps)
    return optax.join_schedules([rise, schedule], [warmup_steps])
