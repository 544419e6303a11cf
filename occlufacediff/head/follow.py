"""The last step of the method: motion that follows what is visible, and is the denoiser's where nothing is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.coefficient_groups import HIDDEN_PART, mouth_columns
from occlufacediff.head.fit import fit_clip, well_seen
from occlufacediff.head.landmark_basis import LandmarkBasis


def follow_visible(
    basis: LandmarkBasis,
    motion: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    visible: NDArray[np.generic],
    shape: NDArray[np.float32],
    *,
    settings: ReconstructionSettings,
    boxes: NDArray[np.floating] | None = None,
    joined: bool = False,
) -> NDArray[np.float32]:
    """Fit expression and jaw to the visible landmarks with the denoiser's motion as the expected face.

    It is the maximum a posteriori of a Gaussian about the denoiser's motion and of the landmarks' noise: an action that
    visible points show follows them, one that only hidden points would show stays as the denoiser gives it.

    Args:
        basis: the head at its landmarks.
        motion: (T, E + 3) expression and jaw by the denoiser.
        landmarks: (T, 468 or 478, 2) crop coordinates, y down.
        visible: (T, 468) 1 where a landmark is visible.
        shape: (S,) identity.
        settings: of the fit.
        boxes: (T, 3) crop boxes, as in `fit_clip`.
        joined: the motion goes over into what is visible by itself; where hardly any of the mouth is visible, its
            coefficients then stay as they are.

    Returns:
        (T, E + 3) motion, within the bounds of the fit. A run of hidden frames leaves what its visible neighbours show
        smoothly for the denoiser's motion, so there is no jump; a clip with hardly any visible landmark keeps that.
    """
    if not well_seen(basis, visible).any():
        return motion
    fit = fit_clip(
        basis,
        landmarks,
        settings=settings,
        boxes=boxes,
        visible=visible,
        shape=shape,
        expected=(motion[:, :-3], motion[:, -3:]),
    )
    followed = np.concatenate([fit.exp, fit.jaw], axis=1)
    if joined:
        followed = np.where(_untold(visible, basis.expression_names), motion, followed).astype(np.float32)
    return followed


def _untold(visible: NDArray[np.generic], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Coefficients (T, E + 3) of the mouth in frames that show hardly any of it.

    Cheeks and nose move with some of them, in the model always in the same way. Real ones do not, so what they seem to
    tell of a mouth that is hidden makes it worse.
    """
    hidden = (np.asarray(visible)[:, LIPS] != 0).mean(axis=1) < HIDDEN_PART
    return hidden[:, None] & mouth_columns(names)
