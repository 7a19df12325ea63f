"""Checkpoints: whole or absent, verified, and no failure costs an earlier one."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlvr_jax.errors import UserError
from dlvr_jax.training import checkpoint
from dlvr_jax.training.checkpoint import Checkpoints, clean, restore, steps
from tests.damage import flip_a_byte

TREE = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": {"c": np.uint32(7), "none": None},
    "half": np.float16(0.5),
    "large": np.random.default_rng(0).random(4000, np.float32),
}
MEMORY = {"seconds": 1.5, "window": {"loss": [0.1, 3.0]}}


def saved(folder: Path, *numbers: int, keep: int = 3) -> None:
    checkpoints = Checkpoints(folder, keep)
    for number in numbers:
        checkpoints.save(number, TREE | {"a": TREE["a"] + number}, MEMORY)
    checkpoints.close()


def flip(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 255 for byte in path.read_bytes()))


def fail(message: str) -> None:
    raise AssertionError(message)


def test_a_tree_comes_back_bit_for_bit_with_its_memory(tmp_path: Path) -> None:
    saved(tmp_path, 0)
    tree, memory = restore(tmp_path, TREE, fail)
    assert memory == MEMORY and tree["b"]["none"] is None
    for name in ("a", "half"):
        np.testing.assert_array_equal(tree[name], TREE[name])
        assert tree[name].dtype == TREE[name].dtype
    assert tree["b"]["c"] == 7 and tree["b"]["c"].dtype == np.uint32


def test_what_is_saved_is_the_tree_as_it_was(tmp_path: Path) -> None:
    array = np.zeros(100_000, np.float32)
    checkpoints = Checkpoints(tmp_path, 1)
    checkpoints.save(1, {"a": array}, {})
    array += 1
    checkpoints.close()
    assert not restore(tmp_path, {"a": array}, fail)[0]["a"].any()


def test_only_the_last_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 2, 4, 6, 8, keep=2)
    assert steps(tmp_path) == [6, 8]


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert restore(tmp_path, TREE, fail) is None and restore(tmp_path / "missing", TREE, fail) is None


@pytest.mark.parametrize("damage", [flip_a_byte, lambda path: (path / "meta.json").write_text("{")])
def test_a_damaged_one_is_passed_over_with_a_warning(damage: Any, tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    damage(tmp_path / "2")
    warnings: list[str] = []
    tree, _ = restore(tmp_path, TREE, warnings.append)
    np.testing.assert_array_equal(tree["a"], TREE["a"] + 1)
    assert len(warnings) == 1 and f"{tmp_path / '2'} is damaged" in warnings[0]
    damage(tmp_path / "1")
    with pytest.raises(UserError, match="no checkpoint is whole"):
        restore(tmp_path, TREE, warnings.append)


@pytest.mark.parametrize(("damage", "words"), [(Path.unlink, "is lost"), (flip, "is not what was saved")])
def test_damage_to_any_file_is_found_before_orbax_is_asked(
    damage: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "whole", 1)
    monkeypatch.setattr(checkpoint, "_orbax", lambda: fail("orbax was asked"))
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole" / "1" / "state").rglob("*")]
    for number, path in enumerate(path for path in files if (tmp_path / "whole" / path).is_file()):
        copy = shutil.copytree(tmp_path / "whole", tmp_path / str(number))
        damage(copy / path)
        with pytest.raises(UserError, match=f"{copy / '1'} is damaged: {path.relative_to('1')} {words}"):
            checkpoint.read(copy / "1")


def test_a_checkpoint_without_digests_of_its_files_is_read(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    meta = json.loads((tmp_path / "1" / "meta.json").read_text())
    (tmp_path / "1" / "meta.json").write_text(json.dumps({key: meta[key] for key in meta if key != "files"}))
    np.testing.assert_array_equal(restore(tmp_path, TREE, fail)[0]["a"], TREE["a"] + 1)


def test_another_structure_names_the_first_leaf_that_differs(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    with pytest.raises(UserError, match=r"a is float32 \(2, 3\) there, but float32 \(2, 4\) in this config"):
        restore(tmp_path, TREE | {"a": jnp.zeros((2, 4))}, fail)
    with pytest.raises(UserError, match=r"more is nothing there, but float32 \(\) in this config"):
        restore(tmp_path, TREE | {"more": np.float32(0)}, fail)


@pytest.mark.parametrize("target", ["replace", "orbax"])
def test_a_full_disk_costs_no_earlier_checkpoint(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 1)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if target == "replace":
        monkeypatch.setattr(checkpoint.os, "replace", full)
    else:
        monkeypatch.setattr(checkpoint, "_orbax", full)
    checkpoints = Checkpoints(tmp_path, 1)
    checkpoints.save(2, TREE, MEMORY)
    with pytest.raises(UserError, match="2: the checkpoint could not be written: No space left on device"):
        checkpoints.wait()
    monkeypatch.undo()
    checkpoints.close()
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    np.testing.assert_array_equal(restore(tmp_path, TREE, fail)[0]["a"], TREE["a"] + 1)


def test_what_a_killed_save_left_is_cleaned(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    (tmp_path / ".tmp-2" / "state").mkdir(parents=True)
    (tmp_path / ".tmp-2" / "state" / "half").write_bytes(b"x")
    assert steps(tmp_path) == [1]
    clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
