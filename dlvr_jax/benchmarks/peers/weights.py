"""Our parameters in PyTorch's layers. Each function fills a layer from one module's path: "params/c1"."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

Weights = Mapping[str, np.ndarray]


def fill_network(network: nn.Module, ours: Weights) -> None:
    """Every layer of a network that names its layers as ours does: `block1_1.conv1` from "params/block1_1/conv1"."""
    for name, layer in network.named_modules():
        path = name.replace(".", "/")
        match layer:
            case nn.Conv2d():
                fill_convolution(layer, ours, f"params/{path}")
            case nn.ConvTranspose2d():
                fill_transposed(layer, ours, f"params/{path}")
            case nn.Linear() if path.endswith("/packed"):
                fill_packed(layer, ours, f"params/{path.removesuffix('/packed')}")
            case nn.Linear():
                fill_linear(layer, ours, f"params/{path}")
            case nn.BatchNorm2d():
                fill_batch_norm(layer, ours, path)
            case nn.LayerNorm() | nn.GroupNorm():
                fill_norm(layer, ours, f"params/{path}")
            case nn.Embedding():
                fill_embedding(layer, ours, f"params/{path}")


def fill_convolution(layer: nn.Conv2d, ours: Weights, path: str) -> None:
    """From (height, width, in, out), or the matrix (pixels of a window, out) that ours is where windows are apart."""
    kernel = ours[f"{path}/kernel"].reshape(*layer.kernel_size, layer.in_channels, layer.out_channels)
    _fill(layer.weight, kernel.transpose(3, 2, 0, 1))
    if layer.bias is not None:
        _fill(layer.bias, ours[f"{path}/bias"])


def fill_transposed(layer: nn.ConvTranspose2d, ours: Weights, path: str) -> None:
    """From (height, width, out, in)."""
    _fill(layer.weight, ours[f"{path}/kernel"].transpose(3, 2, 0, 1))
    if layer.bias is not None:
        _fill(layer.bias, ours[f"{path}/bias"])


def fill_linear(layer: nn.Linear, ours: Weights, path: str, shape: tuple[int, int, int] | None = None) -> None:
    """From (in, out). `shape` (height, width, channels) is of the map that the input was, if it was one."""
    kernel = ours[f"{path}/kernel"]
    kernel = kernel.reshape(-1, kernel.shape[-1]) if shape is None else kernel.reshape(*shape, -1)
    _fill(layer.weight, kernel.T if shape is None else kernel.transpose(3, 2, 0, 1).reshape(kernel.shape[-1], -1))
    if layer.bias is not None:
        _fill(layer.bias, ours[f"{path}/bias"].reshape(-1))


def fill_packed(layer: nn.Linear, ours: Weights, path: str) -> None:
    """The query, key and value of an attention, one below the other."""
    for kind, tensor in (("kernel", layer.weight), ("bias", layer.bias)):
        _fill(tensor, np.concatenate([ours[f"{path}/{name}/{kind}"].T for name in ("query", "key", "value")]))


def fill_batch_norm(layer: nn.BatchNorm2d, ours: Weights, path: str) -> None:
    """Scale, bias, and the running statistics of the collection "batch_stats"."""
    fill_norm(layer, ours, f"params/{path}")
    assert layer.running_mean is not None and layer.running_var is not None
    _fill(layer.running_mean, ours[f"batch_stats/{path}/mean"])
    _fill(layer.running_var, ours[f"batch_stats/{path}/var"])


def fill_norm(layer: nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm, ours: Weights, path: str) -> None:
    """Scale and bias."""
    _fill(layer.weight, ours[f"{path}/scale"])
    _fill(layer.bias, ours[f"{path}/bias"])


def fill_embedding(layer: nn.Embedding, ours: Weights, path: str) -> None:
    """From (number, features)."""
    _fill(layer.weight, ours[f"{path}/embedding"])


def fill_parameter(parameter: nn.Parameter, ours: Weights, path: str) -> None:
    """One that is no layer's."""
    _fill(parameter, ours[path])


def _fill(tensor: Tensor, ours: np.ndarray) -> None:
    assert tuple(tensor.shape) == ours.shape, f"{tuple(tensor.shape)} is not {ours.shape}"
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(ours)))
