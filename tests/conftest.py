"""Every test sees eight virtual CPU devices and the compilation cache, and compiles fast rather than well.

At LLVM's level 1 a test takes two thirds of the time; the programs stay the same, up to rounding. (At level 0 some are
wrong: the gradient of a 7 x 7 convolution is not finite.)
"""

import os
import re

FAST = "--xla_backend_optimization_level=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST}".strip()  # read when JAX makes its backend

import jax  # noqa: E402
import pytest  # noqa: E402
from xdist.scheduler import LoadScopeScheduling  # noqa: E402

from dlvr_jax import runtime  # noqa: E402

runtime.start(devices=8)
jax.devices()


class ByConfig(LoadScopeScheduling):
    """Tests of one config, and all others of one file, run on one worker, which makes their programs once."""

    def _split_scope(self, nodeid: str) -> str:
        config = re.search(r"configs/\w+/\w+\.py", nodeid)
        return config[0] if config else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByConfig:
    return ByConfig(config, log)
