"""A stack of encoder blocks against BERT: Devlin et al. 2019, https://arxiv.org/abs/1810.04805.

Norm last, GELU, learned positions and padding: what the stacks of our models do not use together.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.layers.attention import padding_mask
from dlvr_jax.layers.layer_norm import LayerNorm
from dlvr_jax.layers.transformer_block import Block
from tests.initialised import uneven

VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS, HIDDEN = 11, 8, 16, 2, 4, 24
LENGTHS = jnp.array([7, 4])
ROUNDING = dict(rtol=1e-5, atol=1e-5)  # float32, two blocks deep, numbers of order 1


class Encoder(nn.Module):
    """Tokens to what is known of each."""

    @nn.compact
    def __call__(self, tokens: jax.Array, lengths: jax.Array) -> jax.Array:
        length = tokens.shape[1]
        x = nn.Embed(VOCABULARY, WIDTH, name="token")(tokens)
        x = LayerNorm(1e-5, name="norm")(x + nn.Embed(CONTEXT, WIDTH, name="place")(jnp.arange(length)))
        exact_gelu = partial(nn.gelu, approximate=False)
        for number in range(LAYERS):
            block = Block(WIDTH, HEADS, HIDDEN, norm_first=False, activation=exact_gelu, name=f"block{number}")
            x, _, _ = block(x, padding_mask(lengths, length), train=False)
        return x


@pytest.mark.compare
def test_a_stack_of_encoder_blocks_is_bert() -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    tokens = jax.random.randint(jax.random.key(0), (2, 7), 1, VOCABULARY)  # 0 is padding there, which learns nothing
    real = np.asarray(jnp.arange(7) < LENGTHS[:, None])
    params = uneven(jax.jit(Encoder().init)(jax.random.key(1), tokens, LENGTHS))["params"]
    theirs = bert(transformers)
    weights = {name: torch.tensor(leaf) for name, leaf in by_their_names(params).items()}
    unset, unexpected = theirs.load_state_dict(weights, strict=False)
    assert not unexpected and set(unset) <= {"embeddings.token_type_embeddings.weight", "embeddings.position_ids"}
    torch.nn.init.zeros_(theirs.embeddings.token_type_embeddings.weight)  # ours has one kind of text

    found = theirs(torch.tensor(np.asarray(tokens, np.int64)), attention_mask=torch.tensor(real)).last_hidden_state
    ours = jax.jit(lambda p: Encoder().apply({"params": p}, tokens, LENGTHS))
    np.testing.assert_allclose(np.asarray(ours(params))[real], found.detach().numpy()[real], **ROUNDING)

    found[torch.tensor(real)].pow(3).mean().backward()
    gradients = jax.jit(jax.grad(lambda p: (Encoder().apply({"params": p}, tokens, LENGTHS)[real] ** 3).mean()))(params)
    own = dict(theirs.named_parameters())
    for name, gradient in by_their_names(gradients).items():
        np.testing.assert_allclose(gradient, own[name].grad, rtol=1e-4, atol=1e-5, err_msg=name)


def bert(transformers):
    """The same sizes, without dropout and without a head."""
    sizes = dict(vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, hidden_size=WIDTH, num_hidden_layers=LAYERS)
    no_dropout = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager")
    config = transformers.BertConfig(
        **sizes, num_attention_heads=HEADS, intermediate_size=HIDDEN, layer_norm_eps=1e-5, **no_dropout
    )
    return transformers.BertModel(config, add_pooling_layer=False)


def by_their_names(params) -> dict[str, np.ndarray]:
    """Our parameters, or gradients, named and laid out as in transformers."""
    found = {
        "embeddings.word_embeddings.weight": params["token"]["embedding"],
        "embeddings.position_embeddings.weight": params["place"]["embedding"],
    }
    norms, layers = {"embeddings.LayerNorm": params["norm"]}, {}
    for number in range(LAYERS):
        block, prefix = params[f"block{number}"], f"encoder.layer.{number}."
        attention, hidden = block["attention"], block["feed_forward"]
        layers |= {f"{prefix}attention.self.{kind}": attention[kind] for kind in ("query", "key", "value")}
        layers |= {f"{prefix}attention.output.dense": attention["output"]}
        layers |= {f"{prefix}intermediate.dense": hidden["hidden_layer"], f"{prefix}output.dense": hidden["output"]}
        norms |= {f"{prefix}attention.output.LayerNorm": block["attention_norm"]}
        norms |= {f"{prefix}output.LayerNorm": block["feed_forward_norm"]}
    for names, kind, turned in ((layers, "kernel", True), (norms, "scale", False)):
        for name, layer in names.items():
            found |= {f"{name}.weight": layer[kind].T if turned else layer[kind], f"{name}.bias": layer["bias"]}
    return {name: np.array(leaf) for name, leaf in found.items()}
