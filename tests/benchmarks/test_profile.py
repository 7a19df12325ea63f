"""The most expensive operations of a trace, in words."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from dlvr_jax.benchmarks.profile import most_expensive, trace

PROGRAM = """
  %convolution.1 = f32[8]{0} convolution(%a), metadata={op_name="jit(f)/transpose(jvp(Net))/c1/cond/dot_general"}
  ROOT %fusion.2 = f32[8]{0} fusion(%a), kind=kLoop, metadata={op_name="jit(f)/jvp(Net)/branch_0_fun/reduce_max" id=1}
  %copy.3 = f32[8]{0} copy(%a)
"""


def test_operations_are_added_up_and_said_in_words(tmp_path) -> None:
    events = [("convolution.1", 300), ("fusion.2", 250), ("convolution.1", 300), ("copy.3", 150)]
    traced = [{"ph": "X", "dur": us, "name": op, "args": {"hlo_op": op}} for op, us in events]
    file = tmp_path / "trace.json.gz"
    with gzip.open(file, "wt") as out:
        json.dump({"traceEvents": [*traced, {"ph": "X", "dur": 9e9, "name": "the host"}, {"ph": "M"}]}, out)
    found = most_expensive(file, PROGRAM, steps=2, count=2)
    assert [one.what for one in found] == ["gradient of Net.c1: product", "Net: maximum"]
    assert [one.seconds for one in found] == pytest.approx([300e-6, 125e-6])
    assert [one.share for one in found] == pytest.approx([0.6, 0.25])


def test_a_real_trace_has_the_programs_operations(tmp_path) -> None:
    program = jax.jit(lambda x: jnp.sin(x @ x)).lower(jnp.ones((64, 64))).compile()
    file = trace(lambda: program(jnp.ones((64, 64))), tmp_path)
    found = most_expensive(file, program.as_text())
    assert found and sum(one.share for one in found) == pytest.approx(1)
    assert any("sin" in one.what or "product" in one.what for one in found)
