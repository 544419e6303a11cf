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

#: Angle of the joint, degrees about +x, at which it stands for the action ``jawOpen`` = 1.
JAW_OPEN_DEGREES = 23.4

_ACTIONS = "faceunits01/targets/faceunits"


@dataclass(frozen=True)
class Jaw:
    """The jaw joint.

    Attributes:
        pivot: (3,) metres, in the base head's frame.
        weights: (V,) part in the joint's rotation, in [0, 1].
        residual: root mean square (metres) over moved vertices of jawOpen at 1 minus the joint's rotation.
    """

    pivot: Float
    weights: Float
    residual: float


def mouth_field(head: BaseHead, lips: NDArray[np.bool_], still: NDArray[np.bool_]) -> Float:
    """How far mouth actions may reach: (V,) 1 around mouth and chin, 0 from the base of the nose upwards.

    In the middle the fade lies between upper lip and base of the nose. On the outer cheeks, where a smile moves the
    skin by more than that width, it begins lower and ends higher, or the skin would fold. Vertices of ``still`` (V,),
    such as the nose's, stay out whatever their height.
    """
    x, y = np.abs(head.vertices[:, 0]), head.vertices[:, 1]
    top = y[lips].max()
    aside = _smoothstep((x - 0.020) / 0.025)
    start, end = top + 0.0005 - 0.016 * aside, top + 0.0075 + 0.011 * aside
    field = _smoothstep((end - y) / (end - start))
    field[np.concatenate([head.parts[name] for name in head.parts if "eye" in name])] = 0
    field[still] = 0
    # Mouth interior and lower teeth belong to the mouth wherever they lie.
    field[np.concatenate([head.parts["mouth_cavity"], head.parts["lower_teeth"]])] = 1
    field[head.parts["upper_teeth"]] = 0
    return field


def expression_basis(head: BaseHead, field: Float | None) -> Float:
    """Offsets (V, 3, E), metres at coefficient 1, linear in it; mouth actions confined to ``field`` where given."""
    basis = np.stack([head.target(f"{_ACTIONS}/{name}.target") for name in EXPRESSION_NAMES], axis=-1)
    if field is not None:
        mouth = np.array([is_mouth_action(name) for name in EXPRESSION_NAMES])
        basis[:, :, mouth] *= field[:, None, None]
    return basis


def jaw_joint(head: BaseHead, field: Float | None) -> Jaw:
    """Fit the joint to the action ``jawOpen``: pivot from the rigid lower teeth, weights a vertex by projection.

    ``weight = <d, r> / <r, r>`` with d the action's offset and r the offset of the full rotation, within [0, 1] and
    smoothed over neighbours.
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
    """Weights (V,), sum 1 and least in squares, of candidate vertices that give the point ``target`` (3,)."""
    rows = np.vstack([vertices[candidates].T, np.ones(len(candidates))])
    found = np.linalg.lstsq(rows, np.append(target, 1.0), rcond=None)[0]
    weights = np.zeros(len(vertices))
    weights[candidates] = found
    return weights


def _pivot(points: Float, offsets: Float) -> Float:
    """Centre (3,) of the planar rotation (y, z) that carries points to points + offsets; x is 0."""
    before, after = points[:, 1:], points[:, 1:] + offsets[:, 1:]
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    cross = a.T @ b
    angle = np.arctan2(cross[0, 1] - cross[1, 0], cross[0, 0] + cross[1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = after.mean(axis=0) - turn @ before.mean(axis=0)
    return np.append(0.0, np.linalg.solve(np.eye(2) - turn, shift))


def _smoothed(values: Float, faces: NDArray[np.int64], rounds: int = 2) -> Float:
    """Mean of each vertex and its neighbours, some rounds; lips are separate rims, so the mouth stays cut."""
    count = len(values)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    near = ((near + near.T) > 0).astype(float) + sparse.eye(count)
    near = sparse.diags(1 / np.asarray(near.sum(axis=1)).ravel()) @ near
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * (near @ values)
    return values


def _smoothstep(values: Float) -> Float:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(values, 0, 1)
    return t * t * (3 - 2 * t)
