"""The weights of pytorch-fid's Inception-v3 (`pt_inception-2015-12-05-6726825d.pth`) as safetensors, known by names.

They are nothing but numbers: what the network was trained on and how good it is they do not say.
"""

from collections.abc import Collection, Mapping

import numpy as np

MODEL, OUTPUTS = "modern_cnn.inception_v3.InceptionV3", 1008
_FIRST = "Conv2d_1a_3x3.conv.weight"
_UNUSED = "num_batches_tracked"  # of PyTorch's batch norm
_NORM = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def is_inception(names: Collection[str]) -> bool:
    """Whether arrays of these names are such weights."""
    return _FIRST in names


def renamed(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """PyTorch's arrays under the names of the model here, whose `shapes` are given, float32.

    Raises:
        ValueError: an array is missing, or is one too many, or has another shape.
    """
    kept = {name: array for name, array in tensors.items() if not name.endswith(_UNUSED)}
    found = {_name(name): _turned(np.asarray(array, np.float32)) for name, array in kept.items()}
    which = f"Inception-v3 with {OUTPUTS} outputs"
    for name, array in found.items():
        if shapes.get(name) != array.shape:
            place = f"of shape {shapes[name]}, not {array.shape}" if name in shapes else "not there"
            raise ValueError(f"{name} is {place} in {which}")
    if missing := [name for name in shapes if name not in found]:
        raise ValueError(f"it lacks {len(missing)} arrays of {which}, first {missing[0]}")
    return found


def _name(name: str) -> str:
    """Mixed_5b.branch1x1.bn.running_var -> batch_stats/Mixed_5b/branch1x1/bn/var."""
    *parents, last = name.split(".")
    if parents[-1:] == ["bn"]:
        collection, last = _NORM.get(last, ("params", last))
    else:
        collection, last = "params", {"weight": "kernel"}.get(last, last)
    return "/".join((collection, *parents, last))


def _turned(array: np.ndarray) -> np.ndarray:
    """PyTorch has the outputs of convolutions and affine layers first, then the inputs."""
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))
