"""How fast a device can multiply matrices: as measured, and as its data sheet says."""

import re
import time
from typing import Any

import jax
import jax.numpy as jnp

from dlvr_jax.random_key import key_of

REPEATS = 10  # products in one program; of as many programs the fastest counts

# Dense products, operations a second, by the beginning of the device's name. float32 is what JAX does with it by
# default: TF32 on NVIDIA, products of bfloat16 on a TPU.
_SHEETS: dict[str, dict[str, float]] = {
    "NVIDIA A100": {"bfloat16": 312e12, "float32": 156e12},
    "NVIDIA H100 PCIe": {"bfloat16": 756e12, "float32": 378e12},
    "NVIDIA H100": {"bfloat16": 989e12, "float32": 494e12},
    "NVIDIA H100 NVL": {"bfloat16": 835e12, "float32": 417e12},
    "NVIDIA H200": {"bfloat16": 989e12, "float32": 494e12},
    "NVIDIA H200 NVL": {"bfloat16": 835e12, "float32": 417e12},
    "NVIDIA L4": {"bfloat16": 121e12, "float32": 60e12},
    "NVIDIA L40S": {"bfloat16": 362e12, "float32": 183e12},
    "TPU v4": {"bfloat16": 275e12, "float32": 275e12},
    "TPU v5 lite": {"bfloat16": 197e12, "float32": 197e12},
    "TPU v5": {"bfloat16": 459e12, "float32": 459e12},
    "TPU v5p": {"bfloat16": 459e12, "float32": 459e12},
    "TPU v6 lite": {"bfloat16": 918e12, "float32": 918e12},
}


def sheet_peak(kind: str, precision: str) -> float | None:
    """By the data sheet of the device named `kind`; None of a device that is not listed, such as a CPU."""
    names = [name for name in _SHEETS if re.match(rf"{re.escape(name)}\b", kind)]
    return _SHEETS[max(names, key=len)][precision] if names else None


def measured_peak(precision: str, size: int) -> float:
    """Operations a second of the product of two random matrices (size, size), the best of some."""
    # each product's input is the last one's output, kept in range: nothing can be left out
    scale = jnp.asarray(size**-0.5, precision)
    a = jax.random.normal(key_of(0), (size, size), precision)
    product = jax.jit(lambda x, a: jax.lax.fori_loop(0, REPEATS, lambda _, y: (y @ a) * scale, x))
    return 2.0 * size**3 * REPEATS / min(_seconds(product, a) for _ in range(1 + REPEATS))


def _seconds(product: Any, matrix: Any) -> float:
    started = time.perf_counter()
    jax.block_until_ready(product(matrix, matrix))
    return time.perf_counter() - started
