"""What tokens stand for, in bytes: so that models with different tokens can be compared by characters and bytes."""

import numpy as np
from jaxtyping import Float

from dlvr_jax.data.subwords import Subwords
from dlvr_jax.data.tokenizers import Bytes, Listed, Tokenizer


def spelling(tokenizer: Tokenizer, i: int) -> bytes:
    """The UTF-8 that a token adds to a text; of a word, with the separator behind it."""
    match tokenizer:
        case Bytes():
            return bytes([i])
        case Subwords():
            return tokenizer.spelling(i)
        case Listed():
            return (tokenizer.tokens[i] + tokenizer.separator).encode()
    return tokenizer.decode([i]).encode()


def token_sizes(tokenizer: Tokenizer) -> tuple[Float[np.ndarray, " vocabulary"], Float[np.ndarray, " vocabulary"]]:
    """Characters and bytes of each token. A character that is spread over tokens counts where it begins."""
    spelled = [spelling(tokenizer, i) for i in range(tokenizer.size)]
    characters = [sum(byte & 0xC0 != 0x80 for byte in token) for token in spelled]  # 10xxxxxx continues a character
    return np.array(characters, np.float32), np.array([len(token) for token in spelled], np.float32)
