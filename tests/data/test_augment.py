"""Augmentations: each does exactly what it says, for any key, and an example's result is its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import rotate as scipy_rotate

from dlvr_jax.data import augment as module
from dlvr_jax.data.augment import augment, random_cutout, random_flip, random_rotation, random_shift, rotate

BATCH, HEIGHT, WIDTH, CLASSES = 6, 10, 12, 4
IMAGES = jax.random.uniform(jax.random.key(7), (BATCH, HEIGHT, WIDTH, 2), minval=0.1)
LABELS = jnp.array([0, 1, 2, 3, 1, 0])
INDEX = jnp.array([5, 900, 31, 0, 12_345, 77])
ALL = dict(shift=2, flip=True, cutout=3)

seeds = st.integers(0, 2**31 - 1)
some = settings(deadline=None, max_examples=15)


def keys_of(seed: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), BATCH)


@jax.jit
def _everything(images, labels, index, key, rotation):
    return augment(images, labels, index, key, num_classes=CLASSES, rotation=rotation, **ALL)


def everything(rows, seed: int, rotation: float = 20.0):
    rows = np.asarray(rows)
    return _everything(IMAGES[rows], LABELS[rows], INDEX[rows], jax.random.key(seed), rotation)


flip, shift, cutout, turn = (
    jax.jit(random_flip),
    jax.jit(random_shift, static_argnums=2),
    jax.jit(random_cutout, static_argnums=2),
    jax.jit(random_rotation),
)


@some
@given(seed=seeds)
def test_flip_mirrors_or_leaves_and_undoes_itself(seed: int) -> None:
    once = flip(IMAGES, keys_of(seed))
    for image, result in zip(IMAGES, once, strict=True):
        assert np.array_equal(result, image) or np.array_equal(result, image[:, ::-1])
    np.testing.assert_array_equal(flip(once, keys_of(seed)), IMAGES)


@some
@given(seed=seeds, size=st.integers(1, 3))
def test_shift_moves_every_pixel_by_the_same_step_and_fills_with_black(seed: int, size: int) -> None:
    for image, result in zip(np.asarray(IMAGES), np.asarray(shift(IMAGES, keys_of(seed), size)), strict=True):
        padded = np.pad(image, ((size, size), (size, size), (0, 0)))
        steps = range(2 * size + 1)
        crops = [padded[y : y + HEIGHT, x : x + WIDTH] for y in steps for x in steps]
        assert sum(np.array_equal(result, crop) for crop in crops) == 1


def test_every_shift_is_as_likely_as_every_other() -> None:
    dot = jnp.zeros((9_000, 3, 3, 1)).at[:, 1, 1].set(1.0)
    moved = shift(dot, jax.random.split(jax.random.key(0), 9_000), 1)
    # 1,000 expected a place; the deviation is 30, and six of them miss once in 500 million.
    np.testing.assert_allclose(moved.sum((0, 3)), 1000, atol=180)


@some
@given(seed=seeds, size=st.integers(1, 9))
def test_cutout_blackens_one_rectangle_of_at_most_its_size(seed: int, size: int) -> None:
    result = np.asarray(cutout(IMAGES, keys_of(seed), size))
    gone = (result == 0).all(-1)
    np.testing.assert_array_equal(np.where(gone[..., None], 0, IMAGES), result)
    for mask in gone:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns) > 0  # a full rectangle
        assert len(rows) <= size and len(columns) <= size
        touches = rows[0] == 0 or rows[-1] == HEIGHT - 1 or columns[0] == 0 or columns[-1] == WIDTH - 1
        assert touches or mask.sum() == size * size


def test_cutout_in_the_middle_is_whole() -> None:
    results = cutout(jnp.ones((200, 9, 9, 1)), jax.random.split(jax.random.key(0), 200), 3)
    assert int((results == 0).sum((1, 2, 3)).max()) == 9


@some
@given(seed=seeds)
def test_rotation_by_at_most_0_is_the_identity(seed: int) -> None:
    np.testing.assert_array_equal(turn(IMAGES, keys_of(seed), 0.0), IMAGES)


@pytest.mark.parametrize("degrees", [-90.0, -33.0, 15.0, 90.0, 180.0])
def test_rotation_is_that_of_scipy(degrees: float) -> None:
    image = np.pad(np.asarray(IMAGES[0]), ((4, 4), (3, 3), (0, 0)))  # square, with black around: borders differ
    expected = scipy_rotate(image.astype(np.float64), degrees, reshape=False, order=1)
    # Positions of order 10 in float32 are good to 1e-6, and pixels differ by at most 1 a step.
    np.testing.assert_allclose(rotate(jnp.asarray(image), jnp.deg2rad(degrees)), expected, atol=2e-5)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    image = jnp.pad(IMAGES[0, :, :10], ((3, 3), (3, 3), (0, 0)))
    np.testing.assert_allclose(rotate(image, jnp.array(jnp.pi / 2)), np.rot90(image), atol=2e-5)  # as above


@some
@given(seed=seeds, order=st.permutations(range(BATCH)))
def test_an_example_does_not_depend_on_its_place_in_the_batch(seed: int, order: list[int]) -> None:
    images, targets = everything(range(BATCH), seed)
    moved, moved_targets = everything(order, seed)
    np.testing.assert_array_equal(moved, images[np.array(order)])
    np.testing.assert_array_equal(moved_targets, targets[np.array(order)])


@pytest.mark.parametrize("parts", [2, 3])
def test_micro_batches_give_what_the_batch_gives(parts: int) -> None:
    whole = everything(range(BATCH), seed=3)[0]
    cut = [everything(rows, seed=3)[0] for rows in np.split(np.arange(BATCH), parts)]
    # Rotation's sums may be fused otherwise in a program of another shape: f32 rounding.
    np.testing.assert_allclose(np.concatenate(cut), whole, atol=2e-6)


def test_the_same_key_gives_the_same_and_another_key_another() -> None:
    np.testing.assert_array_equal(everything(range(BATCH), 1)[0], everything(range(BATCH), 1)[0])
    assert not np.array_equal(everything(range(BATCH), 1)[0], everything(range(BATCH), 2)[0])


def test_numbers_may_be_traced_and_vary_under_vmap() -> None:
    def member(rotation, mixup, key):
        return augment(IMAGES, LABELS, INDEX, key, num_classes=CLASSES, rotation=rotation, mixup=mixup, **ALL)

    numbers = jnp.array([0.0, 30.0]), jnp.array([0.0, 0.4]), jax.random.split(jax.random.key(0))
    together = jax.jit(jax.vmap(member))(*numbers)
    solo = jax.jit(member)
    for i in range(2):
        alone = solo(*(number[i] for number in numbers))
        # Two programs, f32 rounding of rotation's positions and of the Beta draws.
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-4), together, alone)


def test_switching_one_on_leaves_the_draws_of_the_others() -> None:
    key = jax.random.key(4)
    both = augment(IMAGES, LABELS, INDEX, key, num_classes=CLASSES, flip=True, shift=1)[0]
    flipped = augment(IMAGES, LABELS, INDEX, key, num_classes=CLASSES, flip=True)[0]
    keys = module._keys_for(jax.vmap(jax.random.fold_in, (None, 0))(key, INDEX), module.Draw.SHIFT)
    np.testing.assert_array_equal(both, random_shift(flipped, keys, 1))


def test_without_any_the_images_stay_and_labels_are_one_hot() -> None:
    images, targets = augment(IMAGES, LABELS, INDEX, jax.random.key(0), num_classes=CLASSES)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(targets, np.eye(CLASSES)[LABELS])


def test_draws_are_numbered_as_they_were() -> None:
    names = {draw.name: int(draw) for draw in module.Draw}
    assert names == dict(FLIP=0, ROTATION=1, SHIFT=2, CUTOUT=3, MIXUP=4, CUTMIX=5, WHICH_MIX=6)
