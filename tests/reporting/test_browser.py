"""The report in a browser: on a phone, in both colour schemes."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from dlvr_jax.reporting.html import write_report
from dlvr_jax.sweeps.report import write_report as write_report_of_sweep
from tests.reporting.made_up import made_up_run
from tests.sweeps.made_up import made_up_sweep

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--virtual-time-budget=2000",
        "--dump-dom",
        "--hide-scrollbars",
    ),
]
# A window cannot be as narrow as a phone, a frame can; frames of files may talk only by messages.
ASK = """<script>addEventListener("load", () => parent.postMessage(JSON.stringify({
    width: document.documentElement.scrollWidth, inside: innerWidth,
    page: getComputedStyle(document.body).backgroundColor, text: getComputedStyle(document.body).color,
    drawn: [...document.querySelectorAll("svg")].every(svg => svg.getBoundingClientRect().height > 50),
    axis: getComputedStyle(document.querySelector("svg text")).fill,
    requests: performance.getEntriesByType("resource").filter(each => !each.name.startsWith("data:")).length,
    broken: [...document.images].filter(image => !image.naturalWidth).length,
    clipped: [...document.querySelectorAll("h1,h2,h3,p,dd,dt,blockquote,pre")]
        .filter(each => each.getBoundingClientRect().right > innerWidth + 1).length,
}), "*"))</script></body>"""
FRAME = """<title></title><body><script>addEventListener("message", event => document.title = event.data)</script>
<iframe src="page.html" style="border: 0; width: {width}px; height: 800px"></iframe>"""


def report_of_a_run(path: Path) -> Path:
    return write_report(made_up_run(path))


def report_of_a_sweep(path: Path) -> Path:
    rates = {"optimizer.learning_rate": (1e-3, 1e-2, 1e-1, 1.0), "model.dropout": (0.0, 0.2, 0.4)}
    what = {"question": "Which rate?", "grid": rates, "seeds": (0, 1)}
    made = made_up_sweep(path, what, lambda member: 0.5 + member.point * 0.01 if member.point else None)
    return write_report_of_sweep(made.folder, made.base, made.sweep, made.judge)


@pytest.fixture(scope="module", params=[report_of_a_run, report_of_a_sweep])
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    if BROWSER is None:
        pytest.skip("no chromium on this machine (chromium, chromium-browser or google-chrome on PATH)")
    folder = tmp_path_factory.mktemp("browser")
    report = request.param(folder / "run").read_text(encoding="utf-8")
    (folder / "page.html").write_text(report.replace("</body>", ASK), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light")])
def test_the_page_fits_and_follows_the_colour_scheme(folder: Path, width: int, scheme: str) -> None:
    seen = _opened(folder, width, scheme)
    assert seen["inside"] == width
    assert seen["width"] == width, "the page is wider than the screen"
    assert seen["clipped"] == 0
    assert seen["drawn"] and seen["broken"] == 0 and seen["requests"] == 0
    light, dark = ("page", "text") if scheme == "light" else ("text", "page")
    assert _brightness(seen[light]) > 200 and _brightness(seen[dark]) < 60
    assert abs(_brightness(seen["axis"]) - _brightness(seen["page"])) > 60, "the axes cannot be read"


def _opened(folder: Path, width: int, scheme: str) -> dict:
    (folder / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    colours = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [str(BROWSER), *FLAGS, colours, profile, f"--window-size={width + 100},900", str(folder / "frame.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    title = re.search("<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title and title[1], f"no answer from the page: {done.stderr[-500:]}"
    return json.loads(unescape(title[1]))


def _brightness(colour: str) -> float:
    """The mean of red, green and blue of `rgb(r, g, b)`, 0 to 255."""
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3
