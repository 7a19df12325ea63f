"""What recurrent language models share: a table of tokens, a stack of layers, logits of the next token.

Zaremba, Sutskever & Vinyals 2014, https://arxiv.org/abs/1409.2329. Logits may share the table ("tied"): Press & Wolf
2017, https://arxiv.org/abs/1608.05859.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from dlvr_jax.layers.dense import Dense, product
from dlvr_jax.layers.recurrence import Stack
from dlvr_jax.schema import Number


def next_token_logits(
    model: Any,
    stack: Stack,
    tokens: Int[Array, "batch length"],
    carry: PyTree,
    *,
    train: bool,
    dropout: Number | None,
) -> tuple[Float[Array, "batch length vocabulary"], PyTree]:
    """The logits, float32, and the carry after the last token; called inside the compact call of `model`.

    `model` has the fields vocab_size, embedding, features, tied and dtype; the parameters are its own: token, stack,
    output (unless tied) and bias.

    Raises:
        ValueError: tied, with a table of another width than the layers.
    """
    if model.tied and model.embedding != model.features:
        raise ValueError(f"tied logits need embedding = features; they are {model.embedding} and {model.features}")
    scale = model.features**-0.5 if model.tied else 1.0  # of a table that is also a matrix, or of inputs alone
    initial = nn.initializers.normal(scale)
    table = nn.Embed(model.vocab_size, model.embedding, embedding_init=initial, dtype=model.dtype, name="token")
    x, carry = stack(table(tokens), carry, train=train, dropout=dropout)
    bias = model.param("bias", nn.initializers.zeros, (model.vocab_size,))
    if model.tied:
        matrix = jnp.asarray(table.embedding, model.dtype)
        return product(x, matrix.T, preferred_element_type=jnp.float32) + bias, carry
    wide = partial(product, preferred_element_type=jnp.float32)
    output = Dense(model.vocab_size, use_bias=False, dtype=model.dtype, dot_general=wide, name="output")
    return output(x) + bias, carry
