import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlvr_jax import runtime
from dlvr_jax.data import cache as cache_module
from dlvr_jax.data.builders.digits import digits
from dlvr_jax.data.builders.fashion_mnist import fashion_mnist
from dlvr_jax.data.builders.made_up import made_up
from dlvr_jax.data.builders.mnist import mnist
from dlvr_jax.data.cache import make_once
from dlvr_jax.data.sources import SPLITS, Source
from dlvr_jax.errors import UserError

ROOT = Path(__file__).parents[2]


def run_python(program: str, cache: Path, path: str = "") -> subprocess.Popen[str]:
    environment = os.environ | {"DLVR_CACHE": str(cache), "PYTHONPATH": f"{path}:{ROOT}"}
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_digits_are_frozen() -> None:
    """Pixels, labels, split and order in one digest: changing it changes every published figure."""
    assert digits().fingerprint() == "447977b4778ef5c0fd5cfdf8359a44c6dee3f5583fdb2a1151cd971d8c8d49a5"


def test_digits_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    published = datasets.load_digits()
    source = digits(size=8)
    ours = {split: source.arrays(split) for split in SPLITS}
    pixels = np.concatenate([ours[split]["image"].reshape(-1, 64) for split in SPLITS])
    labels = np.concatenate([ours[split]["label"] for split in SPLITS])
    found = np.column_stack([np.round(pixels / 255 * 16), labels])
    expected = np.column_stack([published.data, published.target])
    np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(expected, axis=0))
    assert len(found) == len(expected) == 1797


@pytest.mark.parametrize("size", [8, 32])
def test_digits_have_their_spec(size: int) -> None:
    source = digits(size=size)
    for split, count in source.spec.splits.items():
        arrays = source.arrays(split)
        assert arrays["image"].shape == (count, size, size, 1) and arrays["image"].dtype == np.uint8
        assert arrays["label"].shape == (count,) and arrays["label"].dtype == np.int32
        shares = np.bincount(arrays["label"]) / count
        assert shares.min() > 0.09 and shares.max() < 0.11  # stratified
    train = source.arrays("train")["image"] / 255
    assert abs(train.mean() - source.spec.mean[0]) < 1e-3
    assert abs(train.std() - source.spec.std[0]) < 1e-3


@pytest.mark.parametrize("make", [digits, fashion_mnist, mnist, made_up])
def test_a_spec_needs_no_data(make: Callable[[], Source], cache: Path) -> None:
    spec = make().spec
    assert set(spec.splits) == set(SPLITS)
    assert spec.num_classes == len(spec.class_names) == 10
    assert len(spec.mean) == len(spec.std) == spec.features["image"].shape[-1]
    assert not cache.exists()


@pytest.mark.parametrize("like", ["digits", "fashion_mnist", "mnist"])
def test_made_up_data_looks_like_its_model(like: str, cache: Path) -> None:
    source = made_up(like=like, train=500)
    arrays = source.arrays("train")
    assert arrays["image"].shape == (500, *source.spec.features["image"].shape)
    assert np.bincount(arrays["label"], minlength=10).min() == 50
    pixels = arrays["image"] / 255
    assert abs(pixels.mean() - source.spec.mean[0]) < 0.1
    assert abs(pixels.std() - source.spec.std[0]) < 0.1
    assert source.fingerprint() == made_up(like=like, train=500).fingerprint()
    assert (arrays["image"][:32] != source.arrays("test")["image"]).any()
    assert not cache.exists()


def test_made_up_data_has_the_size_that_is_asked_for(cache: Path) -> None:
    images = made_up(like="digits", shape=(8, 12, 3), num_classes=20)
    assert images.arrays("train")["image"].shape == (64, 8, 12, 3)
    assert images.spec.num_classes == len(images.spec.class_names) == 20 and len(images.spec.mean) == 3
    text = made_up(like="shakespeare_1m", shape=(33,), vocab_size=1000)
    tokens = text.arrays("train")["tokens"]
    assert tokens.shape == (64, 33) and text.spec.vocab_size == 1000 and tokens.max() < 1000
    with pytest.raises(UserError, match=r"data.shape = \(8, 12\): the image of data.like = digits is of"):
        made_up(like="digits", shape=(8, 12))
    with pytest.raises(UserError, match="data.num_classes = 5: data.like = births has no classes"):
        made_up(like="births", num_classes=5)
    with pytest.raises(UserError, match="data.vocab_size = 4: must be at least 5 for data.like = reversal"):
        made_up(like="reversal", vocab_size=4)
    with pytest.raises(UserError, match="data.vocab_size = 1: must be at least 2 for data.like = reviews"):
        made_up(like="reviews", vocab_size=1)


def test_made_up_data_is_frozen() -> None:
    assert made_up().fingerprint() == "0d0cf42636525443306a2a6a9fde0396b1e1d9252280885f1e9f983193e57e3f"


def test_made_up_classes_can_be_told_apart() -> None:
    """The nearest class mean of train finds every class of test."""
    source = made_up(train=200)
    train, test = source.arrays("train"), source.arrays("test")
    means = np.stack([train["image"][train["label"] == label].mean(0) for label in range(10)])
    distances = ((test["image"][:, None] - means[None]) ** 2).sum((2, 3, 4))
    np.testing.assert_array_equal(distances.argmin(1), test["label"])


@pytest.mark.parametrize("like", ["nothing", "image_folder"])
def test_made_up_like_what_has_no_spec_is_refused(like: str) -> None:
    with pytest.raises(UserError, match=f"data.like = '{like}'"):
        made_up(like=like)


def test_a_damaged_cache_is_named(cache: Path) -> None:
    digits(size=8).arrays("train")
    file = next(cache.rglob("train.image.npy"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"train.image.npy is damaged .*; remove .* to prepare it again"):
        digits(size=8).arrays("train")


def test_damaged_records_are_named(cache: Path) -> None:
    digits(size=8).arrays("train")
    next(cache.rglob("dataset_info.json")).write_text("{")
    with pytest.raises(UserError, match=r"cannot be read .*; remove it to prepare it again"):
        digits(size=8).records("train")


@pytest.mark.parametrize("content", [None, "{", "\ud800"])
def test_a_damaged_description_is_named(content: str | None, cache: Path) -> None:
    cache.mkdir()
    if content is not None:
        (cache / "index.json").write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(UserError, match=r"index.json is damaged .*; remove .* to make it again"):
        cache_module.read_json(cache / "index.json")


def test_two_processes_prepare_once(tmp_path: Path) -> None:
    program = "from dlvr_jax.data.builders.digits import digits; print(digits(size=8).fingerprint())"
    processes = [run_python(program, tmp_path / "shared") for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert all(process.returncode == 0 for process in processes), answers
    assert answers[0][0] == answers[1][0] != ""
    assert sum("preparing digits, train" in errors for _, errors in answers) == 1


def test_tensorflow_and_torch_are_not_imported(tmp_path: Path) -> None:
    """Packages of these names come first on the path and raise: preparing and both ways of reading still work."""
    for name in ("tensorflow", "torch"):
        package = tmp_path / "fakes" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"raise RuntimeError('{name} was imported')")
    program = (
        "import numpy as np; from dlvr_jax.data.builders.digits import digits; source = digits(size=8);"
        "a = source.arrays('test'); b = source.records('test').read(np.arange(300));"
        "assert all((a[name] == b[name]).all() for name in a)"
    )
    process = run_python(program, tmp_path / "cache", path=str(tmp_path / "fakes"))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_a_warm_cache_needs_nothing_heavy(cache: Path) -> None:
    digits(size=8).arrays("train")
    program = (
        "import sys; from dlvr_jax.data.builders.digits import digits; digits(size=8).arrays('train');"
        "print([m for m in ('tensorflow_datasets', 'grain', 'sklearn', 'PIL') if m in sys.modules])"
    )
    assert run_python(program, cache).communicate(timeout=60)[0] == "[]\n"


def test_a_failed_preparation_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        make_once(cache / "thing", fail)
    assert [file.name for file in cache.iterdir()] == ["thing.lock"]


def test_leftovers_of_a_killed_process_are_removed(cache: Path) -> None:
    leftover = cache / ".thing.partial" / "half"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    folder = make_once(cache / "thing", lambda folder: (folder / "whole").touch())
    assert [file.name for file in folder.iterdir()] == ["whole"]
    assert not leftover.exists()


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write to the cache .*; DLVR_CACHE names another folder"):
        digits(size=8).arrays("train")


def test_the_home_folder_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLVR_CACHE", "")
    assert runtime.cache_folder() == Path.home() / ".cache" / "dlvr_jax"
