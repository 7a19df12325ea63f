"""A classifier that shows its features, small enough to be written down: for tests of what uses one."""

from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlvr_jax.metrics.feature_file import About, arguments_of, write

SHAPE = (8, 8, 1)


class SmallFeatures(nn.Module):
    """Eight features of a picture, and logits."""

    num_classes: int
    widths: tuple[int, ...] = (8,)

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch {self.num_classes}"]:
        x = images.reshape(len(images), -1)
        for width in self.widths:
            x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Dense(width)(x)))
        self.sow("intermediates", "features", x)
        return nn.Dense(self.num_classes)(x)


def written(path: Path, accuracy: float = 0.95, shape: tuple[int, ...] = SHAPE, **changes: object) -> Path:
    """The file of a random network that claims this test accuracy."""
    model = SmallFeatures(10)
    variables = model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False)
    about = dict(
        model="tests.metrics.small_features.SmallFeatures",
        arguments=arguments_of(model),
        image_shape=shape,
        class_names=tuple("abcdefghij"),
        mean=(0.3,),
        std=(0.4,),
        data="made_up",
        data_fingerprint="0" * 64,
        test_accuracy=accuracy,
        test_examples=10_000,
        config="1" * 64,
    )
    write(path, About(**{**about, **changes}), variables)
    return path
