"""How near generated examples are to real ones: Frechet and kernel distances, Inception Score, precision and recall.

All work on the host in float64, on features (one row an example) or class probabilities of some network. A figure means
something only beside the network that made it: `features.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num

from dlvr_jax.errors import UserError

Features = Num[np.ndarray, "_ width"]

_ROWS = 1000  # of a matrix of distances that are held at once


def frechet_distance(real: Features, generated: Features) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)), of means m and covariances C: on Inception's features it is the FID.

    Heusel et al. 2017, https://arxiv.org/abs/1706.08500, equation 6. It is biased upwards, the more the fewer examples
    there are, so only figures of equal counts compare. Covariances may be singular.
    """
    first, second = _moments(real), _moments(generated)
    return frechet_distance_of_gaussians(*first, *second)


def frechet_distance_of_gaussians(
    mean1: Float[np.ndarray, " width"],
    covariance1: Float[np.ndarray, "width width"],
    mean2: Float[np.ndarray, " width"],
    covariance2: Float[np.ndarray, "width width"],
) -> float:
    """The squared 2-Wasserstein distance of two Gaussians: Dowson and Landau 1982.

    sqrt(C1 C2) has the trace of sqrt(S C2 S) with S = sqrt(C1): that matrix is symmetric, so its eigenvalues are real.
    """
    values, vectors = np.linalg.eigh(covariance1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariance2 @ root).clip(0)).sum()
    distance = ((mean1 - mean2) ** 2).sum() + np.trace(covariance1) + np.trace(covariance2) - 2 * cross
    return float(max(distance, 0.0))


def kernel_distance(real: Features, generated: Features) -> float:
    """The squared maximum mean discrepancy under k(x, y) = (x.y / width + 1)^3: on Inception's features it is the KID.

    Binkowski et al. 2018, https://arxiv.org/abs/1801.01401, section 4. Without bias, so it may be below zero. Of all
    pairs, not of random subsets.
    """
    x, y = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if min(len(x), len(y)) < 2:
        raise UserError(f"a kernel distance needs two examples of each kind, not {len(x)} and {len(y)}")
    mixed = sum(block.sum() for block in _kernel(x, y)) / (len(x) * len(y))
    return float(_mean_of_others(x) + _mean_of_others(y) - 2 * mixed)


def inception_score(probabilities: Float[np.ndarray, "count classes"]) -> float:
    """exp of the mean KL(p(y | x) || p(y)): 1 where all rows are equal, the number of classes where each is sure of
    its class and the classes are even.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 4; p(y) is the mean over all
    examples, not over one of ten parts.
    """
    p = np.asarray(probabilities, np.float64)
    marginal = np.broadcast_to(p.mean(0), p.shape)
    ratio = np.divide(p, marginal, out=np.ones_like(p), where=p > 0)
    return float(np.exp((p * np.log(ratio)).sum(1).mean()))


def class_entropy(probabilities: Float[np.ndarray, "count classes"]) -> float:
    """The entropy, in nats, of the mean of all rows: log(classes) where every class is as frequent."""
    marginal = np.asarray(probabilities, np.float64).mean(0)
    marginal = marginal[marginal > 0]
    return float(-(marginal * np.log(marginal)).sum())


def class_agreement(probabilities: Float[np.ndarray, "count classes"], asked: Int[np.ndarray, " count"]) -> float:
    """The share of examples whose likeliest class is the one that was asked for."""
    return float((probabilities.argmax(1) == asked).mean())


@dataclass(frozen=True)
class Manifolds:
    """How much of the generated lies among the real (precision, density), and of the real among the generated.

    precision and recall in [0, 1]: Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991, with k = 3. density
    (may be above 1) and coverage in [0, 1]: Naeem et al. 2020, https://arxiv.org/abs/2002.09797, with k = 5, which one
    outlier does not spoil.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifolds(real: Features, generated: Features, k: int = 3, k_density: int = 5) -> Manifolds:
    """See Manifolds: an example's ball reaches to its k-th nearest neighbour of its own kind.

    Raises:
        UserError: there are not more than `k_density` examples of a kind.
    """
    x, y = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if min(len(x), len(y)) <= max(k, k_density):
        raise UserError(f"precision and recall need over {max(k, k_density)} examples of each kind")
    reach, reach_of_generated = _reaches(x, (k, k_density)), _reaches(y, (k,))[0]
    among_real = np.zeros(len(y), bool)
    recalled, covered, inside = np.zeros(len(x), bool), np.zeros(len(x), bool), 0
    for rows, distances in _distances(x, y):  # distances from some real examples to all generated ones
        among_real |= (distances <= reach[0][rows, None]).any(0)
        recalled[rows] = (distances <= reach_of_generated).any(1)
        near = distances <= reach[1][rows, None]
        covered[rows], inside = near.any(1), inside + int(near.sum())
    return Manifolds(
        float(among_real.mean()), float(recalled.mean()), inside / (k_density * len(y)), float(covered.mean())
    )


def nearest(queries: Features, candidates: Features) -> tuple[Int[np.ndarray, " count"], Float[np.ndarray, " count"]]:
    """For each query the number of the nearest candidate, and how far it is: who generates has not memorised."""
    x, y = np.asarray(queries, np.float64), np.asarray(candidates, np.float64)
    index, distance = np.zeros(len(x), np.int64), np.zeros(len(x))
    for rows, distances in _distances(x, y):
        index[rows] = distances.argmin(1)
        distance[rows] = distances.min(1)
    return index, distance


def sliced_wasserstein(real: Features, generated: Features, directions: int = 128) -> float:
    """The mean, over random directions of length 1, of the Wasserstein-1 distance of the projections.

    Bonneel et al. 2015, with distance 1 in place of 2. It needs no features: it works on points and pixels. The
    directions are always the same ones.
    """
    from scipy.stats import wasserstein_distance

    x, y = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    units = np.random.default_rng(0).normal(size=(x.shape[1], directions))
    units /= np.linalg.norm(units, axis=0)
    return float(np.mean([wasserstein_distance(x @ unit, y @ unit) for unit in units.T]))


def _moments(features: Features) -> tuple[Float[np.ndarray, " width"], Float[np.ndarray, "width width"]]:
    wide = np.asarray(features, np.float64)
    if len(wide) < 2:
        raise UserError(f"a Frechet distance needs two examples of each kind, not {len(wide)}")
    return wide.mean(0), np.atleast_2d(np.cov(wide, rowvar=False))


def _kernel(x: Features, y: Features) -> Iterator[Float[np.ndarray, "rows others"]]:
    for start in range(0, len(x), _ROWS):
        yield (x[start : start + _ROWS] @ y.T / x.shape[1] + 1) ** 3


def _mean_of_others(x: Features) -> float:
    """The mean kernel over all pairs of two different examples."""
    itself = (((x * x).sum(1) / x.shape[1] + 1) ** 3).sum()
    return float((sum(block.sum() for block in _kernel(x, x)) - itself) / (len(x) * (len(x) - 1)))


def _distances(x: Features, y: Features) -> Iterator[tuple[slice, Float[np.ndarray, "rows others"]]]:
    """Euclidean distances from a few rows of x at a time to all of y."""
    squares = (y * y).sum(1)
    for start in range(0, len(x), _ROWS):
        part = x[start : start + _ROWS]
        squared = (part * part).sum(1)[:, None] + squares - 2 * part @ y.T
        yield slice(start, start + len(part)), np.sqrt(squared.clip(0))


def _reaches(x: Features, numbers: tuple[int, ...]) -> list[Float[np.ndarray, " count"]]:
    """For each k of `numbers`, how far each example's k-th nearest other one is."""
    reaches = [np.zeros(len(x)) for _ in numbers]
    for rows, distances in _distances(x, x):
        distances[np.arange(len(distances)), np.arange(len(x))[rows]] = np.inf  # itself
        nearest_ones = np.partition(distances, [k - 1 for k in numbers], axis=1)
        for k, reach in zip(numbers, reaches, strict=True):
            reach[rows] = nearest_ones[:, k - 1]
    return reaches
