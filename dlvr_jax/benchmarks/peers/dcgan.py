"""DCGAN, as `models/gan/dcgan.py` has it, with the non-saturating step of `tasks/gan.py`; layers are named as ours.

As everywhere in PyTorch, a player's running statistics follow each of its passes in training, the other player's update
included; ours follow its own. Only evaluation reads them.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from dlvr_jax.benchmarks.peers.problem import Batch, Peer, Problem, signed
from dlvr_jax.benchmarks.peers.training import updater
from dlvr_jax.benchmarks.peers.weights import fill_network


class Generator(nn.Module):
    """Noise to images."""

    def __init__(self, latent: int, widths: list[int], image_shape: list[int]) -> None:
        super().__init__()
        height, width, channels = image_shape
        factor, inner = 2 ** len(widths), widths[::-1]
        self.seed = (height // factor, width // factor, inner[0])
        self.project = nn.Linear(latent, self.seed[0] * self.seed[1] * self.seed[2], bias=False)
        self.norm0 = nn.BatchNorm2d(inner[0])
        self.steps = range(1, len(inner))
        for step, inputs, maps in zip(self.steps, inner, inner[1:], strict=False):
            self.add_module(f"up{step}", nn.ConvTranspose2d(inputs, maps, 4, stride=2, padding=1, bias=False))
            self.add_module(f"norm{step}", nn.BatchNorm2d(maps))
        self.output = nn.ConvTranspose2d(inner[-1], channels, 4, stride=2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.project(z).view(-1, *self.seed).permute(0, 3, 1, 2)  # in memory channels are last
        x = self.norm0(x).relu()
        for step in self.steps:
            x = self.get_submodule(f"norm{step}")(self.get_submodule(f"up{step}")(x)).relu()
        return self.output(x).float().tanh()


class Discriminator(nn.Module):
    """Images to logits."""

    def __init__(self, widths: list[int], image_shape: list[int]) -> None:
        super().__init__()
        height, width, channels = image_shape
        factor = 2 ** len(widths)
        self.down1 = nn.Conv2d(channels, widths[0], 4, stride=2, padding=1)
        self.steps = range(2, len(widths) + 1)
        for step, inputs, maps in zip(self.steps, widths, widths[1:], strict=False):
            self.add_module(f"down{step}", nn.Conv2d(inputs, maps, 4, stride=2, padding=1, bias=False))
            self.add_module(f"norm{step}", nn.BatchNorm2d(maps))
        self.output = nn.Linear((height // factor) * (width // factor) * widths[-1], 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        x = leaky_relu(self.down1(images), 0.2)
        for step in self.steps:
            x = leaky_relu(self.get_submodule(f"norm{step}")(self.get_submodule(f"down{step}")(x)), 0.2)
        x = x.permute(0, 2, 3, 1).flatten(1).float()
        with torch.autocast(x.device.type, enabled=False):  # as ours: scores in float32
            return self.output(x)[:, 0]


def peer(problem: Problem) -> Peer:
    """An update of the discriminator and one of the generator; the loss is the discriminator's.

    Raises:
        UserError: it is another game.
    """
    problem.check_plain()
    problem.check_is(("task.kind", "non_saturating"), ("task.critic_steps", 1), ("task.discriminator_speed", None))
    widths, latent, shape = problem.flat["model.widths"], problem.flat["model.latent"], problem.data["image_shape"]
    network = nn.ModuleDict(
        {"generator": Generator(latent, widths, shape), "discriminator": Discriminator(widths, shape)}
    )
    fill_network(network, problem.weights)
    generator, discriminator = network["generator"], network["discriminator"]
    generate, discriminate = problem.placed(generator, images=True), problem.placed(discriminator, images=True)
    update_generator, update_discriminator = updater(problem, generator), updater(problem, discriminator)

    def noise(batch: Batch) -> Tensor:
        return torch.randn(len(batch["image"]), latent, device=problem.device)

    def discriminator_step(batch: Batch) -> Tensor:
        with problem.autocast():
            with torch.no_grad():
                made = generate(noise(batch))
            real_scores, fake_scores = discriminate(signed(batch["image"])), discriminate(made)
        loss = (softplus(-real_scores) + softplus(fake_scores)).mean()
        update_discriminator(loss)
        return loss.detach()

    def generator_step(batch: Batch) -> None:
        discriminator.requires_grad_(False)
        with problem.autocast():
            scores = discriminate(generate(noise(batch)))
        update_generator(softplus(-scores).mean())
        discriminator.requires_grad_(True)

    def step(batch: Batch) -> Tensor:
        network.train()
        loss = discriminator_step(batch)
        generator_step(batch)
        return loss

    @torch.no_grad()
    def infer(batch: Batch) -> dict[str, Tensor]:
        network.eval()
        with problem.autocast():
            return {"score": discriminate(signed(batch["image"]))}

    return Peer(network, step, infer, draws=True)
