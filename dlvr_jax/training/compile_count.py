"""How many programs a process compiled, in what time, and how many of them came out of the cache on disk."""

from dataclasses import dataclass
from typing import Any

import jax


@dataclass
class CompileCount:
    """Counts from the moment it is made, by the events that JAX announces; one for a process.

    `seconds` are those of all programs together, also of those that are compiled side by side.
    """

    programs: int = 0
    seconds: float = 0.0
    cache_hits: int = 0

    def __post_init__(self) -> None:
        jax.monitoring.register_event_duration_secs_listener(self._duration)
        jax.monitoring.register_event_listener(self._event)

    def _duration(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.programs += 1
            self.seconds += duration_secs

    def _event(self, event: str, **_: Any) -> None:
        if event == "/jax/compilation_cache/cache_hits":
            self.cache_hits += 1
