"""Measures of similarity between two representations of the same points: X [n, a] and Y [n, b], row k beside row k.

Each is 1 for the same representation and None where too few points decide. Sources: CKA, Kornblith et al. 2019,
"Similarity of Neural Network Representations Revisited"; its debiased form, Song et al. 2012, "Feature Selection via
Dependence Maximization" (the unbiased HSIC); SVCCA, Raghu et al. 2017.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RealMatrix = npt.NDArray[np.float64]

CCA_EPSILON = 1e-6
COEFFICIENTS_SUM = 0.98
VARIANCE_KEPT = 0.99
LEAST_POINTS = 4
"""Points the unbiased HSIC is defined from."""


def linear_cka(x: RealMatrix, y: RealMatrix) -> float | None:
    """CKA with the linear kernel: ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) of centred columns."""
    return linear_cka_of(x @ x.T, y @ y.T)


def linear_cka_of(k: RealMatrix, m: RealMatrix) -> float | None:
    """The same from the inner products of the points [n, n]."""
    return _cka(_centred(k), _centred(m))


def kernel_cka(x: RealMatrix, y: RealMatrix, *, sigma: float | None = None) -> float | None:
    """CKA with Gaussian kernels exp(−d² / 2σ²), σ² the median of the squared distances that are not zero."""
    return kernel_cka_of(x @ x.T, y @ y.T, sigma=sigma)


def kernel_cka_of(k: RealMatrix, m: RealMatrix, *, sigma: float | None = None) -> float | None:
    """The same from the inner products of the points [n, n]."""
    left, right = _gaussian(k, sigma), _gaussian(m, sigma)
    return None if left is None or right is None else _cka(_centred(left), _centred(right))


def debiased_linear_cka(x: RealMatrix, y: RealMatrix) -> float | None:
    """CKA with the linear kernel from the unbiased HSIC: 0 in the mean for unrelated points, however few they are."""
    return _debiased_cka(_inner(x), _inner(y))


def debiased_kernel_cka(x: RealMatrix, y: RealMatrix) -> float | None:
    """CKA with the Gaussian kernels of `kernel_cka` from the unbiased HSIC."""
    k, m = _gaussian(_inner(x), None), _gaussian(_inner(y), None)
    return None if k is None or m is None else _debiased_cka(k, m)


def cca(x: RealMatrix, y: RealMatrix) -> float | None:
    """Mean of the leading canonical correlations, those that make up 98 % of their sum, as the seed system takes it."""
    return cca_of(np.cov(x, y, rowvar=False), x.shape[1])


def cca_of(joint: RealMatrix, width: int) -> float | None:
    """The same from the covariance [a + b, a + b] of both sides' columns, of which `width` are X's."""
    correlations = _correlations(joint, width, CCA_EPSILON)
    if not correlations.sum() > 0:
        return None
    shares = np.concatenate([[0.0], np.cumsum(correlations) / correlations.sum()])
    leading = int(np.argmax(shares >= COEFFICIENTS_SUM))
    return float(correlations[:leading].mean())


def canonical_correlations(x: RealMatrix, y: RealMatrix, *, epsilon: float = CCA_EPSILON) -> RealMatrix:
    """The correlations, descending, of columns whose scaled variance is at least `epsilon`, which is the ridge too."""
    return _correlations(np.cov(x, y, rowvar=False), x.shape[1], epsilon)


def _correlations(joint: RealMatrix, width: int, epsilon: float) -> RealMatrix:
    xx, xy, yy = joint[:width, :width], joint[:width, width:], joint[width:, width:]
    x_scale, y_scale = np.abs(xx).max(), np.abs(yy).max()
    if not (x_scale > 0 and y_scale > 0):
        return np.zeros(0)
    xx, yy, xy = xx / x_scale, yy / y_scale, xy / np.sqrt(x_scale * y_scale)
    x_kept, y_kept = np.diagonal(xx) >= epsilon, np.diagonal(yy) >= epsilon
    left = _inverse_root(xx[np.ix_(x_kept, x_kept)], epsilon)
    right = _inverse_root(yy[np.ix_(y_kept, y_kept)], epsilon)
    correlations: RealMatrix = np.linalg.svd(left @ xy[np.ix_(x_kept, y_kept)] @ right, compute_uv=False)
    return correlations


def svcca(left: RealMatrix, right: RealMatrix) -> float | None:
    """Mean canonical correlation of two sides by their `principal` directions [n, k], [n, l] of the same n points.

    None unless the points are at least twice as many as the directions of both sides: with fewer, directions that
    have nothing to do with one another correlate.
    """
    points, directions = len(left), left.shape[1] + right.shape[1]
    if points < LEAST_POINTS or not (left.size and right.size) or points < 2 * directions:
        return None
    return float(np.linalg.svd(left.T @ right, compute_uv=False).clip(max=1.0).mean())


def principal(points: RealMatrix) -> RealMatrix:
    """An orthonormal basis [n, k] of the centred points' leading directions, those that hold 99 % of the variance."""
    basis, lengths, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    variance = lengths**2
    if not variance.sum() > 0:
        return basis[:, :0]
    kept = int(np.searchsorted(np.cumsum(variance) / variance.sum(), VARIANCE_KEPT)) + 1
    leading: RealMatrix = basis[:, :kept]
    return leading


def _inverse_root(covariance: RealMatrix, epsilon: float) -> RealMatrix:
    """The symmetric inverse square root of covariance + ε·I."""
    values, vectors = np.linalg.eigh(covariance + epsilon * np.eye(len(covariance)))
    positive = values > 1e-15 * values.max()
    roots = np.where(positive, 1.0 / np.sqrt(np.where(positive, values, 1.0)), 0.0)
    root: RealMatrix = (vectors * roots) @ vectors.T
    return root


def _cka(k: RealMatrix, m: RealMatrix) -> float | None:
    """HSIC(K, M) / √(HSIC(K, K) HSIC(M, M)) of centred kernels."""
    scale = np.linalg.norm(k) * np.linalg.norm(m)
    return float((k * m).sum() / scale) if scale > 0 else None


def _debiased_cka(k: RealMatrix, m: RealMatrix) -> float | None:
    if len(k) < LEAST_POINTS:
        return None
    k, m = _hollow(k), _hollow(m)
    own_k, own_m = _unbiased_hsic(k, k), _unbiased_hsic(m, m)
    return float(_unbiased_hsic(k, m) / np.sqrt(own_k * own_m)) if own_k > 0 and own_m > 0 else None


def _centred(kernel: RealMatrix) -> RealMatrix:
    centred: RealMatrix = kernel - kernel.mean(0) - kernel.mean(1, keepdims=True) + kernel.mean()
    return centred


def _inner(points: RealMatrix) -> RealMatrix:
    """Inner products [n, n] of centred points: that changes no distance, and much in floating point."""
    centred = points - points.mean(0)
    inner: RealMatrix = centred @ centred.T
    return inner


def _gaussian(inner: RealMatrix, sigma: float | None) -> RealMatrix | None:
    """The Gaussian kernel [n, n] of inner products; None where all points are the same and no width is given."""
    squares = np.diagonal(inner)
    distances = squares - inner + (squares - inner).T  # the squared distances, rounded as the seed rounds them
    apart = distances[distances != 0]
    median = float(np.median(apart)) if apart.size else 0.0
    width = median if sigma is None else sigma**2
    if width <= 0:
        return None
    kernel: RealMatrix = np.exp(-0.5 * distances / width)
    return kernel


def _hollow(kernel: RealMatrix) -> RealMatrix:
    hollow: RealMatrix = kernel - np.diag(np.diagonal(kernel))
    return hollow


def _unbiased_hsic(k: RealMatrix, m: RealMatrix) -> float:
    """Song et al. 2012, equation 5, of kernels whose diagonals are zero."""
    n = len(k)
    traced = (k * m).sum()
    sums = k.sum() * m.sum() / ((n - 1) * (n - 2))
    rows = 2.0 * (k.sum(0) @ m.sum(0)) / (n - 2)
    return float((traced + sums - rows) / (n * (n - 3)))
