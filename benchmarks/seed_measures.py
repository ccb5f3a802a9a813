"""The seed system's measures of similarity, of X and Y [neurons, positions], written anew from their formulas.

CCA as in Raghu et al. 2017 (SVCCA) without the truncation; CKA as in Kornblith et al. 2019, its kernels over neurons.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

EPSILON = 1e-6


def cca(x: Matrix, y: Matrix) -> float:
    """The mean of the leading canonical correlations, those that make up 98 % of their sum."""
    joint = np.cov(x, y)
    sides = [slice(0, len(x)), slice(len(x), None)]
    (xx, yy), xy = (joint[side, side] for side in sides), joint[sides[0], sides[1]]
    x_scale, y_scale = np.abs(xx).max(), np.abs(yy).max()
    left, right = xx / x_scale, yy / y_scale
    rows, columns = np.diagonal(left) >= EPSILON, np.diagonal(right) >= EPSILON
    inner = xy[np.ix_(rows, columns)] / np.sqrt(x_scale * y_scale)
    whitened = inverse_root(left[np.ix_(rows, rows)]) @ inner @ inverse_root(right[np.ix_(columns, columns)])
    found = np.linalg.svd(whitened, compute_uv=False)
    shares = np.concatenate([[0.0], np.cumsum(found) / found.sum()])
    return float(found[: int(np.argmax(shares >= 0.98))].mean())


def inverse_root(covariance: Matrix) -> Matrix:
    """(C + ε I) to the power −½."""
    values, vectors = np.linalg.eigh(covariance + EPSILON * np.eye(len(covariance)))
    kept = values > 1e-15 * values.max()
    return (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T


def linear_cka(x: Matrix, y: Matrix) -> float:
    """With the kernels X Xᵀ and Y Yᵀ."""
    return cka(x @ x.T, y @ y.T)


def kernel_cka(x: Matrix, y: Matrix) -> float:
    """With Gaussian kernels, as wide as the median of the squared distances that are not zero."""
    return cka(gaussian(x), gaussian(y))


def cka(k: Matrix, m: Matrix) -> float:
    """HSIC(K, M) / √(HSIC(K, K) HSIC(M, M)), with the centring matrix written out."""
    size = len(k)
    centring = np.eye(size) - np.ones((size, size)) / size
    k, m = centring @ k @ centring, centring @ m @ centring
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def gaussian(points: Matrix) -> Matrix:
    """exp(−d² / 2σ²) of every two rows."""
    inner = points @ points.T
    squares = np.diagonal(inner) - inner
    distances = squares + squares.T
    return np.exp(-0.5 * distances / np.median(distances[distances != 0]))
