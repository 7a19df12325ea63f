"""GPT-2, as `models/transformer/gpt.py` has it: that of transformers.

Its attention is SDPA without a mask: transformers' own "sdpa" looks for packed texts at each step (a wait for the
device), and makes a mask under torch.compile, which the fastest kernels do not take.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AttentionInterface, GPT2Config, GPT2LMHeadModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from dlvr_jax.benchmarks.peers.problem import Batch, Peer, Problem
from dlvr_jax.benchmarks.peers.training import UNREAL, next_tokens, token_losses, updater
from dlvr_jax.benchmarks.peers.weights import Weights


def peer(problem: Problem) -> Peer:
    """GPT-2's layout at every size."""
    problem.check_plain()
    problem.check_is(("model.positions", "learned"))
    network = gpt2(problem)
    placed, update = problem.placed(network), updater(problem, network)

    def logits(batch: Batch) -> Tensor:
        with problem.autocast():
            return placed(batch["tokens"][:, :-1].long()).logits.float()

    def step(batch: Batch) -> Tensor:
        network.train()
        loss = cross_entropy(logits(batch).flatten(0, 1), next_tokens(batch).flatten(), ignore_index=UNREAL)
        update(loss)
        return loss.detach()

    @torch.no_grad()
    def infer(batch: Batch) -> dict[str, Tensor]:
        network.eval()
        return {"loss": token_losses(logits(batch), batch)}

    return Peer(network, step, infer)


def gpt2(problem: Problem) -> GPT2LMHeadModel:
    """The network with our weights, without dropout."""
    AttentionInterface.register("maskless_sdpa", sdpa_attention_forward)
    flat = problem.flat
    config = GPT2Config(
        vocab_size=problem.data["vocab_size"],
        n_positions=flat["model.context"],
        n_embd=flat["model.width"],
        n_layer=flat["model.layers"],
        n_head=flat["model.num_heads"],
        activation_function="gelu_pytorch_tanh",  # the same function as "gelu_new", as one operation
        attn_implementation="maskless_sdpa",
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    )
    network = GPT2LMHeadModel(config)
    ours = by_their_names(problem.weights, flat["model.layers"])
    network.transformer.load_state_dict({name: torch.tensor(weight) for name, weight in ours.items()})
    return network


def by_their_names(ours: Weights, layers: int) -> dict[str, np.ndarray]:
    """Our weights as transformers calls them; matrices are (in, out) there too."""
    found = {"wte.weight": ours["params/token/embedding"], "wpe.weight": ours["params/place/embedding"]}
    found |= layer(ours, "ln_f", "norm")
    for number in range(layers):
        theirs, block = f"h.{number}", f"blocks_{number}"
        found |= layer(ours, f"{theirs}.ln_1", f"{block}/attention_norm")
        found |= layer(ours, f"{theirs}.attn.c_attn", *(f"{block}/attention/{n}" for n in ("query", "key", "value")))
        found |= layer(ours, f"{theirs}.attn.c_proj", f"{block}/attention/output")
        found |= layer(ours, f"{theirs}.ln_2", f"{block}/feed_forward_norm")
        found |= layer(ours, f"{theirs}.mlp.c_fc", f"{block}/feed_forward/hidden_layer")
        found |= layer(ours, f"{theirs}.mlp.c_proj", f"{block}/feed_forward/output")
    return found


def layer(ours: Weights, theirs: str, *paths: str) -> dict[str, np.ndarray]:
    """Weight and bias of one of their layers: those of ours, side by side."""
    kind = "scale" if f"params/{paths[0]}/scale" in ours else "kernel"
    return {
        f"{theirs}.weight": np.concatenate([ours[f"params/{path}/{kind}"] for path in paths], -1),
        f"{theirs}.bias": np.concatenate([ours[f"params/{path}/bias"] for path in paths], -1),
    }
