"""Pages out of templates; each needs nothing but itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlvr_jax.atomic_write import write_text
from dlvr_jax.displays import Display
from dlvr_jax.errors import UserError
from dlvr_jax.reporting.blocks import Block, blocks

_BYTES = 8_000_000  # for all displays of a page of displays
_TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, page: Mapping[str, Any]) -> str:
    """The text of a template with everything that it names."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(template).render(page)


def write_displays_page(
    path: Path, title: str, heading: str, facts: Sequence[str], displays: Mapping[str, Display]
) -> Path:
    """Writes displays as a page to look at, whole or not at all, and returns its path."""
    return write_page(path, title, facts, {heading: blocks(displays, _BYTES)})


def write_page(path: Path, title: str, facts: Sequence[str], sections: Mapping[str, Sequence[Block]]) -> Path:
    """Writes a page with a section for each heading, whole or not at all, and returns its path.

    Raises:
        UserError: the path is not that of a page, or cannot be written to.
    """
    if path.suffix not in (".html", ".htm"):
        raise UserError(f"{path}: a page must end in .html")
    page = {"title": title, "path": path.absolute().parent, "facts": facts, "sections": sections.items()}
    write_text(path, rendered("displays_page.html.j2", page))
    return path
