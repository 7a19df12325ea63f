"""A folder of pictures in class folders: `<path>/<class>/**/<picture>`.

A picture's split follows from its bytes (bucket = SHA-256 mod 10: 0 test, 1 validation, 2-9 train), so that equal files
never straddle splits, and adding pictures moves none. Classes and pictures are sorted by the bytes of their names.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.cache import make_once, read_json
from dlvr_jax.data.images import decode, statistics
from dlvr_jax.data.paths import user_path
from dlvr_jax.data.prepared import ReadInPlace
from dlvr_jax.data.progress import counted
from dlvr_jax.data.sources import SPLITS, Arrays, Feature, Source, Spec
from dlvr_jax.errors import UserError
from dlvr_jax.runtime import cache_folder
from dlvr_jax.schema import Between

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def image_folder(*, path: str, size: Annotated[int, Between(1, 1024)] = 32, channels: Literal[1, 3] = 3) -> Source:
    """Images (size, size, channels): the middle square of each picture, resized. The classes are the folders' names.

    The folder is read once and its index kept in the cache, until a file's name, size or time of change differs.
    """
    root = user_path(path).absolute()
    files = _listing(root)
    name = f"{_state(root, files)[:16]}-{size}-{channels}"
    index_folder = make_once(cache_folder() / "image_folder" / name, lambda to: _scan(to, root, files, size, channels))
    index = read_json(index_folder / "index.json")
    pictures = {split: [(name, label) for name, label in pairs] for split, pairs in index["splits"].items()}
    spec = _spec(root, index, size, channels)
    return ReadInPlace(spec, lambda split: _Pictures(root, pictures[split], size, channels), index["content"])


@dataclass(frozen=True)
class _Pictures:
    """The pictures of a split, as (path below the root, label) pairs, read from their files."""

    root: Path
    pictures: list[tuple[str, int]]
    size: int
    channels: int

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, indices: Int[np.ndarray, " count"]) -> Arrays:
        """See `sources.Records.read`."""
        chosen = [self.pictures[index] for index in indices]
        images = [self._decoded(self.root / name) for name, _ in chosen]
        return {"image": np.stack(images), "label": np.array([label for _, label in chosen], np.int32)}

    def _decoded(self, file: Path) -> np.ndarray:
        return decode(_bytes(file), size=self.size, channels=self.channels, where=str(file))


def _listing(root: Path) -> list[str]:
    """The pictures below the class folders, as paths below the root, sorted by their bytes."""
    if not root.is_dir():
        raise UserError(f"data.path = {str(root)!r} is no folder; it should hold one folder of pictures for each class")
    found = [
        file.relative_to(root).as_posix()
        for file in root.glob("*/**/*")
        if file.suffix.lower() in _ENDINGS and file.is_file()
    ]
    if not found:
        raise UserError(f"data.path = {str(root)!r} holds no pictures in class folders (<class>/<picture>.png)")
    return sorted(found, key=os.fsencode)


def _state(root: Path, files: list[str]) -> str:
    """Changes when a file is added, removed or written."""
    hasher = sha256(os.fsencode(root))
    for name in files:
        status = (root / name).stat()
        hasher.update(os.fsencode(name) + f"\0{status.st_size} {status.st_mtime_ns}\n".encode())
    return hasher.hexdigest()


def _scan(to: Path, root: Path, files: list[str], size: int, channels: int) -> None:
    """Writes index.json: classes, the pictures of each split, statistics, and a digest of all contents."""
    classes = sorted({name.split("/")[0] for name in files}, key=os.fsencode)
    for name in classes:
        if any("\ud800" <= letter <= "\udfff" for letter in name):  # how Python holds bytes that are no UTF-8
            raise UserError(f"{root}: the class folder {os.fsencode(name)!r} is not named in UTF-8; rename it")
    numbers = {name: number for number, name in enumerate(classes)}
    splits: dict[str, list[tuple[str, int]]] = {split: [] for split in SPLITS}
    content = sha256(f"{size} {channels} {classes}".encode(errors="surrogateescape"))
    for place in counted(f"reading {root}", len(files)):
        name = files[place]
        digest = sha256(_bytes(root / name)).hexdigest()
        label = numbers[name.split("/")[0]]
        splits[_split_of(digest)].append((name, label))
        content.update(f"{digest} {label}\n".encode())
    for split, pictures in splits.items():
        if not pictures:
            raise UserError(
                f"data.path = {str(root)!r}: its {len(files)} pictures leave the {split} split empty; add more"
            )
    mean, std = statistics(_Pictures(root, splits["train"], size, channels), channels)
    index = {"classes": classes, "splits": splits, "mean": mean, "std": std, "content": content.hexdigest()}
    (to / "index.json").write_text(json.dumps(index))


def _split_of(digest: str) -> str:
    bucket = int(digest, 16) % 10
    return {0: "test", 1: "validation"}.get(bucket, "train")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror})") from error


def _spec(root: Path, index: Mapping[str, Any], size: int, channels: int) -> Spec:
    return Spec(
        name=root.name,
        features={"image": Feature((size, size, channels), "uint8"), "label": Feature((), "int32")},
        splits={split: len(pictures) for split, pictures in index["splits"].items()},
        num_classes=len(index["classes"]),
        class_names=tuple(index["classes"]),
        mean=tuple(index["mean"]),
        std=tuple(index["std"]),
    )
