"""Settings of the landmark fit that gives head-model coefficients."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True)
class ReconstructionSettings:
    """How closely the head model follows landmarks, and what it holds against them.

    Each term of the fit is a squared quantity over its standard deviation, so every `..._sd` is in the unit of the
    thing itself, and a larger one lets it move more freely. Pixels are those of the 224 crop.
    """

    #: Where coefficients come from: the fit described here (``fit``), or EMOTE's files are read (``emote``, see
    #: ``emote.folder``; ``head`` must be FLAME); the other keys then count for evaluation, ``predict`` and
    #: ``benchmark``.
    source: Literal["fit", "emote"] = "fit"
    #: Standard deviation of a landmark about the model, px. All other `..._sd` act relative to this one.
    noise_px: float = 1.0
    #: Residuals much beyond this count linearly, not squared (pseudo-Huber), px.
    robust_px: float = 1.0
    #: Weight of lip landmarks relative to others.
    lip_weight: float = 3.0
    #: Weight of landmarks of eyelids relative to others.
    eye_weight: float = 1.5
    #: Weight of landmarks of the face's outline, which slide along the cheek when the head turns.
    contour_weight: float = 0.5
    #: Standard deviation of an identity coefficient about 0 (a basis of unit variance has 1).
    shape_sd: float = 1.0
    #: The same where none of the frames that identity is solved on shows a tenth of the face's 68 main landmarks or
    #: more, as under a mask: errors of model and detector are alike in all frames, so what is seen says less of what is
    #: not than its number makes believe.
    shape_sd_unseen: float = 0.25
    #: Standard deviation of an expression coefficient about 0.
    exp_sd: float = 0.3
    #: Standard deviation of the jaw's opening, radians.
    jaw_sd: float = 0.3
    #: Standard deviation of the jaw's turn to a side and roll, radians.
    jaw_side_sd: float = 0.02
    #: Standard deviation of the second difference between frames of an expression coefficient.
    exp_smooth_sd: float = 0.2
    #: The same of the jaw, radians.
    jaw_smooth_sd: float = 0.1
    #: The same of the head's rotation, radians.
    pose_smooth_sd: float = 0.02
    #: The same of the head's place in the picture, px, and of its size, px over the half width of the crop.
    cam_smooth_sd: float = 2.0
    #: Smallest and largest value of a facial action (bases of named actions only; principal components are free). A
    #: little below 0, because a real face at rest is not exactly the model's.
    exp_min: float = -0.1
    exp_max: float = 1.0
    #: Smallest and largest opening of the jaw, radians.
    jaw_min: float = -0.02
    jaw_max: float = 0.7
    #: Identity is solved on at most this many frames, evenly over those with a face.
    shape_frames: int = 16
    #: Steps of the identity phase, all unknowns of these frames together.
    shape_iterations: int = 4
    #: Steps of the motion phase, all frames of the clip together, from where the identity phase ended.
    motion_iterations: int = 3
    #: Frames solved as one system; longer clips go in overlapping pieces, so memory does not grow with the clip.
    piece_frames: int = 256
    #: A clip whose mean landmark error exceeds this is a failure (`bad_fit`), px.
    bad_fit_px: float = 3.0

    def __post_init__(self) -> None:
        counts = ("shape_frames", "shape_iterations", "motion_iterations")
        free = (*counts, "exp_min", "exp_max", "jaw_min", "jaw_max", "piece_frames", "source")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in free and not value > 0:
                raise ValueError(f"{field.name}: got {value}, needs a number above 0")
            if field.name in counts and value < 1:
                raise ValueError(f"{field.name}: got {value}, needs at least 1")
        if self.piece_frames < 64:
            raise ValueError(f"piece_frames: got {self.piece_frames}, needs at least 64")
        for low, high in (("exp_min", "exp_max"), ("jaw_min", "jaw_max")):
            if not getattr(self, low) <= 0 < getattr(self, high):
                raise ValueError(
                    f"{low}, {high}: got {getattr(self, low)}, {getattr(self, high)}, needs low <= 0 < high"
                )
