"""The layers of whatever models a function calls, seen while it is traced: as `nn.tabulate`, but for any task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax


@dataclass(frozen=True)
class Layer:
    """One module, at its first call."""

    path: str  # in its model, dotted; of the model itself, its class
    kind: str  # the class
    outputs: tuple[tuple[int, ...], ...]  # the shape of each array that came out, batch and all
    parameters: int  # its own, without those of the modules inside it
    depth: int  # modules around it


def layers_of(function: Callable[..., Any], *arguments: Any) -> list[Layer]:
    """Every module that `function(*arguments)` calls, in the order in which the calls begin. Nothing is computed."""
    found: dict[tuple[int, tuple[str, ...]], Layer | None] = {}  # a place is taken when the call begins
    roots: dict[int, Any] = {}  # kept, so that no two have one id

    def note(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if context.method_name != "__call__":  # perhaps of a module without a place, as for a first carry
            return call(*args, **kwargs)
        key = (id(module.scope.root), module.path)
        if key in found:
            return call(*args, **kwargs)
        found[key] = None
        roots[id(module.scope.root)] = module.scope.root
        result = call(*args, **kwargs)
        found[key] = _layer(module, result)
        return result

    with nn.intercept_methods(note):
        jax.eval_shape(lambda *inner: function(*inner), *arguments)  # a new function: no trace of it is kept anywhere
    return [layer for layer in found.values() if layer is not None]


def _layer(module: nn.Module, result: Any) -> Layer:
    kind = type(module).__name__
    own = [leaf for leaf in module.variables.get("params", {}).values() if not isinstance(leaf, Mapping)]
    outputs = tuple(leaf.shape for leaf in jax.tree.leaves(result) if hasattr(leaf, "shape"))
    return Layer(".".join(module.path) or kind, kind, outputs, sum(leaf.size for leaf in own), len(module.path))
