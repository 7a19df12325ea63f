"""A reader's own files, given to a config as the documents tell: trained on, then looked at."""

from pathlib import Path

import pytest

from dlvr_jax.run import Run
from experiments.predict import predict
from experiments.sample import sample
from experiments.train import train
from tests.data.pictures import picture, save


def a_text(path: Path) -> Path:
    path.write_text("".join(f"Line {n} of what I wrote, and {n * n} is a square.\n" for n in range(150)))
    return path


def pairs(path: Path) -> Path:
    path.write_text("".join(f"I see {n}.\tIch sehe {n}.\n" for n in range(150)))
    return path


def a_series(path: Path) -> Path:
    path.write_text("day,sales\n" + "".join(f"{n},{100 + n % 7 + n / 10}\n" for n in range(300)))
    return path


def class_folders(path: Path) -> Path:
    for n in range(200):
        save(path / ("cat" if n % 2 else "dog") / f"{n}.png", picture(n))
    return path


KINDS = {
    "text_file": ("configs/modern_rnn/lstm_shakespeare_1m.py", a_text, {"length": 16}, sample),
    "parallel_tsv": (
        *("configs/attention/seq2seq_bahdanau_reversal.py", pairs),
        *({"max_source": 8, "max_target": 8}, predict),
    ),
    "csv_series": ("configs/rnn/elman_births.py", a_series, {"column": "sales", "length": 7, "horizon": 3}, predict),
    "image_folder": ("configs/cnn/lenet5_digits.py", class_folders, {"channels": 3}, predict),
}


@pytest.mark.parametrize("kind", KINDS)
def test_own_data_are_trained_on_and_shown(kind: str, tmp_path: Path) -> None:
    path, write, options, verb = KINDS[kind]
    data = {"name": kind, "path": write(tmp_path / "own"), **options}
    flags = [f"--config.data.{key}={value}" for key, value in data.items()]
    folder = tmp_path / "run"
    assert train([f"{path}:tiny", "--workdir", str(folder), "--config.train.checkpoint_every=16", *flags]) == 0
    assert Run(folder).summary()["step"] == 16
    assert verb([str(folder)]) == 0
    assert (folder / f"{verb.__name__}.html").stat().st_size > 2000
