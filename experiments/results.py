"""`./launch.sh results`: makes docs/results.md from what `measure` and `sweep --out` wrote to docs/results/."""

from collections.abc import Sequence

from dlvr_jax.atomic_write import write_text
from dlvr_jax.config import ROOT
from dlvr_jax.reporting.results import read_all
from dlvr_jax.reporting.results_page import page
from dlvr_jax.reporting.studies_page import picture, read_studies
from experiments.command import arguments, main


def results(argv: Sequence[str]) -> None:
    """Writes the page, and a picture of each study."""
    arguments("results", "Make docs/results.md from docs/results/*.json.").parse_args(argv)
    found, studies = read_all(ROOT / "docs" / "results"), read_studies(ROOT / "docs" / "results" / "studies")
    (ROOT / "docs").mkdir(exist_ok=True)
    write_text(ROOT / "docs" / "results.md", page(found, studies))
    for study in studies:
        write_text(ROOT / "docs" / "results" / "studies" / f"{study.name}.svg", picture(study))
    print(f"docs/results.md: {len(found)} results, {len(studies)} studies")


if __name__ == "__main__":
    main(results)
