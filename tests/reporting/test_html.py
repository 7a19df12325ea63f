"""The report: whole, small, the same twice, safe, and for runs that have not finished."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dlvr_jax import members
from dlvr_jax.displays import Curves, HeatMap, Images, Table, Text
from dlvr_jax.reporting.blocks import blocks
from dlvr_jax.reporting.html import write_report
from dlvr_jax.reporting.plots import Series, line_chart
from dlvr_jax.run import Run
from tests.reporting.made_up import COMMAND, SUMMARY, made_up_run, record

VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = "</title><script>alert(1)</script>\"'$x$ & {{ 7 * 7 }}"


class Outline(HTMLParser):
    """Fails on tags that do not nest; keeps text, ids, and addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + "\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = made_up_run(tmp_path_factory.mktemp("runs") / "run")
    write_report(run)
    return run


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return (run.path / "report.html").read_text(encoding="utf-8")


def test_every_section_is_there(page: str) -> None:
    outline = Outline(page)
    headings = ["Learning", "Looking closer", "Optimisation", "Make it again", "Cost", "Config", "Environment"]
    displays = ["Confusion", "Right", "Filters", "Calibration", "Per class", "Attention", "Passages", "Wide table"]
    charts = ["Loss", "Accuracy", "Learning rate", "Gradient norm"]
    figures = [
        "lenet5_digits",
        "finished",
        "0.9911",
        "61,706",
        "4.5 s",
        "Guarantee: bit-identical on the same device.",
        "9b1f" * 16,
    ]
    commands = ["./launch.sh " + COMMAND]
    shown = {line.strip() for line in outline.text.splitlines()}
    assert {*headings, *displays, *charts, *figures, *commands} <= shown
    assert "0.1235" not in outline.text, "a detail is no headline"
    assert [tag for tag, _ in outline.tags if tag == "h1"] == ["h1"]


def test_it_is_small_and_needs_nothing_else(run: Run, page: str) -> None:
    assert (run.path / "report.html").stat().st_size < 2_000_000
    tags = Outline(page).tags
    addresses = [attrs[name] for _, attrs in tags for name in ("src", "href", "xlink:href") if name in attrs]
    assert addresses and all(str(address).startswith(("data:", "#")) for address in addresses)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags}
    assert not re.search(r"url\((?!#)|@import", page)


def test_ids_are_unique_and_pictures_described(page: str) -> None:
    tags = Outline(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert all(attrs.get("aria-label") for tag, attrs in tags if tag == "svg")


def test_settings_that_differ_from_the_defaults_are_marked(page: str) -> None:
    marked = re.findall(r'<tr class="set"><th scope="row">([^<]*)', page)
    assert marked == ["model.name", "data.name", "optimizer.learning_rate"]


def test_charts_take_their_colours_from_the_page(page: str) -> None:
    assert "#0102" not in page, "a marker colour was left"
    assert "currentColor" in page and "var(--line0" in page


def test_made_twice_it_is_the_same(run: Run, page: str) -> None:
    assert write_report(run).read_text(encoding="utf-8") == page
    assert not list(run.path.glob("*.tmp")) and not list(run.path.glob(".*.tmp"))


def test_a_run_that_has_not_finished_has_a_report(tmp_path: Path) -> None:
    outline = Outline(write_report(made_up_run(tmp_path, finished=False)).read_text(encoding="utf-8"))
    assert "unfinished" in outline.text and "validation accuracy" in outline.text and "Cost" not in outline.text


def test_a_run_that_has_just_begun_has_a_report(tmp_path: Path) -> None:
    run = made_up_run(tmp_path, finished=False, displays={})
    (run.path / "metrics.jsonl").unlink()
    assert "Config" in Outline(write_report(run).read_text(encoding="utf-8")).text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    shown = {
        "a": HeatMap(np.eye(2), (EVIL, "b"), ("c", EVIL), EVIL, EVIL, EVIL),
        "b": Images(np.zeros((1, 2, 2, 1), np.uint8), (EVIL,), EVIL),
        "c": Curves(np.arange(2.0), np.zeros((1, 2)), (EVIL,), EVIL, EVIL, EVIL),
        "d": Table((EVIL,), ((EVIL,),), EVIL),
        "e": Text((EVIL,), EVIL),
    }
    run = made_up_run(tmp_path, displays=shown)
    run.write("config.json", record(f"configs/{EVIL}.py", EVIL))
    run.append_metrics({"step": 50, "split": "train", EVIL: 1.0, "loss": float("nan")})
    outline = Outline(write_report(run).read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in outline.tags}
    assert outline.text.count("alert(1)") >= 8 and "{{ 7 * 7 }}" in outline.text


@pytest.mark.parametrize("shape", [(3, 4), (30, 40), (1, 1), (1, 400)])
@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -1e300])
def test_strange_numbers_are_drawn_without_a_warning(shape: tuple[int, int], value: float) -> None:
    strange = np.full(shape, value)
    shown = {
        "map": HeatMap(strange, (), (), "x", "y"),
        "curves": Curves(np.arange(float(shape[1])), strange, tuple(map(str, range(shape[0]))), "x", "y"),
    }
    assert all("<svg" in block.svg for block in blocks(shown, 10**6))


@pytest.mark.parametrize("last", [1e-6, 1e9])
def test_the_numbers_of_logarithmic_axes_are_written_plainly(last: float) -> None:
    x = np.arange(40.0)
    svg = line_chart([Series("a", x, np.geomspace(1.0, last, 40))], "step", "", "spans magnitudes")
    assert "mathdefault" not in svg and (">0.01<" in svg or ">1,000,000<" in svg)


def test_a_band_is_drawn_about_a_line() -> None:
    x = np.arange(3.0)
    charts = [
        line_chart([Series("a", x, x, 0, band)], "step", "", "a band") for band in (None, np.array([0, 1, np.nan]))
    ]
    assert ["opacity: 0.14" in svg for svg in charts] == [False, True]


def test_much_to_show_stays_under_two_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shown = {f"n{i}": Images(rng.integers(0, 255, (64, 128, 128, 3), np.uint8), (), "Noise") for i in range(3)}
    texts = {f"t{i}": Text(("word " * 2000,) * 100, f"Text {i}") for i in range(20)}
    report = write_report(made_up_run(tmp_path, displays=shown | texts))
    assert report.stat().st_size < 2_000_000
    assert "Left out to keep this page small" in report.read_text(encoding="utf-8")


def test_the_members_of_a_population_share_a_chart(tmp_path: Path) -> None:
    run = made_up_run(tmp_path, displays={})
    (run.path / "metrics.jsonl").unlink()
    for step, member in np.ndindex(3, 4):
        run.append_metrics({"step": step, "split": "train", "member": member, "loss": float(member + step)})
    page = write_report(run).read_text(encoding="utf-8")
    assert page.count("<svg") == 1


def test_a_population_tells_its_members_first_and_marks_what_is_a_mean(tmp_path: Path) -> None:
    one = {"varied": {}, "failed": 0, "tested_step": 50}
    own = [{"member": k, "seed": k, **one, "metrics": {"test/loss": 0.5 + k}} for k in range(3)]
    own[1]["failed"] = 7
    run = made_up_run(tmp_path, displays={"members": members.table(own)})
    run.write("summary.json", SUMMARY | {"metrics": {"test/loss": 1.5, "validation/accuracy": 0.5}, "members": own})
    text = Outline(write_report(run).read_text(encoding="utf-8")).text.split("\n")
    assert text.count("Members") == 1 and "Looking closer" not in text
    assert text.index("1.500") < text.index("Members") < text.index("failed at step") < text.index("Learning")
    assert text[text.index("1.500") + 1] == "mean over 2 of 3 members"
    assert text[text.index("0.5000") + 1] == "mean over 2 of 3 members"


def test_figures_of_an_unfinished_population_are_means(tmp_path: Path) -> None:
    run = made_up_run(tmp_path, finished=False, displays={})
    for member in range(3):
        run.append_metrics({"step": 50, "split": "validation", "member": member, "loss": 3.0 + member})
    (run.path / "metrics.jsonl").write_text("".join((run.path / "metrics.jsonl").read_text().splitlines(True)[-3:]))
    text = Outline(write_report(run).read_text(encoding="utf-8")).text.split("\n")
    assert "4.000" in text and "mean over 3 members" in text


def test_a_run_alone_has_no_means(page: str) -> None:
    assert "mean over" not in page
