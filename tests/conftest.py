"""Every test sees eight virtual CPU devices and the compilation cache, and compiles fast rather than well.

Without LLVM's dearer passes a test takes two thirds of the time; the programs stay the same, up to rounding.
"""

import os

FAST = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST}".strip()  # read when JAX makes its backend

import jax  # noqa: E402

from dlvr_jax import runtime  # noqa: E402

runtime.start(devices=8)
jax.devices()
