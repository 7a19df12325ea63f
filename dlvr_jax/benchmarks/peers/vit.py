"""The vision transformer, as `models/transformer/vit.py` has it; layers are named as ours."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from dlvr_jax.benchmarks.peers.problem import Peer, Problem
from dlvr_jax.benchmarks.peers.training import classifier
from dlvr_jax.benchmarks.peers.weights import fill_network, fill_parameter

EPSILON = 1e-12  # added to the variance in the norms


class Attention(nn.Module):
    """Every token looks at every other; one matrix makes queries, keys and values."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.packed, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.packed(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return self.output(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden_layer, self.output = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(gelu(self.hidden_layer(x)))


class Block(nn.Module):
    """Attention and feed-forward, each behind its norm and added."""

    def __init__(self, width: int, num_heads: int, hidden: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width, EPSILON), Attention(width, num_heads)
        self.feed_forward_norm, self.feed_forward = nn.LayerNorm(width, EPSILON), FeedForward(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class ViT(nn.Module):
    """Images to logits."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        flat, (height, sidelong, channels) = problem.flat, problem.data["image_shape"]
        patch, width, self.layers = flat["model.patch"], flat["model.width"], flat["model.layers"]
        self.embedding = nn.Conv2d(channels, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros((height // patch) * (sidelong // patch) + 1, width))
        for number in range(self.layers):
            hidden = flat["model.hidden"] or 4 * width
            self.add_module(f"block{number}", Block(width, flat["model.num_heads"], hidden))
        self.norm, self.output = nn.LayerNorm(width, EPSILON), nn.Linear(width, problem.data["num_classes"])

    def forward(self, images: Tensor) -> Tensor:
        patches = self.embedding(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(images), 1, -1), patches], 1) + self.positions
        for number in range(self.layers):
            x = self.get_submodule(f"block{number}")(x)
        return self.output(self.norm(x[:, 0]))


def peer(problem: Problem) -> Peer:
    """Every size."""
    network = ViT(problem)
    fill_network(network, problem.weights)
    for name in ("class_token", "positions"):
        fill_parameter(network.get_parameter(name), problem.weights, f"params/{name}")
    return classifier(problem, network)
