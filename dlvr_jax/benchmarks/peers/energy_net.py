"""A convolutional energy, as `models/ebm/energy_net.py` has it, with the step of `tasks/energy.py`: Langevin chains out
of a replay buffer. Layers are named as ours.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from dlvr_jax.benchmarks.peers.problem import Batch, Peer, Problem, signed
from dlvr_jax.benchmarks.peers.training import updater
from dlvr_jax.benchmarks.peers.weights import fill_network


class EnergyNet(nn.Module):
    """Images to one energy each."""

    def __init__(self, flat: Mapping[str, Any], image_shape: list[int]) -> None:
        super().__init__()
        height, width, inputs = image_shape
        first, batch = flat["model.full_resolution"], flat["model.norm"] == "batch"
        self.full_resolution = None if first is None else nn.Conv2d(inputs, first, 3, padding=1)
        inputs = first or inputs
        self.steps = range(1, len(flat["model.widths"]) + 1)
        for step, maps in zip(self.steps, flat["model.widths"], strict=True):
            self.add_module(f"conv{step}", nn.Conv2d(inputs, maps, 4, stride=2, padding=1, bias=not batch))
            self.add_module(f"norm{step}", nn.BatchNorm2d(maps) if batch else nn.Identity())
            height, width, inputs = (height + 1) // 2, (width + 1) // 2, maps
        self.energy = nn.Linear(height * width * inputs, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        x = images if self.full_resolution is None else silu(self.full_resolution(images))
        for step in self.steps:
            if x.shape[2] % 2 or x.shape[3] % 2:
                x = pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))  # an odd side gets one more behind
            x = silu(self.get_submodule(f"norm{step}")(self.get_submodule(f"conv{step}")(x)))
        x = x.permute(0, 2, 3, 1).flatten(1).float()
        with torch.autocast(x.device.type, enabled=False):  # as ours: energies in float32
            return self.energy(x)[:, 0]


def peer(problem: Problem) -> Peer:
    """The buffer is the peer's own."""
    problem.check_plain()
    flat, l2 = problem.flat, problem.flat["task.energy_l2"] or 0
    network = EnergyNet(flat, problem.data["image_shape"])
    fill_network(network, problem.weights)
    energy, update = problem.placed(network, images=True), updater(problem, network)
    images = signed(problem.batch["image"])
    buffer = uniform(images[:1].expand(max(flat["task.buffer_size"], len(images)), -1, -1, -1))
    move = torch.compile(moved) if problem.compiled else moved

    def chains(start: Tensor) -> Tensor:
        network.eval().requires_grad_(False)
        x = start
        for _ in range(flat["task.langevin_steps"]):
            x.requires_grad_()
            with problem.autocast():
                slope = torch.autograd.grad(energy(x).sum(), x)[0]
            x = move(x.detach(), slope, flat["task.step_size"], flat["task.noise"], flat["task.clip"])
        network.train().requires_grad_(True)
        return x

    def step(batch: Batch) -> Tensor:
        images = signed(batch["image"])
        rows = torch.randperm(len(buffer), device=problem.device)[: len(images)]
        anew = torch.rand(len(images), 1, 1, 1, device=problem.device) < flat["task.restart"]
        ends = chains(torch.where(anew, uniform(images), buffer[rows]))
        with problem.autocast():
            real, sampled = energy(torch.cat([images, ends])).chunk(2)
        loss = (real - sampled + l2 * (real**2 + sampled**2)).mean()
        update(loss)
        buffer[rows] = ends
        return loss.detach()

    @torch.no_grad()
    def infer(batch: Batch) -> dict[str, Tensor]:
        network.eval()
        with problem.autocast():
            return {"energy": energy(signed(batch["image"]))}

    return Peer(network, step, infer, draws=True)


def uniform(like: Tensor) -> Tensor:
    """Images of noise, anywhere in [-1, 1]."""
    return torch.rand_like(like, memory_format=torch.channels_last) * 2 - 1


def moved(x: Tensor, slope: Tensor, step_size: float, noise: float, clip: float | None) -> Tensor:
    """A Langevin step; `clip` bounds each pixel's slope."""
    slope = slope if clip is None else slope.clamp(-clip, clip)
    return (x - step_size * slope + noise * torch.randn_like(x)).clamp(-1, 1)
