"""LSTM and GRU language models, as `models/modern_rnn/` has them: cuDNN's layers.

PyTorch's layers have a second bias for every gate. Where ours have none it is zero and stays so.

Under autocast cuDNN's recurrent layers compute in float16 whatever type it names, bfloat16 too (PyTorch 2.13).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlvr_jax.benchmarks.peers.problem import Batch, Peer, Problem
from dlvr_jax.benchmarks.peers.training import UNREAL, next_tokens, token_losses, updater
from dlvr_jax.benchmarks.peers.weights import Weights, fill_network

Carry = tuple[Tensor, ...]  # each (layers, batch, features): h and c of an LSTM, h of a GRU


class Recurrent(nn.Module):
    """Tokens and a carry to the logits of the token after each, and the carry after the last."""

    def __init__(self, flat: Mapping[str, Any], vocab_size: int) -> None:
        super().__init__()
        embedding, features, layers = flat["model.embedding"], flat["model.features"], flat["model.layers"]
        self.is_lstm = flat["model.name"] == "modern_rnn.lstm.LSTM"
        self.token = nn.Embedding(vocab_size, embedding)
        self.stack = (nn.LSTM if self.is_lstm else nn.GRU)(embedding, features, layers, batch_first=True)
        self.output = nn.Linear(features, vocab_size)
        if flat["model.tied"]:
            self.output.weight = self.token.weight

    def first(self, rows: int) -> Carry:
        """Zeros: nothing read yet."""
        zeros = self.output.bias.new_zeros(self.stack.num_layers, rows, self.stack.hidden_size)
        return (zeros, zeros) if self.is_lstm else (zeros,)

    def forward(self, tokens: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        x, after = self.stack(self.token(tokens), carry if self.is_lstm else carry[0])
        return self.output(x), after if self.is_lstm else (after,)


def peer(problem: Problem) -> Peer:
    """In streams the carry goes on from step to step."""
    problem.check_plain()
    network = Recurrent(problem.flat, problem.data["vocab_size"])
    fixed = fill(network, problem.weights)
    placed, update = problem.placed(network), updater(problem, network)
    carry = network.first(len(problem.batch["tokens"]))

    def logits(batch: Batch, carry: Carry) -> tuple[Tensor, Carry]:
        with problem.autocast():
            found, after = placed(batch["tokens"][:, :-1], carry)
        return found.float(), after

    def step(batch: Batch) -> Tensor:
        nonlocal carry
        network.train()
        anew = batch["reset"] if "reset" in batch else torch.ones_like(batch["mask"])
        found, after = logits(batch, tuple(part.masked_fill(anew[:, None], 0) for part in carry))
        loss = cross_entropy(found.flatten(0, 1), next_tokens(batch).flatten(), ignore_index=UNREAL)
        update(loss)
        carry = tuple(part.detach().float() for part in after)
        return loss.detach()

    @torch.no_grad()
    def infer(batch: Batch) -> dict[str, Tensor]:
        network.eval()
        found, _ = logits(batch, network.first(len(batch["tokens"])))
        return {"loss": token_losses(found, batch)}

    return Peer(network, step, infer, fixed=fixed)


def fill(network: Recurrent, ours: Weights) -> int:
    """Our weights; how many numbers of the second biases are fixed at zero."""
    matrix = ours.get("params/output/kernel", ours["params/token/embedding"].T)
    fill_network(network, {**ours, "params/output/kernel": matrix, "params/output/bias": ours["params/bias"]})
    layers, features, fixed = network.stack.num_layers, network.stack.hidden_size, 0
    weights: dict[str, Tensor] = {}
    for number in range(layers):
        path = f"params/stack/layers_{number}"
        second = np.zeros_like(ours[f"{path}/bias"])
        if not network.is_lstm:
            second[2 * features :] = ours[f"{path}/recurrent_bias"]  # that which the reset gate acts on
        of_layer = {
            "weight_ih": ours[f"{path}/input"].T,
            "weight_hh": ours[f"{path}/recurrent"].T,
            "bias_ih": ours[f"{path}/bias"],
            "bias_hh": second,
        }
        weights |= {f"{name}_l{number}": torch.tensor(array) for name, array in of_layer.items()}
        fixed += freeze(getattr(network.stack, f"bias_hh_l{number}"), 4 * features if network.is_lstm else 2 * features)
    network.stack.load_state_dict(weights)
    return fixed


def freeze(bias: nn.Parameter, count: int) -> int:
    """Lets no update change the first `count` numbers, which it gives back."""
    if count == len(bias):
        bias.requires_grad_(False)
    else:
        bias.register_hook(lambda gradient: torch.cat([torch.zeros_like(gradient[:count]), gradient[count:]]))
    return count
