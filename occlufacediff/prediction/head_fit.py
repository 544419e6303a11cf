"""Step 3, fit: identity, head pose, camera and visible motion of the head model from the visible landmarks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.head.fit import FitResult, fit_clip, well_seen
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.prediction.observation import Observation
from occlufacediff.prediction.visibility import Visibility


@dataclass(frozen=True, eq=False)
class HeadFit:
    """The fit and the landmarks that it is based on.

    Attributes:
        result: coefficients of T frames.
        landmarks: ``visible``: the landmarks given to the network. ``video``: those give too little in every frame, so
            all that the video shows; a simulated occlusion hides them. ``detected``: the video itself shows none, so
            all detected ones give pose and camera; identity is the average one and the face neutral.
    """

    result: FitResult
    landmarks: Literal["visible", "video", "detected"]

    def without_landmarks(self) -> HeadFit:
        """The same without the head's landmarks in each frame, the largest part of the fit's memory."""
        return replace(self, result=replace(self.result, landmarks=self.result.landmarks[:0].copy()))


def fit_head(
    basis: LandmarkBasis,
    observation: Observation,
    visibility: Visibility,
    *,
    settings: ReconstructionSettings,
    threads: int = 1,
) -> HeadFit:
    """Fit the head model to visible landmarks, or to the next best ones if no frame shows enough of them."""

    def fitted(visible: np.ndarray, shape: np.ndarray | None = None) -> FitResult:
        return fit_clip(
            basis,
            observation.lmk_2d,
            settings=settings,
            boxes=observation.boxes,
            visible=visible,
            shape=shape,
            threads=threads,
        )

    if well_seen(basis, visibility.lmk_mask).any():
        return HeadFit(fitted(visibility.lmk_mask), "visible")
    if well_seen(basis, visibility.lmk_mask_video).any():
        return HeadFit(fitted(visibility.lmk_mask_video), "video")
    fit = fitted(observation.known, np.zeros(basis.n_shape, np.float32))
    return HeadFit(replace(fit, exp=np.zeros_like(fit.exp), jaw=np.zeros_like(fit.jaw)), "detected")
