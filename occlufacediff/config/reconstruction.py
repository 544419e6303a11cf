"""Settings of the landmark fit, which computes head-model coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from occlufacediff.config.constraints import Count, Limits, Positive, Section

Lowest = Annotated[float, Limits(le=0)]


@dataclass(frozen=True)
class ReconstructionSettings(Section):
    """Weights and limits of the landmark fit.

    Each term of the fit is a squared quantity divided by its variance. An ``..._sd`` has the unit of its quantity; a
    larger value constrains it less. Pixels are those of the 224 x 224 crop.
    """

    #: Source of coefficients: the landmark fit (``fit``), or EMOTE's files (``emote``; ``head`` must be FLAME). The
    #: other keys then apply to evaluation, ``predict`` and ``benchmark`` only.
    source: Literal["fit", "emote"] = "fit"
    #: SD of landmark errors, in px; all other ``..._sd`` act relative to it.
    noise_px: Positive = 1.0
    #: Residuals above this count linearly instead of squared (pseudo-Huber), in px.
    robust_px: Positive = 1.0
    #: Weight of lip landmarks.
    lip_weight: Positive = 3.0
    #: Weight of eyelid landmarks.
    eye_weight: Positive = 1.5
    #: Weight of the face contour's landmarks, which slide along the cheek when the head turns.
    contour_weight: Positive = 0.5
    #: SD of an identity coefficient (a basis of unit variance has 1).
    shape_sd: Positive = 1.0
    #: Replaces ``shape_sd`` if no frame of the identity fit shows a tenth of the 68 main landmarks: errors repeat in
    #: all frames, so many frames add little information.
    shape_sd_unseen: Positive = 0.25
    #: SD of an expression coefficient.
    exp_sd: Positive = 0.3
    #: SD of the jaw opening, in radians.
    jaw_sd: Positive = 0.3
    #: SD of the jaw's yaw and roll, in radians.
    jaw_side_sd: Positive = 0.02
    #: SD of an expression coefficient's second difference between frames.
    exp_smooth_sd: Positive = 0.2
    #: SD of the jaw's second difference, in radians.
    jaw_smooth_sd: Positive = 0.1
    #: SD of the head rotation's second difference, in radians.
    pose_smooth_sd: Positive = 0.02
    #: SD of the second difference of the head's position and size, in px (size: over half a crop).
    cam_smooth_sd: Positive = 2.0
    #: Minimum of an action (bases of named actions only). Below 0, because a real resting face differs from the model.
    exp_min: Lowest = -0.1
    #: Maximum of an action.
    exp_max: Positive = 1.0
    #: Minimum jaw opening, in radians.
    jaw_min: Lowest = -0.02
    #: Maximum jaw opening, in radians.
    jaw_max: Positive = 0.7
    #: Maximum number of frames for the identity fit, evenly spaced over those with a face.
    shape_frames: Count = 16
    #: Iterations of the identity fit.
    shape_iterations: Count = 4
    #: Iterations of the motion fit.
    motion_iterations: Count = 3
    #: Frames solved as one system; longer clips are split into overlapping pieces to limit the memory.
    piece_frames: Annotated[int, Limits(ge=64)] = 256
    #: Maximum mean landmark error of a clip, in px; a larger one fails with ``bad_fit``.
    bad_fit_px: Positive = 3.0
