"""When the loop does what: all cadences are in finished updates."""


def due(step: int, every: int, last: int) -> bool:
    """At every multiple, and at the end."""
    return step % every == 0 or step == last


def nearest_multiples(number: int, unit: int) -> tuple[int, int]:
    """The multiples of `unit` below (at least one unit) and above a number: what an error offers."""
    below = max(number // unit, 1) * unit
    return below, below + unit
