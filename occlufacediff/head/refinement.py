"""Refinement: the last fit, with the predicted motion as the prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.coefficient_groups import LEAST_VISIBLE_SHARE, mouth_columns
from occlufacediff.head.fit import FitResult, fit_clip, well_seen
from occlufacediff.head.landmark_basis import LandmarkBasis


def refine_motion(
    basis: LandmarkBasis,
    motion: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    visible: NDArray[np.generic],
    shape: NDArray[np.float32],
    *,
    start: FitResult | None = None,
    settings: ReconstructionSettings,
    boxes: NDArray[np.floating] | None = None,
    adapted: bool = False,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Fit expression and jaw to the visible landmarks with the predicted motion as the mean of the prior.

    The result is the maximum a posteriori estimate for a Gaussian prior about the predicted motion and Gaussian noise
    of the landmarks. Actions that visible landmarks show follow them; all others keep the predicted motion.

    Args:
        basis: the head model at its landmarks.
        motion: (T, E + 3) predicted expression and jaw.
        landmarks: (T, 468 or 478, 2) crop coordinates, y down.
        visible: (T, 468) 1 where a landmark is visible.
        shape: (S,) identity.
        start: the fit to the same landmarks, with the same identity; it saves a step.
        settings: settings of the fit.
        boxes: (T, 3) crop boxes, as in `fit_clip`.
        adapted: coefficients of the mouth stay unchanged in frames in which hardly any of the mouth is visible, because
            the motion already passes into visible frames without a jump, or landmarks near the occluder are wrong.
        threads: as in `fit_clip`.

    Returns:
        (T, E + 3) motion within the bounds of the fit. Occluded frames pass smoothly from their visible neighbours to
        the predicted motion. The motion is returned unchanged if no frame shows enough landmarks.
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
        start=start,
        threads=threads,
    )
    refined = np.concatenate([fit.exp, fit.jaw], axis=1)
    if adapted:
        refined = np.where(_occluded_mouth(visible, basis.expression_names), motion, refined).astype(np.float32)
    return refined


def _occluded_mouth(visible: NDArray[np.generic], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Coefficients (T, E + 3) of the mouth in frames that show hardly any of it.

    In the model, cheeks and nose always move with the mouth in the same way. Those of real faces do not, so fitting an
    occluded mouth to them makes it worse.
    """
    occluded = (np.asarray(visible)[:, LIPS] != 0).mean(axis=1) < LEAST_VISIBLE_SHARE
    return occluded[:, None] & mouth_columns(names)
