"""Images of another data set than the one at hand: what a density should find unlikely."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from dlvr_jax.data.sources import Source
from dlvr_jax.errors import UserError
from dlvr_jax.schema import REQUIRED, fields_of, resolve


@dataclass(frozen=True)
class OtherImages:
    """The test split of a data set by its name, with its default arguments; read when it is first asked for."""

    name: str

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raises UserError if there is no such data set, or its images have another shape."""
        feature = self._source().spec.features.get("image")
        if feature is None or feature.shape != tuple(image_shape):
            has = "no images" if feature is None else f"images of {feature.shape}"
            raise UserError(f"task.other_data = {self.name}: has {has}, where {tuple(image_shape)} is needed")

    def __call__(self) -> UInt8[np.ndarray, "count height width channels"]:
        """The images."""
        return np.asarray(self._source().arrays("test")["image"])

    def _source(self) -> Source:
        make: Callable[[], Source] = resolve(self.name, "dlvr_jax.data.builders", "task.other_data")
        needed = [name for name, field in fields_of(make).items() if field.default is REQUIRED]
        if needed:
            raise UserError(f"task.other_data = {self.name}: needs {', '.join(needed)}; name one that needs nothing")
        return make()
