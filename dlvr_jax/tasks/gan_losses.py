"""What the players of a GAN lower, from scores: each a loss per example, (batch,)."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlvr_jax.errors import UserError
from dlvr_jax.schema import Number
from dlvr_jax.tasks.task import Params, Variables

Kind = Literal["non_saturating", "minimax", "wasserstein", "wasserstein_gp"]
Scores = Float[Array, " batch"]


def discriminator_losses(kind: Kind, real: Scores, fake: Scores) -> Scores:
    """-log D(x) - log(1 - D(G(z))) of logits: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1.

    For a critic f(G(z)) - f(x): Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, equation 3.
    """
    if kind in ("wasserstein", "wasserstein_gp"):
        return fake - real
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def generator_losses(kind: Kind, fake: Scores) -> Scores:
    """-log D(G(z)); `minimax`: log(1 - D(G(z))), flat where D is sure (section 3); critics: -f(G(z))."""
    if kind == "non_saturating":
        return jax.nn.softplus(-fake)
    return -jax.nn.softplus(fake) if kind == "minimax" else -fake


def gradient_norms(
    scores: Callable[[Float[Array, "batch *shape"]], Scores],
    real: Float[Array, "batch *shape"],
    fake: Float[Array, "batch *shape"],
    share: Float[Array, " batch"],
) -> Scores:
    """|df/dx| at x = share real + (1 - share) fake: Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, section 4.

    The gradient of the sum of all scores holds that of each, as long as no example sees another.
    """
    mix = share.reshape(-1, *(1 for _ in real.shape[1:]))
    gradient = jax.grad(lambda x: scores(x).sum())(mix * real + (1 - mix) * fake)
    squared = (gradient**2).sum(range(1, gradient.ndim))
    return jnp.sqrt(squared + 1e-12)  # the root has no derivative at 0


def check_model(model: Any, variables: Variables) -> None:
    """Raises UserError where the critic sees other examples beside each one: see `gradient_norms`."""
    if "discriminator" in variables.get("batch_stats", {}):
        raise UserError(
            "task.kind = wasserstein_gp: its penalty is on each example's own slope, and the discriminator of "
            f"{type(model).__name__} normalises over the batch; use model.name = gan.wgan_gp.WGANGP"
        )


def clipped(params: Params, bound: Number) -> Params:
    """Every parameter within [-bound, bound], so that the critic has a bounded slope: Arjovsky et al. 2017."""
    return jax.tree.map(lambda leaf: jnp.clip(leaf, -bound, bound), params)
