"""Where a token stands: sinusoids to add, or a turn of queries and keys. (Learned positions are a plain `nn.Embed`.)"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

LONGEST = 10_000.0  # wave length over 2 pi of the slowest pair of axes, in tokens


def sinusoidal(positions: Int[Array, " length"], width: int) -> Float[Array, "length {width}"]:
    """sin and cos of position / 10000^(2i / width), in turn: Vaswani et al. 2017, section 3.5. `width` is even."""
    angles = positions[:, None] * _frequencies(width)
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1).reshape(len(positions), width)


def rotated(
    x: Float[Array, "batch heads length depth"], positions: Int[Array, " length"] | None = None
) -> Float[Array, "batch heads length depth"]:
    """Turns the axes i and i + depth / 2 by position / 10000^(2i / depth): Su et al. 2021 (RoPE),
    https://arxiv.org/abs/2104.09864, with the pairing of axes of GPT-NeoX and Llama, not of the paper (2i and 2i + 1).

    A product of two turned vectors depends on the difference of their positions alone. `depth` is even; `positions`
    are 0, 1, ... by default. Angles are float32, the result has the type of `x`.
    """
    depth = x.shape[-1]
    positions = jnp.arange(x.shape[-2]) if positions is None else positions
    angles = positions[:, None] * _frequencies(depth)
    sin, cos = jnp.sin(angles), jnp.cos(angles)
    first, second = jnp.split(x.astype(jnp.float32), 2, -1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1).astype(x.dtype)


def _frequencies(width: int) -> Float[Array, " pairs"]:
    """Of each pair of axes, in radians a token."""
    if width % 2:
        raise ValueError(f"positions turn pairs of axes: a width of {width} is odd")
    return LONGEST ** (-jnp.arange(0, width, 2) / width)
