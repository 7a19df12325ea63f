"""What a traced program consists of."""

from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr


def equations(program: ClosedJaxpr | Jaxpr) -> Iterator[Any]:
    """Every equation, also those of its calls, loops and branches."""
    for equation in (program.jaxpr if isinstance(program, ClosedJaxpr) else program).eqns:
        yield equation
        for inner in subprograms(equation.params.values()):
            yield from equations(inner)


def subprograms(parts: Any) -> Iterator[Jaxpr]:
    """The programs among an equation's parts: of a call, `jit`, `remat`, custom derivatives, a loop, of each branch."""
    for part in parts:
        if isinstance(part, ClosedJaxpr):
            yield part.jaxpr
        elif isinstance(part, Jaxpr):
            yield part
        elif isinstance(part, tuple):
            yield from subprograms(part)
