"""Every test sees eight virtual CPU devices and the compilation cache."""

import jax

from dlvr_jax import runtime

runtime.start(devices=8)
jax.devices()
