"""Distances of sets of examples: closed forms, SciPy, brute force, and the order that blur and noise must give."""

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from dlvr_jax.errors import UserError
from dlvr_jax.metrics.generative import (
    class_agreement,
    class_entropy,
    frechet_distance,
    frechet_distance_of_gaussians,
    inception_score,
    kernel_distance,
    manifolds,
    nearest,
    sliced_wasserstein,
)

seeds = st.integers(0, 2**31 - 1)
some = settings(deadline=None, max_examples=20)


def covariance(random: np.random.Generator, width: int) -> np.ndarray:
    half = random.normal(size=(width, width))
    return half @ half.T


@some
@given(seeds, st.sampled_from([1, 2, 7]))
def test_frechet_is_that_of_scipys_matrix_root(seed: int, width: int) -> None:
    random = np.random.default_rng(seed)
    means, (c1, c2) = random.normal(size=(2, width)), (covariance(random, width), covariance(random, width))
    root = np.real(scipy.linalg.sqrtm(c1 @ c2))
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(c1 + c2 - 2 * root)
    # Roots of eigenvalues near zero keep half of the digits.
    found = frechet_distance_of_gaussians(means[0], c1, means[1], c2)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_frechet_of_gaussians_that_commute() -> None:
    first, second = np.diag([1.0, 4.0, 0.0]), np.diag([9.0, 4.0, 1.0])
    found = frechet_distance_of_gaussians(np.zeros(3), first, np.array([1.0, 0.0, 2.0]), second)
    assert found == pytest.approx(1 + 4 + (1 - 3) ** 2 + 0 + 1, abs=1e-9)
    # An element-wise root of the product of the covariances is another number as soon as they are not diagonal.
    turned = np.array([[2.0, 1.0], [1.0, 2.0]])
    assert frechet_distance_of_gaussians(np.zeros(2), turned, np.zeros(2), turned) == pytest.approx(0, abs=1e-9)


def test_frechet_of_samples_comes_near_that_of_their_gaussians() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20_000, 2)), [3, 0] + 2 * random.normal(size=(20_000, 2))
    assert frechet_distance(x, y) == pytest.approx(9 + 2 * (2 - 1) ** 2, rel=0.02)  # 4 standard errors of the mean
    assert frechet_distance(x[::2], x[1::2]) < 2e-3  # bias: width / count
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_collapsed_examples_have_a_finite_distance() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    same = np.ones((50, 3), np.float32)
    expected = ((x.mean(0) - 1) ** 2).sum() + np.var(x, axis=0, ddof=1).sum()
    assert frechet_distance(x, same) == pytest.approx(expected, rel=1e-5)


@some
@given(seeds)
def test_kernel_distance_is_the_sum_over_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(5, 3)), random.normal(size=(4, 3))

    def mean(pairs) -> float:
        return float(np.mean([(a @ b / 3 + 1) ** 3 for a, b in pairs]))

    def others(z):
        return [(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]

    expected = mean(others(x)) + mean(others(y)) - 2 * mean([(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_kernel_distance_has_no_bias() -> None:
    random = np.random.default_rng(0)
    found = [kernel_distance(*random.normal(size=(2, 40, 4))) for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)
    assert min(found) < 0 < max(found)
    assert kernel_distance(*np.random.default_rng(1).normal(size=(2, 2500, 4))) < 0.01  # over several blocks of rows


@pytest.mark.parametrize("classes", [2, 10])
def test_inception_score_of_the_extremes(classes: int) -> None:
    uniform, perfect = np.full((40, classes), 1 / classes), np.eye(classes)[np.arange(40) % classes]
    assert inception_score(uniform) == pytest.approx(1)
    assert inception_score(perfect) == pytest.approx(classes)
    assert inception_score(perfect[:1].repeat(40, 0)) == pytest.approx(1)  # sure, but always of one class
    assert class_entropy(perfect) == pytest.approx(np.log(classes))
    assert class_entropy(uniform) == pytest.approx(np.log(classes))
    assert class_entropy(perfect[:1]) == 0


@some
@given(seeds)
def test_inception_score_is_the_exponential_of_the_mutual_information(seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(4), size=30)
    information = -(p.mean(0) * np.log(p.mean(0))).sum() + (p * np.log(p)).sum(1).mean()
    assert inception_score(p.astype(np.float32)) == pytest.approx(np.exp(information), rel=1e-5)


def test_agreement_counts_the_likeliest_class() -> None:
    assert class_agreement(np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])) == pytest.approx(2 / 3)


@some
@given(seeds, st.integers(9, 20), st.integers(9, 20))
def test_manifolds_by_their_definitions(seed: int, many: int, others: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(many, 2)), random.normal(size=(others, 2)) + 0.5

    def distances(a, b):
        return np.sqrt(((a[:, None] - b) ** 2).sum(-1))

    def reach(z, k):
        return np.sort(distances(z, z), axis=1)[:, k]  # column 0 is the point itself

    between = distances(x, y)
    found = manifolds(x, y)
    assert found.precision == (between <= reach(x, 3)[:, None]).any(0).mean()
    assert found.recall == (between <= reach(y, 3)).any(1).mean()
    assert found.density == pytest.approx((between <= reach(x, 5)[:, None]).sum() / (5 * others))
    assert found.coverage == (between <= reach(x, 5)[:, None]).any(1).mean()


def test_manifolds_of_the_extremes() -> None:
    x = np.random.default_rng(0).normal(size=(1200, 3))
    same, far = manifolds(x, x), manifolds(x, x + 100)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
    half = manifolds(x, x[x[:, 0] > 0])
    assert half.precision == 1 and half.recall < 0.8 and half.coverage < 0.8


def test_a_copy_is_its_own_nearest() -> None:
    x = np.random.default_rng(0).normal(size=(1100, 5)).astype(np.float32)
    index, distance = nearest(x[[1050, 3]], x)
    assert index.tolist() == [1050, 3]
    np.testing.assert_allclose(distance, 0, atol=1e-6)  # a difference of squares of order 10: half of f64's digits


@pytest.mark.parametrize("width", [1, 2])
def test_sliced_wasserstein_of_a_shift(width: int) -> None:
    x = np.random.default_rng(0).normal(size=(500, width))
    shift = np.eye(width)[0] * 3
    mean_cosine = {1: 1, 2: 2 / np.pi}[width]
    assert sliced_wasserstein(x, x + shift) == pytest.approx(3 * mean_cosine, rel=0.15)  # 128 random directions
    assert sliced_wasserstein(x, x[::-1]) == pytest.approx(0, abs=1e-12)


def test_all_distances_rise_with_blur_and_noise() -> None:
    random = np.random.default_rng(0)
    images = (random.random((400, 6, 6)) > 0.5).astype(np.float64)
    real, other = images[:200], images[200:]
    versions = {
        "blur": [scipy.ndimage.gaussian_filter(other, (0, s, s)) for s in (0.01, 0.4, 0.6, 1.0)],
        "noise": [other + s * random.normal(size=other.shape) for s in (0.0, 0.3, 0.6, 1.0)],
    }
    flat = real.reshape(200, -1)
    for distance in (frechet_distance, kernel_distance, sliced_wasserstein):
        for kind, worse_and_worse in versions.items():
            found = [distance(flat, version.reshape(200, -1)) for version in worse_and_worse]
            assert found == sorted(found), (distance, kind, found)


def test_too_few_examples_are_said() -> None:
    one, many = np.zeros((1, 2)), np.zeros((9, 2))
    for metric in (frechet_distance, kernel_distance, manifolds):
        with pytest.raises(UserError):
            metric(one, many)
