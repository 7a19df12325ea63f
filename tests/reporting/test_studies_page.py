"""The page of studies and their pictures, from what sweeps wrote."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.reporting.results_page import page
from dlvr_jax.reporting.studies_page import picture, read_studies
from dlvr_jax.sweeps.report import write_report
from tests.sweeps.made_up import made_up_sweep


def study_file(folder: Path, name: str, **fields) -> None:
    what = {"question": "Which rate is best?", "seeds": (0, 1), **fields}
    made = made_up_sweep(folder / "sweep" / name, what, lambda m: 0.5 + 0.1 * m.point + 0.01 * m.seed)
    write_report(made.folder, made.base, made.sweep, made.judge)
    (folder / f"{name}.json").write_text((made.folder.path / "points.json").read_text())


def test_a_study_is_a_question_a_table_and_a_picture(tmp_path: Path) -> None:
    study_file(tmp_path, "e5_3_rates", grid={"optimizer.learning_rate": (0.1, 0.2)})
    study_file(tmp_path, "e10_1_many", grid={"optimizer.learning_rate": tuple(k / 100 for k in range(1, 25))})
    studies = read_studies(tmp_path)
    assert [study.name for study in studies] == ["e5_3_rates", "e10_1_many"]
    text = page([], studies)
    assert "Which rate is best?" in text and "results/studies/e5_3_rates.svg" in text
    assert "| 0.1 | 0.5050 ± 0.0071 |" in text and "The best 10 of 24 points." in text
    for study in studies:
        svg = picture(study)
        ET.fromstring(svg)  # a file of its own
        assert "var(" not in svg and "currentColor" not in svg and "xmlns" in svg


def test_what_is_no_study_is_named(tmp_path: Path) -> None:
    study_file(tmp_path, "e1_x")
    found = json.loads((tmp_path / "e1_x.json").read_text())
    (tmp_path / "e1_x.json").write_text(json.dumps(found | {"points": [{}]}))
    with pytest.raises(UserError, match=r"e1_x.json is no result of a study: 'settings'"):
        read_studies(tmp_path)
    (tmp_path / "e1_x.json").write_text("{}")
    with pytest.raises(UserError, match=r"e1_x.json is no result of a study: it has no question"):
        read_studies(tmp_path)
