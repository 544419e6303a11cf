"""Expression basis with ARKit names and the jaw joint, from MakeHuman's facial actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.head.coefficient_groups import is_mouth_action
from occlufacediff.openhead.makehuman import BaseHead

Float = NDArray[np.float64]

#: Angle of the jaw joint around +x that corresponds to ``jawOpen`` = 1, degrees.
JAW_OPEN_DEGREES = 23.4

_ACTIONS = "faceunits01/targets/faceunits"


@dataclass(frozen=True)
class Jaw:
    """The jaw joint.

    Attributes:
        pivot: (3,) metres, in the frame of the base head.
        weights: (V,) skinning weights of the joint, in [0, 1].
        residual: root mean square over moved vertices of jawOpen = 1 minus the rotation of the joint, metres.
    """

    pivot: Float
    weights: Float
    residual: float


def mouth_field(head: BaseHead, lips: NDArray[np.bool_], still: NDArray[np.bool_]) -> Float:
    """Weight (V,) of mouth actions: 1 around mouth and chin, 0 from the base of the nose upwards.

    Near the centre, the weight falls between upper lip and base of the nose. On the outer cheeks the transition is
    wider, because a smile moves the skin there by more than that distance and would fold it. Vertices in the mask
    ``still`` (V,), such as those of the nose, have weight 0.
    """
    x, y = np.abs(head.vertices[:, 0]), head.vertices[:, 1]
    top = y[lips].max()
    aside = _smoothstep((x - 0.020) / 0.025)
    start, end = top + 0.0005 - 0.016 * aside, top + 0.0075 + 0.011 * aside
    field = _smoothstep((end - y) / (end - start))
    field[np.concatenate([head.parts[name] for name in head.parts if "eye" in name])] = 0
    field[still] = 0
    # Mouth interior and lower teeth belong to the mouth at any height.
    field[np.concatenate([head.parts["mouth_cavity"], head.parts["lower_teeth"]])] = 1
    field[head.parts["upper_teeth"]] = 0
    return field


def expression_basis(head: BaseHead, field: Float | None) -> Float:
    """Offsets (V, 3, E) in metres for coefficients of 1. Mouth actions are weighted by ``field`` (V,), if given."""
    basis = np.stack([head.target(f"{_ACTIONS}/{name}.target") for name in EXPRESSION_NAMES], axis=-1)
    if field is not None:
        mouth = np.array([is_mouth_action(name) for name in EXPRESSION_NAMES])
        basis[:, :, mouth] *= field[:, None, None]
    return basis


def jaw_joint(head: BaseHead, field: Float | None) -> Jaw:
    """Fit the jaw joint to the action ``jawOpen``.

    The pivot is fitted to the lower teeth, which move rigidly. The weight of a vertex is ``<d, r> / <r, r>``, with d
    the offset of the action and r the offset of the full rotation, clipped to [0, 1] and smoothed over neighbours.
    """
    offset = head.target(f"{_ACTIONS}/jawOpen.target")
    teeth = head.parts["lower_teeth"]
    pivot = _pivot(head.vertices[teeth], offset[teeth])
    angle = np.radians(JAW_OPEN_DEGREES)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    full = (head.vertices - pivot) @ turn.T + pivot - head.vertices
    squared = np.einsum("ij,ij->i", full, full)
    weights = np.clip(np.einsum("ij,ij->i", offset, full) / np.maximum(squared, 1e-12), 0, 1)
    weights[teeth] = 1
    weights[head.parts["upper_teeth"]] = 0
    weights = _smoothed(weights, head.faces)
    if field is not None:
        weights *= field
    weights[weights < 1e-3] = 0
    moved = np.linalg.norm(offset, axis=1) > 1e-4
    rest = offset - weights[:, None] * full
    return Jaw(pivot, weights, float(np.sqrt((rest[moved] ** 2).sum(axis=1).mean())))


def joint_regressor(vertices: Float, candidates: NDArray[np.int64], target: Float) -> Float:
    """Minimum-norm weights (V,) of candidate vertices, with sum 1, whose weighted mean is ``target`` (3,)."""
    rows = np.vstack([vertices[candidates].T, np.ones(len(candidates))])
    found = np.linalg.lstsq(rows, np.append(target, 1.0), rcond=None)[0]
    weights = np.zeros(len(vertices))
    weights[candidates] = found
    return weights


def _pivot(points: Float, offsets: Float) -> Float:
    """Centre (3,) of the rotation in the y-z plane that maps points to points + offsets; its x is 0."""
    before, after = points[:, 1:], points[:, 1:] + offsets[:, 1:]
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    cross = a.T @ b
    angle = np.arctan2(cross[0, 1] - cross[1, 0], cross[0, 0] + cross[1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = after.mean(axis=0) - turn @ before.mean(axis=0)
    return np.append(0.0, np.linalg.solve(np.eye(2) - turn, shift))


def _smoothed(values: Float, faces: NDArray[np.int64], rounds: int = 2) -> Float:
    """Smooth values (V,) over mesh neighbours. Upper and lower lip are not connected, so they stay separate."""
    count = len(values)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    near = ((near + near.T) > 0).astype(float) + sparse.eye(count)
    near = sparse.diags(1 / np.asarray(near.sum(axis=1)).ravel()) @ near
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * (near @ values)
    return values


def _smoothstep(values: Float) -> Float:
    """Cubic step: 0 below 0, 1 above 1."""
    t = np.clip(values, 0, 1)
    return t * t * (3 - 2 * t)
