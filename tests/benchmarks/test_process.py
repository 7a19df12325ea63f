"""A side of a measurement answers lines, and where it ends its reason is told."""

import sys
import textwrap

import pytest

from dlvr_jax.benchmarks.process import Processes, Side
from dlvr_jax.errors import UserError


def side(body: str) -> Side:
    """A process with this body, in which `serve` and its kin are known."""
    head = "from dlvr_jax.benchmarks.process import own_stdout, run, serve\nfrom dlvr_jax.errors import UserError\n"
    return Side([sys.executable, "-c", head + textwrap.dedent(body)], {"WORD": "told"}, Processes())


def test_a_side_says_what_it_is_and_answers_until_it_is_ended() -> None:
    body = """
        import os
        out = own_stdout()
        print("what others print does not get in between")
        serve({"word": os.environ["WORD"]}, {"add": lambda a, b: a + b, "name": lambda: "x"}, out)
    """
    with side(body) as one:
        assert one.told == {"word": "told"}
        assert one.ask("add", 2, 3) == 5 and one.ask("name") == "x"


def test_a_mistake_is_the_sides_own_line() -> None:
    with pytest.raises(UserError, match=r"^no such thing; take another$"):
        side("def main(): raise UserError('no such thing', 'take another')\nrun(main)")


def test_a_side_that_breaks_is_told_with_its_last_line() -> None:
    body = "out = own_stdout()\nserve({}, {'fail': lambda: 1 / 0}, out)"
    with side(body) as one, pytest.raises(UserError, match=r"exit code 1: ZeroDivisionError: division by zero"):
        one.ask("fail")
