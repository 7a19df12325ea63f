"""How much noise each step of a diffusion adds: the variances beta_1 .. beta_T of q(x_t | x_{t-1}).

A schedule is a function (steps) -> betas, float64, each above 0 and below 1; `custom` ones are named by their dotted
path.
"""

import numpy as np
from jaxtyping import Float

from dlvr_jax.schema import resolve

LARGEST = 0.999  # beta: at 1 nothing of the image would be left, and the way back would divide by 0

Betas = Float[np.ndarray, " steps"]


def linear(steps: int) -> Betas:
    """From 1e-4 to 0.02: Ho et al. 2020, https://arxiv.org/abs/2006.11239, section 4, where `steps` is 1000.

    Another number of steps scales both ends, so that as much noise comes together, as in Nichol and Dhariwal's code.
    """
    scale = 1000 / steps
    return np.minimum(np.linspace(1e-4 * scale, 0.02 * scale, steps), LARGEST)


def cosine(steps: int, offset: float = 0.008) -> Betas:
    """From alpha-bar(t) = f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2): Nichol and Dhariwal 2021,
    https://arxiv.org/abs/2102.09672, equation 17, with s = `offset` and betas of 0.999 at most.
    """
    angles = (np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2
    remaining = np.cos(angles) ** 2
    return np.minimum(1 - remaining[1:] / remaining[:-1], LARGEST)


def sigmoid(steps: int, start: float = -3.0, end: float = 3.0) -> Betas:
    """From alpha-bar(t) = (s(end) - s(start + (end - start) t / T)) / (s(end) - s(start)), s the logistic function:
    Jabri et al. 2022, https://arxiv.org/abs/2212.11972, algorithm 1 with tau = 1; betas of 0.999 at most.
    """
    falling = 1 / (1 + np.exp(np.linspace(start, end, steps + 1)))  # 1 - s
    remaining = (falling - falling[-1]) / (falling[0] - falling[-1])
    return np.minimum(1 - remaining[1:] / remaining[:-1], LARGEST)


def betas_of(name: str, steps: int) -> Betas:
    """The betas of the schedule of that name: here, or a dotted path to a function of one's own.

    Raises:
        UserError: no such schedule.
        ValueError: it does not give `steps` numbers above 0 and below 1.
    """
    betas = np.asarray(resolve(name, "dlvr_jax.layers.noise_schedules", "task.schedule")(steps), np.float64)
    if betas.shape != (steps,) or not ((betas > 0) & (betas < 1)).all():
        raise ValueError(f"the noise schedule {name} does not give {steps} numbers above 0 and below 1")
    return betas
