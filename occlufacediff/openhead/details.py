"""Identity details: smooth changes of the face that no sampled head has, so that a fit can follow any real face.

MakeHuman's targets span few of the ways in which faces differ. What is left is taken to be a smooth random field on the
face (a Gaussian process); its principal directions, at right angles to the identity components, widen the basis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from occlufacediff.openhead.identities import IdentityBasis

Float = NDArray[np.float64]

# Distance from the face over which the field fades, metres.
_FADE = 0.01
# The field is sampled at every fourth vertex, and kept to this many functions of each symmetry.
_STEP, _FUNCTIONS = 4, 80
# Asymmetric changes are that much smaller than symmetric ones.
_ASYMMETRY = 0.5


def detail_basis(
    identity: IdentityBasis, face: NDArray[np.int64], *, count: int, length: float, spread: float
) -> NDArray[np.float32]:
    """Principal directions (V, 3, count) of a smooth field about the mean head, metres for one standard deviation.

    The field has covariance ``spread^2 exp(-d^2 / (2 length^2))`` on the face, d being the distance of two vertices,
    and fades beyond it; its asymmetric part is smaller. Place, turn and size of the face are taken out of it, then the
    identity components; directions come in falling order of their variance on the face.

    Args:
        identity: mean head and the components to be at right angles to.
        face: vertices of the face.
        count: directions; length, spread: metres.
    """
    vertices = identity.mean
    if count == 0:
        return np.zeros((*vertices.shape, 0), dtype=np.float32)
    fade = np.exp(-((cKDTree(vertices[face]).query(vertices)[0] / _FADE) ** 2))
    near = np.flatnonzero(fade > 0.01)
    even, odd = _functions(vertices[near], fade[near], length)
    field = np.zeros((len(vertices), 3, 6 * even.shape[1]))
    for axis in range(3):
        # A symmetric change moves left and right apart (x odd), up and forward together (y, z even).
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
    """Even and odd functions (P, K each) about the plane x = 0 whose random sums have the wanted covariance.

    Nystrom: eigenvectors of the covariance of some points, carried to all points.
    """
    some = np.arange(0, len(points), _STEP)
    straight, mirrored = (
        np.exp(-cdist(points * [side, 1, 1], points[some], "sqeuclidean") / (2 * length**2)) for side in (1, -1)
    )
    found = []
    for sign in (1, -1):
        covariance = (straight + sign * mirrored) / 2 * np.outer(fade, fade[some])
        last = len(some) - 1
        values, vectors = eigh(covariance[some], subset_by_index=(max(last + 1 - _FUNCTIONS, 0), last))
        found.append(covariance @ (vectors / np.sqrt(values)))
    return found[0], found[1]


def _without_similarity(vertices: Float, face: NDArray[np.int64], field: Float) -> Float:
    """``field`` (V, 3, K) less the shift, turn and growth of the whole head that follow it best on the face."""
    centred = vertices - vertices[face].mean(axis=0)
    moves = [centred, *(np.broadcast_to(axis, centred.shape) for axis in np.eye(3))]
    moves += [np.cross(axis, centred) for axis in np.eye(3)]
    basis = np.stack(moves, axis=2)
    on_face = basis[face].reshape(-1, len(moves))
    amounts = np.linalg.lstsq(on_face, field[face].reshape(len(on_face), -1), rcond=None)[0]
    return field - basis @ amounts
