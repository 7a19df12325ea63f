"""What the peers' steps have in common: the optimiser that a config names, an update, a classifier's step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlvr_jax.benchmarks.peers.problem import Batch, Peer, Problem
from dlvr_jax.errors import UserError

UNREAL = -100  # the token that cross_entropy leaves out


def optimizer_of(problem: Problem, network: nn.Module) -> torch.optim.Optimizer:
    """The config's, in PyTorch's fused form; decay spares biases and norms, as ours does. The rate is the config's.

    Raises:
        UserError: the peers have no such optimiser, or it decays in a way that PyTorch's does not.
    """
    flat = problem.flat
    rate, l2, decay = flat["optimizer.learning_rate"], flat["optimizer.l2"] or 0, flat["optimizer.weight_decay"] or 0
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    name = flat["optimizer.name"]
    if decay and (l2 or name == "sgd"):
        raise UserError(f"optimizer.weight_decay = {decay}: with {name} and l2 = {l2} PyTorch has no such decay")
    settings: dict[str, Any] = {"lr": rate, "fused": True}
    if name == "sgd":
        momentum, nesterov = flat["optimizer.momentum"] or 0.0, flat["optimizer.nesterov"]
        groups = [{"params": matrices, "weight_decay": l2}, {"params": others, "weight_decay": 0}]
        return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov, **settings)
    if name in ("adam", "adamw"):
        betas, eps = (flat["optimizer.b1"], flat["optimizer.b2"]), flat["optimizer.eps"]
        groups = [{"params": matrices, "weight_decay": l2 or decay}, {"params": others, "weight_decay": 0}]
        kind = torch.optim.Adam if l2 or not decay else torch.optim.AdamW
        return kind(groups, betas=betas, eps=eps, **settings)
    raise UserError(f"optimizer.name = {name}: the peers in PyTorch have sgd, adam and adamw")


def updater(problem: Problem, network: nn.Module) -> Callable[[Tensor], None]:
    """From a loss to the next parameters: backward pass, clipping, update."""
    optimizer, clip = optimizer_of(problem, network), problem.flat["optimizer.clip_norm"]
    parameters = list(network.parameters())

    def update(loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()

    return update


def classifier(problem: Problem, network: nn.Module) -> Peer:
    """An image classifier's peer: `network` gives logits."""
    problem.check_plain()
    placed, update = problem.placed(network, images=True), updater(problem, network)

    def logits(batch: Batch) -> Tensor:
        with problem.autocast():
            return placed(problem.standardized(batch["image"])).float()

    def step(batch: Batch) -> Tensor:
        network.train()
        loss = cross_entropy(logits(batch), batch["label"].long())
        update(loss)
        return loss.detach()

    @torch.no_grad()
    def infer(batch: Batch) -> dict[str, Tensor]:
        network.eval()
        return {"probabilities": logits(batch).softmax(-1)}

    return Peer(network, step, infer)


def token_losses(logits: Tensor, batch: Batch) -> Tensor:
    """Of each token (batch, length), zero beyond an example's length."""
    wanted = next_tokens(batch)
    losses = cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=UNREAL, reduction="none")
    return losses.view(wanted.shape)


def next_tokens(batch: Batch) -> Tensor:
    """What a language model learns to say: the token after each, UNREAL beyond an example's length."""
    tokens = batch["tokens"][:, 1:].long()
    places = torch.arange(tokens.shape[1], device=tokens.device)
    return tokens.masked_fill(places >= batch["length"][:, None], UNREAL)
