"""The head model in numpy, for rendering and the fit; avoids the seconds that importing torch takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.head.asset import Float, HeadAsset

#: Frames that are computed at a time, so that intermediate arrays fit into the cache and memory is bounded.
_BATCH_FRAMES = 32


def rotation_matrices(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert axis-angle vectors (T, 3), radians, to rotation matrices (T, 3, 3)."""
    return Rotation.from_rotvec(np.asarray(vectors, dtype=np.float64)).as_matrix()


def vertices_numpy(
    asset: HeadAsset,
    shape: NDArray[np.floating],
    exp: NDArray[np.floating],
    global_pose: NDArray[np.floating],
    jaw: NDArray[np.floating],
) -> Float:
    """Compute the vertices of a clip, (T, V, 3) float32, metres in the head frame.

    Args:
        asset: the head model with V vertices, S identity and E expression coefficients.
        shape: (S,) identity of all frames.
        exp: (T, E) expression.
        global_pose: (T, 3) rotation of the whole head about the root joint, axis-angle in radians.
        jaw: (T, 3) rotation of the jaw about its joint, axis-angle in radians.

    Raises:
        ValueError: the shape of an array does not match the asset or the other arrays.
    """
    frames = len(exp)
    expected = {"shape": (asset.n_shape,), "exp": (frames, asset.n_exp), "global_pose": (frames, 3), "jaw": (frames, 3)}
    given = {"shape": shape, "exp": exp, "global_pose": global_pose, "jaw": jaw}
    for name, needed in expected.items():
        if np.shape(given[name]) != needed:
            raise ValueError(f"{name}: got an array of shape {np.shape(given[name])}, needs {needed}")
    shaped = asset.v_template + asset.shapedirs @ np.asarray(shape, dtype=np.float32)
    jaw_index = asset.joint_names.index("jaw")
    moved = np.flatnonzero(asset.weights[:, jaw_index] > 0)
    weights = asset.weights[moved, jaw_index, None]
    expdirs = asset.expdirs.reshape(-1, asset.n_exp).T
    rotation = rotation_matrices(global_pose).astype(np.float32)
    jaw_delta = (rotation_matrices(jaw) - np.eye(3)).astype(np.float32)
    out = np.empty((frames, asset.n_vertices, 3), dtype=np.float32)
    for start in range(0, frames, _BATCH_FRAMES):
        batch = slice(start, start + _BATCH_FRAMES)
        posed: Float = np.matmul(np.asarray(exp[batch], dtype=np.float32), expdirs, dtype=np.float32)
        posed = posed.reshape(-1, asset.n_vertices, 3) + shaped
        root, hinge = (asset.J_regressor[[0, jaw_index]] @ posed).transpose(1, 0, 2)[:, :, None]
        if asset.posedirs is not None:
            columns = asset.posedirs[:, :, 9 * (jaw_index - 1) : 9 * jaw_index].reshape(-1, 9).T
            posed += (jaw_delta[batch].reshape(-1, 9) @ columns).reshape(posed.shape)
        # Skinning relative to the root. Only the jaw rotates: v = u + w (R - I)(u - c) where w > 0, else v = u.
        arm = posed[:, moved] - hinge
        posed[:, moved] += weights * (arm @ jaw_delta[batch].transpose(0, 2, 1))
        posed -= root
        np.matmul(posed, rotation[batch].transpose(0, 2, 1), out=out[batch])
        out[batch] += root
    return out


def landmarks_numpy(asset: HeadAsset, vertices: Float) -> Float:
    """Landmarks (T, L, 3) of vertices (T, V, 3): ``sum_k b_k v_k`` over the vertices of each landmark's triangle."""
    corners = vertices[:, asset.triangles_of_landmarks]
    return np.einsum("tlkc,lk->tlc", corners, asset.lmk_b_coords, optimize=True)


def project_numpy(points: NDArray[np.floating], cam: NDArray[np.floating]) -> NDArray[np.floating]:
    """Project points (T, L, 2 or 3) to crop coordinates (T, L, 2) with weak-perspective cameras (T, 3).

    With a camera ``[s, tx, ty]``: ``p = s * (X_xy + [tx, ty])``, then y is negated (y is down in the image).
    """
    flat = cam[:, None, :1] * (points[..., :2] + cam[:, None, 1:])
    return flat * np.asarray([1, -1], dtype=flat.dtype)
