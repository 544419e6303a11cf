"""Identity details: smooth shape changes outside the span of the sampled heads.

MakeHuman's targets span only a part of the variation of real faces. The rest is modelled as a smooth random field on
the face, a Gaussian process. Its principal directions, orthogonal to the identity components, extend the basis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from occlufacediff.openhead.identities import IdentityBasis

Float = NDArray[np.float64]

# Distance over which the field decays outside the face, metres.
_FADE = 0.01
# The field is approximated from every fourth vertex, with this number of functions for each symmetry.
_STEP, _FUNCTIONS = 4, 80
# Standard deviation of antisymmetric relative to symmetric changes.
_ASYMMETRY = 0.5


def detail_basis(
    identity: IdentityBasis, face: NDArray[np.int64], *, count: int, length: float, spread: float
) -> NDArray[np.float32]:
    """Principal directions (V, 3, count) of a smooth field around the mean head, metres per standard deviation.

    The field has the covariance ``spread^2 exp(-d^2 / (2 length^2))`` for two vertices of the face at distance d and
    decays outside the face. Translation, rotation and scale of the face and the identity components are projected out.
    Directions are sorted by decreasing variance on the face.

    Args:
        identity: mean head, and the components to which the details are orthogonal.
        face: indices of the vertices of the face.
        count: number of directions.
        length: correlation length, metres.
        spread: standard deviation at a vertex, metres.
    """
    vertices = identity.mean
    if count == 0:
        return np.zeros((*vertices.shape, 0), dtype=np.float32)
    fade = np.exp(-((cKDTree(vertices[face]).query(vertices)[0] / _FADE) ** 2))
    near = np.flatnonzero(fade > 0.01)
    even, odd = _functions(vertices[near], fade[near], length)
    field = np.zeros((len(vertices), 3, 6 * even.shape[1]))
    for axis in range(3):
        # A symmetric change is odd in x for the x component and even for the y and z components.
        halves = (odd, even) if axis == 0 else (even, odd)
        for number, (functions, size) in enumerate(zip(halves, (spread, _ASYMMETRY * spread), strict=True)):
            first = (2 * axis + number) * even.shape[1]
            field[near, axis, first : first + even.shape[1]] = size * functions
    flat = _without_similarity(vertices, face, field).reshape(3 * len(vertices), -1)
    components = qr(identity.directions.reshape(len(flat), -1), mode="economic")[0]
    flat -= components @ (components.T @ flat)
    on_face = flat.reshape(len(vertices), 3, -1)[face].reshape(3 * len(face), -1)
    _, mixture = eigh(on_face.T @ on_face, subset_by_index=(flat.shape[1] - count, flat.shape[1] - 1))
    directions = flat @ mixture[:, ::-1]
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(count)])
    return directions.reshape(*vertices.shape, count).astype(np.float32)


def _functions(points: Float, fade: Float, length: float) -> tuple[Float, Float]:
    """Functions (P, K) even and odd in x whose sums with random normal weights have the desired covariance.

    Nystrom approximation: eigenvectors of the covariance of some points are extended to all points.
    """
    samples = np.arange(0, len(points), _STEP)
    direct, mirrored = (
        np.exp(-cdist(points * [side, 1, 1], points[samples], "sqeuclidean") / (2 * length**2)) for side in (1, -1)
    )
    found = []
    for sign in (1, -1):
        covariance = (direct + sign * mirrored) / 2 * np.outer(fade, fade[samples])
        last = len(samples) - 1
        values, vectors = eigh(covariance[samples], subset_by_index=(max(last + 1 - _FUNCTIONS, 0), last))
        found.append(covariance @ (vectors / np.sqrt(values)))
    return found[0], found[1]


def _without_similarity(vertices: Float, face: NDArray[np.int64], field: Float) -> Float:
    """Remove from ``field`` (V, 3, K) the translation, rotation and scale that fit it best on the face."""
    centred = vertices - vertices[face].mean(axis=0)
    similarity = [centred, *(np.broadcast_to(axis, centred.shape) for axis in np.eye(3))]
    similarity += [np.cross(axis, centred) for axis in np.eye(3)]
    basis = np.stack(similarity, axis=2)
    on_face = basis[face].reshape(-1, len(similarity))
    amounts = np.linalg.lstsq(on_face, field[face].reshape(len(on_face), -1), rcond=None)[0]
    return field - basis @ amounts
