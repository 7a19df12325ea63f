"""`./launch.sh results`: makes docs/results.md from the files that `measure` wrote to docs/results/."""

from collections.abc import Sequence

from dlvr_jax.atomic_write import write_text
from dlvr_jax.config import ROOT
from dlvr_jax.reporting.results import read_all
from dlvr_jax.reporting.results_page import page
from experiments.command import arguments, main


def results(argv: Sequence[str]) -> None:
    """Writes the page."""
    arguments("results", "Make docs/results.md from docs/results/*.json.").parse_args(argv)
    found = read_all(ROOT / "docs" / "results")
    (ROOT / "docs").mkdir(exist_ok=True)
    write_text(ROOT / "docs" / "results.md", page(found))
    print(f"docs/results.md: {len(found)} results")


if __name__ == "__main__":
    main(results)
