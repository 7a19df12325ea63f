"""What our side hands to a peer, in a folder: config, weights, one training batch; and what a peer is.

The modules here rebuild our networks in PyTorch, by `torch.nn` and `transformers`, as documented there. None imports
JAX: a peer runs in a process of its own, maybe of another Python.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlvr_jax.benchmarks.plain import plain_flags
from dlvr_jax.errors import UserError

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Peer:
    """A network in PyTorch with our weights, and what is measured of it."""

    network: nn.Module  # all that is trained
    step: Callable[[Batch], Tensor]  # one update; gives the mean loss before it
    infer: Callable[[Batch], dict[str, Tensor]]  # what our task's `predict` says of the batch's examples
    draws: bool = False  # whether the step draws random numbers, so that its losses cannot be ours
    fixed: int = 0  # of its parameters' numbers those that no update changes: biases that PyTorch has beyond ours


@dataclass(frozen=True)
class Problem:
    """What is to be built: `flat` is the complete config, by dotted keys."""

    flat: Mapping[str, Any]
    data: Mapping[str, Any]  # what models take of the data: num_classes, image_shape, vocab_size; and mean, std
    weights: Mapping[str, np.ndarray]  # ours, by path: "params/c1/kernel", "batch_stats/stem_norm/mean"
    batch: Batch  # of a training step, on the device; images are bytes (batch, height, width, channels)
    device: torch.device
    compiled: bool = False  # whether networks go through torch.compile

    @classmethod
    def read(cls, folder: Path, compiled: bool = False) -> "Problem":
        """What `benchmarks/problem_folder.py` wrote. Raises UserError for a device that is neither CPU nor CUDA's."""
        told = json.loads((folder / "problem.json").read_text(encoding="utf-8"))
        if told["device"] not in ("cpu", "cuda"):
            raise UserError(f"there is no peer in PyTorch on a {told['device']}")
        device = torch.device(told["device"])
        with np.load(folder / "weights.npz") as weights, np.load(folder / "batch.npz") as batch:
            arrays = {name: torch.from_numpy(batch[name]).to(device) for name in batch.files}
            return cls(told["flat"], told["data"], dict(weights.items()), arrays, device, compiled)

    @property
    def precision(self) -> torch.dtype:
        """Of the arithmetic: parameters are float32."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.flat["train.precision"]]

    def autocast(self) -> torch.autocast:
        """The context of forward passes: does nothing in float32."""
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

    def placed(self, network: nn.Module, images: bool = False) -> Any:
        """The network on the device, compiled where asked for; `images`: with channels last in memory."""
        network = network.to(self.device, memory_format=torch.channels_last if images else torch.preserve_format)
        return torch.compile(network) if self.compiled else network

    def standardized(self, images: Tensor) -> Tensor:
        """Bytes (batch, height, width, channels) as standardised floats (batch, channels, height, width).

        In memory channels stay last.
        """
        mean = torch.tensor(self.data["mean"], device=self.device)
        std = torch.tensor(self.data["std"], device=self.device)
        return ((images / 255 - mean) / std).permute(0, 3, 1, 2)

    def check_is(self, *known: tuple[str, Any]) -> None:
        """Raises UserError where the config differs from the one value of a key that this peer knows."""
        for key, value in known:
            if self.flat[key] != value:
                raise UserError(f"{key} = {self.flat[key]}: the peer in PyTorch knows {value} alone")

    def check_plain(self) -> None:
        """Raises UserError where the config asks for what no peer does."""
        flags = plain_flags(self.flat)
        if flags:
            raise UserError(
                *(f"{k} = {self.flat[k]}: no peer in PyTorch has that; give --config.{k}={v}" for k, v in flags.items())
            )


def signed(images: Tensor) -> Tensor:
    """Bytes (batch, height, width, channels) as floats in [-1, 1], (batch, channels, height, width).

    In memory channels stay last.
    """
    return (images / 127.5 - 1).permute(0, 3, 1, 2)
