"""The block against PyTorch's layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.attention import causal_mask, padding_mask
from dlvr_jax.layers.transformer_block import Block

WIDTH, HEADS, HIDDEN = 12, 3, 20
ROUNDING = dict(rtol=1e-5, atol=1e-5)  # float32, about ten layers deep, numbers of order 1


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def block_of(x: jax.Array, memory: jax.Array | None = None, **fields):
    """A block, and parameters none of which are zero or one."""
    block = Block(WIDTH, HEADS, HIDDEN, cross=memory is not None, activation=jax.nn.relu, **fields)

    def whole(block: Block) -> jax.Array:
        return block(x, memory=None if memory is None else block.memory(memory), train=False)[0]

    params = block.init(jax.random.key(1), method=whole)
    return block, jax.tree.map(lambda leaf: leaf + 0.1 * jnp.sin(jnp.arange(leaf.size)).reshape(leaf.shape), params)


def copy_into(layer, params) -> None:
    """Ours into a layer of torch.nn."""
    torch = pytest.importorskip("torch")

    def tensor(x) -> object:
        return torch.tensor(np.asarray(x))

    norms = ["attention_norm", *(["cross_norm"] if "cross_norm" in params else []), "feed_forward_norm"]
    with torch.no_grad():
        for number, name in enumerate(norms, start=1):
            getattr(layer, f"norm{number}").weight.copy_(tensor(params[name]["scale"]))
            getattr(layer, f"norm{number}").bias.copy_(tensor(params[name]["bias"]))
        for name, own in (("self_attn", "attention"), ("multihead_attn", "cross_attention")):
            if own in params:
                theirs, kinds = getattr(layer, name), ("query", "key", "value")
                theirs.in_proj_weight.copy_(tensor(np.concatenate([params[own][k]["kernel"].T for k in kinds])))
                theirs.in_proj_bias.copy_(tensor(np.concatenate([params[own][k]["bias"] for k in kinds])))
                theirs.out_proj.weight.copy_(tensor(params[own]["output"]["kernel"].T))
                theirs.out_proj.bias.copy_(tensor(params[own]["output"]["bias"]))
        for name, own in (("linear1", "hidden_layer"), ("linear2", "output")):
            getattr(layer, name).weight.copy_(tensor(params["feed_forward"][own]["kernel"].T))
            getattr(layer, name).bias.copy_(tensor(params["feed_forward"][own]["bias"]))


@pytest.mark.compare
@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_block_is_pytorchs(norm_first: bool) -> None:
    torch = pytest.importorskip("torch")
    x = normal(0, 2, 5, WIDTH)
    block, params = block_of(x, norm_first=norm_first)
    theirs = torch.nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True, norm_first=norm_first)
    copy_into(theirs, params["params"])
    found = theirs(torch.tensor(np.asarray(x)), src_key_padding_mask=torch.arange(5) >= torch.tensor([[5], [3]]))
    ours, _, _ = block.apply(params, x, padding_mask(jnp.array([5, 3]), 5), train=False)
    np.testing.assert_allclose(ours, found.detach(), **ROUNDING)


@pytest.mark.compare
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_block_is_pytorchs(norm_first: bool) -> None:
    torch = pytest.importorskip("torch")
    x, memory = normal(0, 2, 5, WIDTH), normal(1, 2, 7, WIDTH)
    block, params = block_of(x, memory, norm_first=norm_first)
    theirs = torch.nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True, norm_first=norm_first)
    copy_into(theirs, params["params"])
    found = theirs(
        torch.tensor(np.asarray(x)),
        torch.tensor(np.asarray(memory)),
        tgt_mask=torch.triu(torch.ones(5, 5, dtype=torch.bool), 1),
        memory_key_padding_mask=torch.arange(7) >= torch.tensor([[7], [3]]),
    )
    mask = padding_mask(jnp.array([7, 3]), 7)
    ours, _, weights = block.apply(
        params,
        method=lambda b: b(x, causal_mask(5, 5), memory=b.memory(memory), memory_mask=mask, train=False),
    )
    np.testing.assert_allclose(ours, found.detach(), **ROUNDING)
    assert weights.shape == (2, HEADS, 5, 7) and (weights[1, ..., 3:] == 0).all()


def test_dropout_acts_in_training_alone() -> None:
    x = normal(0, 2, 5, WIDTH)
    block, params = block_of(x)
    rngs = {"dropout": jax.random.key(0)}
    plain = block.apply(params, x, train=False)[0]
    for rates in (dict(dropout=0.5), dict(attention_dropout=0.5)):
        np.testing.assert_array_equal(block.apply(params, x, train=False, **rates)[0], plain)
        assert not np.allclose(block.apply(params, x, train=True, **rates, rngs=rngs)[0], plain, atol=1e-2)
