"""The head model in numpy, for rendering and the fit: no torch, so a job that needs only this starts at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.head.asset import Float, HeadAsset

# Frames are worked on in pieces of this many, so that intermediate arrays stay in the cache and memory bounded.
_PIECE = 32


def rotation_matrices(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rotation matrices (T, 3, 3) of axis-angle vectors (T, 3), radians."""
    return Rotation.from_rotvec(np.asarray(vectors, dtype=np.float64)).as_matrix()


def vertices_numpy(
    asset: HeadAsset,
    shape: NDArray[np.floating],
    exp: NDArray[np.floating],
    global_pose: NDArray[np.floating],
    jaw: NDArray[np.floating],
) -> Float:
    """Vertices of all frames of a clip, (T, V, 3) float32, metres in the head frame.

    Args:
        asset: the head model with V vertices, S identity and E expression coefficients.
        shape: (S,) identity, shared by all frames.
        exp: (T, E) expression.
        global_pose: (T, 3) rotation of the whole head about the root joint, axis-angle in radians.
        jaw: (T, 3) rotation of the jaw about its joint, axis-angle in radians.

    Raises:
        ValueError: a shape does not fit the asset or the other arrays.
    """
    frames = len(exp)
    wanted = {"shape": (asset.n_shape,), "exp": (frames, asset.n_exp), "global_pose": (frames, 3), "jaw": (frames, 3)}
    given = {"shape": shape, "exp": exp, "global_pose": global_pose, "jaw": jaw}
    for name, want in wanted.items():
        if np.shape(given[name]) != want:
            raise ValueError(f"{name}: got an array of shape {np.shape(given[name])}, needs {want}")
    shaped = asset.v_template + asset.shapedirs @ np.asarray(shape, dtype=np.float32)
    jaw_index = asset.joint_names.index("jaw")
    moved = np.flatnonzero(asset.weights[:, jaw_index] > 0)
    weights = asset.weights[moved, jaw_index, None]
    expdirs = asset.expdirs.reshape(-1, asset.n_exp).T
    turn = rotation_matrices(global_pose).astype(np.float32)
    jaw_turn = (rotation_matrices(jaw) - np.eye(3)).astype(np.float32)
    out = np.empty((frames, asset.n_vertices, 3), dtype=np.float32)
    for start in range(0, frames, _PIECE):
        piece = slice(start, start + _PIECE)
        posed: Float = np.matmul(np.asarray(exp[piece], dtype=np.float32), expdirs, dtype=np.float32)
        posed = posed.reshape(-1, asset.n_vertices, 3) + shaped
        root, hinge = (asset.J_regressor[[0, jaw_index]] @ posed).transpose(1, 0, 2)[:, :, None]
        if asset.posedirs is not None:
            columns = asset.posedirs[:, :, 9 * (jaw_index - 1) : 9 * jaw_index].reshape(-1, 9).T
            posed += (jaw_turn[piece].reshape(-1, 9) @ columns).reshape(posed.shape)
        # Skinning relative to the root: only the jaw turns, so v = u + w (R - I)(u - c) where w > 0, else v = u.
        arm = posed[:, moved] - hinge
        posed[:, moved] += weights * (arm @ jaw_turn[piece].transpose(0, 2, 1))
        posed -= root
        np.matmul(posed, turn[piece].transpose(0, 2, 1), out=out[piece])
        out[piece] += root
    return out


def landmarks_numpy(asset: HeadAsset, vertices: Float) -> Float:
    """Landmarks (T, L, 3) of vertices (T, V, 3): ``sum_k b_k v_k`` over the corners of each landmark's triangle."""
    corners = vertices[:, asset.triangles_of_landmarks]
    return np.einsum("tlkc,lk->tlc", corners, asset.lmk_b_coords, optimize=True)


def project_numpy(points: NDArray[np.floating], cam: NDArray[np.floating]) -> NDArray[np.floating]:
    """Weak perspective: points (T, L, 2 or 3) and cameras (T, 3) ``[s, tx, ty]`` to crop coordinates (T, L, 2).

    ``p = s * (X_xy + [tx, ty])``, then y negated (y down in the picture).
    """
    flat = cam[:, None, :1] * (points[..., :2] + cam[:, None, 1:])
    return flat * np.asarray([1, -1], dtype=flat.dtype)
