"""The eyeballs of a head model: where they are, and how a gaze turns them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.head.asset import Float, HeadAsset

#: Regions of the subject's left and right eyeball in head models that have them.
EYEBALLS = ("left_eyeball", "right_eyeball")


@dataclass(frozen=True, eq=False)
class Eyeball:
    """One eyeball: the sphere nearest to its vertices.

    Attributes:
        rows: numbers of its vertices.
        centre: (3,) metres.
        radius: metres.
    """

    rows: NDArray[np.int64]
    centre: NDArray[np.float64]
    radius: float


def eyeballs(head: HeadAsset, vertices: NDArray[np.floating]) -> list[Eyeball]:
    """The left and right eyeball of neutral vertices (V, 3); none if the head model lacks one of the regions."""
    if not all(region in head.regions for region in EYEBALLS):
        return []
    found = []
    for region in EYEBALLS:
        rows = np.asarray(head.regions[region], dtype=np.int64)
        # Linear least squares: |p|^2 = 2 p c + (r^2 - |c|^2).
        points = np.asarray(vertices[rows], dtype=np.float64)
        system = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
        solved = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0]
        centre = solved[:3]
        found.append(Eyeball(rows, centre, float(np.sqrt(solved[3] + centre @ centre))))
    return found


def eye_rotations(gaze: NDArray[np.floating]) -> Rotation:
    """Rotations (T,) of an eye in the head frame from its yaw and pitch (T, 2): positive pitch looks up."""
    return Rotation.from_euler("YX", np.stack([gaze[:, 0], -gaze[:, 1]], axis=1).astype(np.float64))


def turn_eyes(
    head: HeadAsset,
    shape: NDArray[np.floating],
    posed: Float,
    global_pose: NDArray[np.floating],
    gaze: NDArray[np.floating],
) -> Float:
    """Posed vertices (T, V, 3) with eyes turned by the gaze (T, 2, 2); others as given.

    Args:
        head: the head model.
        shape: (S,) identity.
        posed: see `head.skinning.vertices_numpy`.
        global_pose: (T, 3) head rotation, axis-angle.
        gaze: yaw and pitch of the left and right eye, radians.
    """
    vertices = head.v_template + head.shapedirs @ np.asarray(shape, dtype=np.float32)
    root, turned = head.J_regressor[0] @ vertices, Rotation.from_rotvec(np.asarray(global_pose, dtype=np.float64))
    out = posed.copy()
    for number, eye in enumerate(eyeballs(head, vertices)):
        centre = (turned.apply(eye.centre - root) + root)[:, None]
        turn = (turned * eye_rotations(gaze[:, number]) * turned.inv()).as_matrix()
        out[:, eye.rows] = (posed[:, eye.rows] - centre) @ turn.transpose(0, 2, 1) + centre
    return out
