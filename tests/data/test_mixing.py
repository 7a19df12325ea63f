"""Mixup and CutMix: proportions of images and labels agree, alpha may be traced, and 0 changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dlvr_jax.data.augment import augment
from dlvr_jax.data.mixing import cutmix_weights, mixup_weights

BATCH, SIDE, CLASSES = 6, 8, 6
IMAGES = jnp.broadcast_to(jnp.arange(1.0, BATCH + 1)[:, None, None, None], (BATCH, SIDE, SIDE, 1))  # each one grey
LABELS = jnp.arange(BATCH)  # and a class of its own
KINDS = {"mixup": ("mixup",), "cutmix": ("cutmix",), "both": ("mixup", "cutmix")}

some = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**31 - 1)
every_kind = pytest.mark.parametrize("kind", KINDS)


@jax.jit
def _mixed(seed, index, numbers):
    return augment(
        IMAGES[: len(index)], LABELS[: len(index)], index, jax.random.key(seed), num_classes=CLASSES, **numbers
    )


def mixed(kind: str, seed: int, alpha: float):
    return _mixed(seed, jnp.arange(BATCH), {name: jnp.float32(alpha) for name in KINDS[kind]})


@every_kind
@some
@given(seed=seeds, alpha=st.floats(0, 10, width=32))
def test_labels_are_mixed_as_the_pixels_are(kind: str, seed: int, alpha: float) -> None:
    images, targets = mixed(kind, seed, alpha)
    assert ((targets >= 0) & (targets <= 1)).all()
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)  # share + (1 - share), in f32
    # An image is all of one grey, so its mean tells how much of it and of its partner there is; f32 means of 64 pixels.
    np.testing.assert_allclose(images.mean((1, 2, 3)), targets @ jnp.arange(1.0, BATCH + 1), rtol=1e-5)
    for row in range(BATCH):
        others = set(np.flatnonzero(targets[row])) - {row}
        assert others <= {(row - 1) % BATCH}  # the partner is the one before


@every_kind
@some
@given(seed=seeds)
def test_alpha_0_is_the_identity(kind: str, seed: int) -> None:
    images, targets = mixed(kind, seed, 0.0)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(targets, np.eye(CLASSES))


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 5.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    keys = jax.random.split(jax.random.key(0), 2_000)
    shares = np.asarray(jax.jit(mixup_weights, static_argnums=(2, 3))(keys, alpha, 1, 1)).ravel()
    assert np.isfinite(shares).all()
    # 0.04 is what the distance of Kolmogorov and Smirnov passes for 2,000 draws less than once in 200 keys; this key is
    # fixed. Shares are compared a little inside (0, 1), where float32 tells them from the ends.
    inside = np.linspace(0.01, 0.99, 99)
    empirical = np.searchsorted(np.sort(shares), inside) / len(shares)
    assert np.abs(empirical - stats.beta(alpha, alpha).cdf(inside)).max() < 0.04


def test_cutmix_shows_one_box_of_the_partner() -> None:
    weights = np.asarray(cutmix_weights(jax.random.split(jax.random.key(1), 300), 1.0, 9, 12))
    assert set(np.unique(weights)) <= {0.0, 1.0}
    for mask in weights == 0:
        assert mask.sum() == mask.any(0).sum() * mask.any(1).sum()
    assert 0.25 < (weights == 0).mean() < 0.5  # half the area less what the border clips


def test_with_both_each_example_gets_one_of_them() -> None:
    images, _ = mixed("both", 0, 1.0)
    cut, _ = mixed("cutmix", 0, 1.0)
    blended, _ = mixed("mixup", 0, 1.0)
    which = [np.array_equal(i, c) for i, c in zip(images, cut, strict=True)]
    # The same expression in two programs, f32 rounding.
    for image, c, b, is_cut in zip(images, cut, blended, which, strict=True):
        np.testing.assert_allclose(image, c if is_cut else b, rtol=1e-6)
    assert 0 < sum(which) < BATCH


def test_shares_belong_to_the_example() -> None:
    """In another place, with another partner, as much of an example stays."""
    numbers = {"mixup": jnp.float32(1.0)}
    forward, backward = (_mixed(3, index, numbers)[1] for index in (jnp.arange(BATCH), jnp.arange(BATCH)[::-1]))
    np.testing.assert_array_equal(jnp.diag(forward), jnp.diag(backward)[::-1])
