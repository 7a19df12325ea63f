"""Diffusion by a U-Net, with the loss of `tasks/diffusion.py`: the square error of the noise in an image."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from dlvr_jax.benchmarks.peers.problem import Batch, Peer, Problem, signed
from dlvr_jax.benchmarks.peers.training import updater
from dlvr_jax.benchmarks.peers.unet_network import UNet
from dlvr_jax.benchmarks.peers.weights import fill_network
from dlvr_jax.errors import UserError


def peer(problem: Problem) -> Peer:
    """Inference tells "eps" of the images as they are, at the times 1, 2, ... in turn.

    Raises:
        UserError: another prediction or schedule than the peer knows.
    """
    problem.check_plain()
    problem.check_is(("task.prediction", "eps"))
    flat, steps = problem.flat, problem.flat["task.timesteps"]
    network = UNet(flat, problem.data["image_shape"], problem.data["num_classes"])
    fill_network(network.parts, problem.weights)
    placed, update = problem.placed(network, images=True), updater(problem, network)
    left = alpha_bars(flat["task.schedule"], steps)
    signal, noise = (
        torch.tensor(np.sqrt(part), dtype=torch.float32, device=problem.device) for part in (left, 1 - left)
    )

    def said(images: Tensor, times: Tensor, batch: Batch) -> Tensor:
        with problem.autocast():
            return placed(images, times, batch["label"])

    def step(batch: Batch) -> Tensor:
        network.train()
        images = signed(batch["image"])
        times = torch.randint(1, steps + 1, (len(images),), device=problem.device)
        eps = torch.randn_like(images)
        noised = signal[times][:, None, None, None] * images + noise[times][:, None, None, None] * eps
        loss = mse_loss(said(noised, times, batch), eps)
        update(loss)
        return loss.detach()

    @torch.no_grad()
    def infer(batch: Batch) -> dict[str, Tensor]:
        network.eval()
        times = 1 + torch.arange(len(batch["image"]), device=problem.device) % steps
        return {"eps": said(signed(batch["image"]), times, batch).permute(0, 2, 3, 1)}

    return Peer(network, step, infer, draws=True)


def alpha_bars(schedule: str, steps: int) -> np.ndarray:
    """The share of the image in the variance at the times 0 .. steps: see `layers/noise_schedules.py`."""
    if schedule == "linear":
        betas = np.linspace(0.1 / steps, 20 / steps, steps)
    elif schedule == "cosine":
        rest = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = 1 - rest[1:] / rest[:-1]
    else:
        raise UserError(f"task.schedule = {schedule}: the peer in PyTorch knows linear and cosine")
    return np.concatenate([[1.0], np.cumprod(1 - np.minimum(betas, 0.999))])
