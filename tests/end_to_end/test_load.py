"""`dlvr_jax.load`: a run in a notebook."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import dlvr_jax
from dlvr_jax.build import build
from dlvr_jax.errors import UserError
from dlvr_jax.recorded import complete_of
from dlvr_jax.run import Run


@pytest.fixture(scope="module")
def arrays(tiny_run: Path) -> dict[str, np.ndarray]:
    """The test split."""
    return build(complete_of(Run(tiny_run)).flat).data.arrays("test")


def test_predictions_have_the_accuracy_of_the_summary(tiny_run: Path, arrays: dict[str, np.ndarray]) -> None:
    loaded = dlvr_jax.load(tiny_run)
    said = loaded.predict(arrays["image"])
    summary = json.loads((tiny_run / "summary.json").read_text())
    assert np.mean(said["prediction"] == arrays["label"]) == summary["metrics"]["test/accuracy"]
    np.testing.assert_allclose(said["probabilities"].sum(-1), 1, rtol=1e-6)  # float32 softmax
    assert loaded.step == summary["step"] and len(loaded.class_names) == 10
    assert loaded.config["model"]["name"] == "cnn.lenet5.LeNet5" and loaded.metrics == summary["metrics"]


def test_it_is_shown_as_a_line(tiny_run: Path, tmp_path: Path) -> None:
    unfinished = shutil.copytree(tiny_run, tmp_path / "run")
    (unfinished / "summary.json").unlink()
    accuracy = json.loads((tiny_run / "summary.json").read_text())["metrics"]["test/accuracy"]
    what = "configs/cnn/lenet5_digits.py:tiny, step 16, 61,706 parameters"
    assert repr(dlvr_jax.load(tiny_run)) == f"Loaded({tiny_run}, {what}, test/accuracy {accuracy:#.4g})"
    assert repr(dlvr_jax.load(unfinished)) == f"Loaded({unfinished}, {what})"


def test_model_params_and_variables_fit_together(tiny_run: Path, arrays: dict[str, np.ndarray]) -> None:
    loaded = dlvr_jax.load(str(tiny_run))
    images = arrays["image"][:3]
    unit = images.astype(np.float32) / 255
    spec = build(complete_of(Run(tiny_run)).flat).data.spec
    standardized = (unit - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    logits = loaded.model.apply({"params": loaded.params, **loaded.variables}, jnp.asarray(standardized), train=False)
    batch = {"image": images, "label": arrays["label"][:3]}
    np.testing.assert_allclose(loaded.predict(batch)["logits"], logits, rtol=1e-4, atol=1e-5)  # float32, fused or not


def test_other_shapes_and_types_are_a_line(tiny_run: Path, tmp_path: Path) -> None:
    loaded = dlvr_jax.load(tiny_run)
    with pytest.raises(UserError, match=r"image: uint8 \(32, 32, 1\) is given, but this run takes uint8 \(count, 32,"):
        loaded.predict(np.zeros((32, 32, 1), np.uint8))
    with pytest.raises(UserError, match="image: float64"):
        loaded.predict(np.zeros((1, 32, 32, 1)))
    with pytest.raises(UserError, match="the batch has no image; it has label"):
        loaded.predict({"label": np.zeros(1, np.int32)})
    with pytest.raises(UserError, match="is not a run folder"):
        dlvr_jax.load(tmp_path)


def test_a_run_without_checkpoints_is_a_line(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match="has no checkpoint"):
        dlvr_jax.load(run)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, dlvr_jax; print([name for name in ('jax', 'numpy', 'flax') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
