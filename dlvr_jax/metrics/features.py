"""A finished classifier as the network that features and class probabilities of images come from.

A figure such as FID depends on its network and on the examples: `set_up.py` says beside each figure what it rests on.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from dlvr_jax.errors import UserError, blamed
from dlvr_jax.metrics.feature_file import About, read

ACCURACY = 0.92  # on its test split, below which a network is not trusted
EXAMPLES = 5_000  # of each kind, below which a figure is not trusted
_BATCH, _LARGE = 500, 50  # images at once; of a network that makes them as large as it needs them

Pictures = UInt8[np.ndarray, "_ height width channels"]


class Seen(NamedTuple):
    """What the network sees in some images."""

    features: Float[np.ndarray, "count width"]
    probabilities: Float[np.ndarray, "count classes"]


@dataclass(frozen=True)
class FeatureNet:
    """The network in a file (see `feature_file`), read when it is first needed; equal where path and trust are.

    `trusted` lets it be used below a test accuracy of 0.92 and on fewer than 5,000 examples.
    """

    path: str
    trusted: bool = False

    @property
    def about(self) -> About:
        """Raises UserError where the file cannot be read."""
        return read(self.path).about

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the file."""
        return read(self.path).digest

    @property
    def weak(self) -> bool:
        """Whether its test accuracy is known to be too low to be trusted."""
        accuracy = self.about.test_accuracy
        return accuracy is not None and accuracy < ACCURACY

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raises UserError if the network does not fit the images, or is not good enough to be trusted."""
        about = self.about
        if about.image_shape is not None and about.image_shape != tuple(image_shape):
            raise UserError(f"{self.path} takes images of {about.image_shape}, not of {tuple(image_shape)}")
        if about.image_shape is None and image_shape[-1] not in (1, 3):
            raise UserError(f"{self.path} takes images of one or three channels, not of {tuple(image_shape)}")
        if self.weak and not self.trusted:
            raise UserError(
                f"{self.path} has a test accuracy of {about.test_accuracy:.4f} on {about.data}, below {ACCURACY}; "
                "take a better network, or set task.trust_features"
            )
        _fits(self.path, tuple(image_shape))

    def check_counts(self, *counts: int) -> None:
        """Raises UserError if one of the counts of examples is too small to be trusted."""
        if min(counts) < EXAMPLES and not self.trusted:
            raise UserError(
                f"{min(counts)} examples are too few for figures that others can be compared with, which take "
                f"{EXAMPLES}; set task.trust_features to have them nevertheless"
            )

    def __call__(self, images: Pictures) -> Seen:
        """Features and class probabilities of the images, float32. Raises UserError as `check` does."""
        self.check(images.shape[1:])
        contents, parts = read(self.path), []
        rows = _LARGE if contents.about.image_shape is None else _BATCH
        for start in range(0, len(images), rows):
            part = images[start : start + rows]
            padded = np.pad(part, ((0, rows - len(part)), (0, 0), (0, 0), (0, 0)))  # one shape, one program
            found = _seen(contents.model, self.about.mean, self.about.std, contents.variables, padded)
            parts.append([np.asarray(output)[: len(part)] for output in found])
        return Seen(*(np.concatenate(outputs) for outputs in zip(*parts, strict=True)))


def captured(model: Any, variables: Any, inputs: Float[Array, "batch height width channels"]) -> tuple[Array, Array]:
    """The last "features" that the model sows into "intermediates", a row an example, and its logits.

    Raises:
        UserError: it sows none.
    """
    logits, after = model.apply(variables, inputs, train=False, mutable=["intermediates"])
    leaves = jax.tree_util.tree_leaves_with_path(after.get("intermediates", {}))
    sown = [leaf for path, leaf in leaves if any(getattr(part, "key", None) == "features" for part in path)]
    if not sown:
        raise UserError(f'{type(model).__name__} sows no "features" into "intermediates"; a ResNet does')
    return sown[-1].reshape(len(inputs), -1).astype(jnp.float32), logits.astype(jnp.float32)


@lru_cache(maxsize=8)
def _fits(path: str, image_shape: tuple[int, ...]) -> None:
    """Raises UserError where the network does not go with its parameters, or with such images."""
    about, _, model, variables = read(path)
    images = jax.ShapeDtypeStruct((1, *image_shape), np.uint8)
    with blamed(f"{path}: its network {about.model} fails"):
        jax.eval_shape(partial(_seen, model, about.mean, about.std), variables, images)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _seen(
    model: Any, mean: tuple[float, ...], std: tuple[float, ...], variables: Any, images: UInt8[Array, "batch h w c"]
) -> tuple[Array, Array]:
    inputs = (images.astype(jnp.float32) / 255 - jnp.array(mean)) / jnp.array(std)
    features, logits = captured(model, variables, inputs)
    return features, jax.nn.softmax(logits)
