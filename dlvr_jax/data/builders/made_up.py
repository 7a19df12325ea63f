"""Made-up data with the spec of a real set: for tests and for every config's `tiny`. No disk, no network."""

import dataclasses
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from dlvr_jax.data.order import permutation
from dlvr_jax.data.sources import SPLITS, Arrays, InMemory, Source, Spec
from dlvr_jax.data.tokenizers import Listed, Tokenizer
from dlvr_jax.errors import UserError
from dlvr_jax.schema import Between, Count

_COUNT = Between(1, 1_000_000)
_NOISE = 0.5  # standard deviation of the noise, where the pattern of a class has 0.87
_SPECIAL = 4  # ids that are no words in pairs: padding, begin, end, unknown


def made_up(
    *,
    like: str = "digits",
    train: Annotated[int, _COUNT] = 64,
    validation: Annotated[int, _COUNT] = 32,
    test: Annotated[int, _COUNT] = 32,
    shape: tuple[Count, ...] | None = None,
    num_classes: Count | None = None,
    vocab_size: Count | None = None,
    path: str | None = None,
) -> Source:
    """Random examples, learnable in a few steps, with the spec of the set `like`.

    For speed tests at another size: `shape` is of an image (height, width, channels) or a window (tokens + 1,), and
    `num_classes` and `vocab_size` go with it. `path` is accepted, as every data set does, and not used.
    """
    spec = dataclasses.replace(_spec_of(like), splits=dict(zip(SPLITS, (train, validation, test), strict=True)))
    return made_up_like(_resized(spec, shape, num_classes, vocab_size))


def made_up_like(spec: Spec) -> Source:
    """Random examples of a spec.

    Raises:
        UserError: nobody knows how to make up its features.
    """
    if _maker(spec) is None:
        raise UserError(f"{spec.name}: its features {', '.join(spec.features)} cannot be made up")
    spec = dataclasses.replace(
        spec, tokenizer=_without_files(spec.tokenizer), target_tokenizer=_without_files(spec.target_tokenizer)
    )
    return InMemory(spec, lambda split: _arrays(spec, split))


def _resized(spec: Spec, shape: tuple[int, ...] | None, num_classes: int | None, vocab_size: int | None) -> Spec:
    """With other images or windows, classes or words.

    Raises:
        UserError: the set has no such images, windows, classes or words.
    """
    name, feature = next(iter(spec.features.items()))
    if shape is not None and (name not in ("image", "tokens") or len(shape) != len(feature.shape)):
        raise UserError(f"data.shape = {shape}: the {name} of data.like = {spec.name} is of {feature.shape}")
    changes: dict[str, Any] = {}
    if shape is not None:
        changes["features"] = {**spec.features, name: dataclasses.replace(feature, shape=shape)}
        if name == "image" and len(spec.mean) != shape[-1]:
            changes |= {"mean": spec.mean[:1] * shape[-1], "std": spec.std[:1] * shape[-1]}
    if num_classes is not None:
        if spec.num_classes is None:
            raise UserError(f"data.num_classes = {num_classes}: data.like = {spec.name} has no classes")
        changes |= {"num_classes": num_classes, "class_names": tuple(map(str, range(num_classes)))}
    if vocab_size is not None:
        if spec.tokenizer is None:
            raise UserError(f"data.vocab_size = {vocab_size}: data.like = {spec.name} has no words")
        reserved = _SPECIAL if "target" in spec.features else 1  # padding
        if vocab_size <= reserved:
            least = reserved + 1
            raise UserError(f"data.vocab_size = {vocab_size}: must be at least {least} for data.like = {spec.name}")
        changes["tokenizer"] = Listed(tuple(map(str, range(vocab_size))), unknown=0)
    return dataclasses.replace(spec, **changes)


def _spec_of(like: str) -> Spec:
    try:
        module = import_module(f"dlvr_jax.data.builders.{like}")
        spec: Spec = getattr(module, like)().spec
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"data.like = {like!r} is no data set whose spec is known without its files") from error
    return spec


def _without_files(tokenizer: Tokenizer | None) -> Tokenizer | None:
    """A tokenizer whose words are in files has one of the same size to stand in for it."""
    stand_in = getattr(tokenizer, "stand_in", None)
    return tokenizer if stand_in is None else stand_in()


def _arrays(spec: Spec, split: str) -> Arrays:
    make = _maker(spec)
    assert make is not None
    return make(spec, spec.splits[split], SPLITS.index(split))


def _maker(spec: Spec) -> Callable[[Spec, int, int], Arrays] | None:
    return next((maker for features, maker in _MAKERS.items() if set(features) == set(spec.features)), None)


def _images(spec: Spec, count: int, number: int) -> Arrays:
    """Pixels = mean + std (blocks of 4 x 4 that a class has in common, and noise)."""
    height, width, channels = spec.features["image"].shape
    label = _labels(spec, count, number)
    blocks = _uniform(0, (spec.num_classes or 1, -(-height // 4), -(-width // 4), channels))
    pattern = blocks.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    noise = _uniform(1 + number, (count, height, width, channels))
    standard = np.sqrt(1 - _NOISE**2) * pattern[label] + _NOISE * noise
    pixels = 255 * (np.array(spec.mean) + np.array(spec.std) * standard)
    return {"image": np.clip(np.round(pixels), 0, 255).astype(np.uint8), "label": label}


def _windows(spec: Spec, count: int, number: int) -> Arrays:
    """Texts that count upwards, from anywhere."""
    (size,) = spec.features["tokens"].shape
    tokens = _whole(number, (count, 1), spec.vocab_size or 1) + np.arange(size)
    return {"tokens": _ids(tokens % (spec.vocab_size or 1)), "length": np.full(count, size - 1, np.int32)}


def _texts(spec: Spec, count: int, number: int) -> Arrays:
    """Words whose number leaves the class as its rest."""
    (size,) = spec.features["tokens"].shape
    label, classes, words = _labels(spec, count, number), spec.num_classes or 1, (spec.vocab_size or 1) - 1
    drawn = _whole(number, (count, size), max(words // classes, 1)) * classes + label[:, None]
    length = _lengths(number, count, size)
    return {"tokens": _ids(_padded(1 + drawn % words, length)), "length": length, "label": label}


def _tagged(spec: Spec, count: int, number: int) -> Arrays:
    """A word's number leaves its tag as its rest."""
    (size,) = spec.features["tokens"].shape
    length = _lengths(number, count, size)
    words = 1 + _whole(number, (count, size), (spec.vocab_size or 2) - 1)
    return {
        "tokens": _ids(_padded(words, length)),
        "length": length,
        "tags": _ids(_padded(words % (spec.num_classes or 1), length)),
    }


def _pairs(spec: Spec, count: int, number: int) -> Arrays:
    """The target is the source, word for word, between begin (1) and end (2)."""
    (longest,), (room,) = spec.features["source"].shape, spec.features["target"].shape
    length = np.minimum(_lengths(number, count, longest), room - 2).astype(np.int32)
    assert spec.target_tokenizer is not None
    words = min(spec.vocab_size or 0, spec.target_tokenizer.size) - _SPECIAL
    source = _padded(_SPECIAL + _whole(number, (count, longest), words), length)
    target = np.zeros((count, room), np.int64)
    target[:, 0] = 1
    target[:, 1 : 1 + min(longest, room - 1)] = source[:, : room - 1]
    target[np.arange(count), 1 + length] = 2
    return {
        "source": _ids(source),
        "source_length": length,
        "target": _ids(target),
        "target_length": (length + 2).astype(np.int32),
    }


def _series(spec: Spec, count: int, number: int) -> Arrays:
    """Waves of one period, from anywhere, with a little noise."""
    (length, channels), (horizon,) = spec.features["history"].shape, spec.features["future"].shape
    time = np.arange(length + horizon) + _whole(number, (count, 1), 1000)
    waves = np.sqrt(2) * np.sin(2 * np.pi * time / (spec.period or 8))[..., None]
    values = waves + 0.1 * _uniform(1 + number, (count, length + horizon, channels))
    values = (np.array(spec.mean) + np.array(spec.std) * values).astype(np.float32)
    return {"history": values[:, :length], "future": values[:, length:, 0]}


def _points(spec: Spec, count: int, number: int) -> Arrays:
    """Clouds around a point for each class."""
    (dimensions,) = spec.features["point"].shape
    label = _labels(spec, count, number)
    centres = 2 * _uniform(0, (spec.num_classes or 1, dimensions))
    points = centres[label] + 0.3 * _uniform(1 + number, (count, dimensions))
    return {"point": points.astype(np.float32), "label": label}


_MAKERS = {
    ("image", "label"): _images,
    ("tokens", "length"): _windows,
    ("tokens", "length", "label"): _texts,
    ("tokens", "length", "tags"): _tagged,
    ("source", "source_length", "target", "target_length"): _pairs,
    ("history", "future"): _series,
    ("point", "label"): _points,
}


def _labels(spec: Spec, count: int, number: int) -> Int[np.ndarray, " count"]:
    """Every class as often, shuffled."""
    return (permutation(number, 0, count) % (spec.num_classes or 1)).astype(np.int32)


def _lengths(number: int, count: int, longest: int) -> Int[np.ndarray, " count"]:
    """From half the longest to the longest."""
    return (longest - _whole(100 + number, (count,), longest // 2 + 1)).astype(np.int32)


def _padded(ids: Int[np.ndarray, "count size"], length: Int[np.ndarray, " count"]) -> Int[np.ndarray, "count size"]:
    return np.where(np.arange(ids.shape[1]) < length[:, None], ids, 0)


def _ids(ids: Int[np.ndarray, "count size"]) -> Int[np.ndarray, "count size"]:
    return ids.astype(np.int32)


def _uniform(number: int, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Uniform numbers of mean 0 and variance 1."""
    return (_bytes(number, int(np.prod(shape))).reshape(shape) - 127.5) / 73.9


def _whole(number: int, shape: tuple[int, ...], below: int) -> Int[np.ndarray, "..."]:
    """Whole numbers from 0 to `below` - 1."""
    raw = _bytes(1000 + number, 4 * int(np.prod(shape))).view("<u4").astype(np.int64)
    return raw.reshape(shape) % below


def _bytes(number: int, count: int) -> UInt8[np.ndarray, " count"]:
    """Raw random bytes, which stay the same for ever."""
    raw = np.random.Philox(key=np.array([0, number], dtype=np.uint64)).random_raw(-(-count // 8))
    return raw.astype("<u8").view(np.uint8)[:count]
