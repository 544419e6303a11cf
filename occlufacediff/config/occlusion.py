"""Settings of simulated occlusion: in evaluation and prediction, and at random in training."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from occlufacediff.config.constraints import Count, CountOrZero, Fraction, Limits, NotNegative, Positive, Section

#: Occlusion kinds of the evaluation and of `predict`.
OcclusionKind = Literal[
    "none", "mouth", "upper", "random", "audio_driven",
    "bottom", "left", "right", "asym", "left_eye", "right_eye", "contour", "missing", "every_third", "picture",
    "natural",
]  # fmt: skip
OCCLUSION_KINDS: tuple[str, ...] = get_args(OcclusionKind)
#: Occlusion kinds of the evaluation.
EvaluationKind = Literal[OcclusionKind, "natural_true"]
EVALUATION_KINDS: tuple[str, ...] = get_args(EvaluationKind)
#: Kinds for which the evaluation paints occluders into the videos; landmarks are those of the detector under them.
#: Visibility is found by the program for ``natural``, and given for ``natural_true``.
PAINTED_KINDS = ("natural", "natural_true")
#: Kinds that need images, and the key of `OcclusionSettings` that names them.
KINDS_WITH_IMAGES: dict[str, str] = {"picture": "pictures", "natural": "occluders"}


@dataclass(frozen=True)
class OcclusionSettings(Section):
    """Size and duration of occlusions that evaluation and prediction simulate.

    Face units: the distance between the outer eye corners.
    """

    #: Shortest span, in frames at 25 fps.
    min_frames: Count = 40
    #: Shortest span as a fraction of the clip; the longer of the two applies.
    min_fraction: Fraction = 0.6
    #: Frames kept visible before and after the span; in shorter clips all frames are occluded.
    edge_frames: CountOrZero = 6
    #: Occlusion kinds that last for the whole clip.
    whole_clip: tuple[OcclusionKind, ...] = ("audio_driven",)
    #: Top of the mouth box, from the eye line (0) to the line between the lips (1); 0.4: the tip of the nose.
    mouth_top: Fraction = 0.4
    #: Margin of the mouth box, in face units, so that visible points do not reveal the mouth.
    mouth_margin: NotNegative = 0.1
    #: Whether the mouth box includes chin and lower cheeks; if false, it is the published box around the lips.
    mouth_with_chin: bool = True
    #: Minimum scale of boxes around lips and eyes (published kinds).
    scale_min: Positive = 0.9
    #: Maximum scale of these boxes.
    scale_max: float = 1.5
    #: Minimum half width and half height of random boxes, in half crops.
    random_half_min: Positive = 0.25
    #: Maximum half width and half height of random boxes, in half crops.
    random_half_max: float = 0.75
    #: Picture of an occluder for the kind ``picture``, or a folder of them: seed and clip choose one. Square RGBA, over
    #: the crop, occluding where alpha is at least 128; null: the kind ``picture`` is not available.
    pictures: Annotated[str, Limits(min_length=1)] | None = None
    #: Picture of an object for the kind ``natural``, or a folder of them: seed and clip choose one. RGBA of any size,
    #: cut out of its background. It enters the crop, rests over the mouth or another place of the face, and leaves.
    #: Null: the evaluation paints ``natural_occluders``; elsewhere the kind ``natural`` is not available.
    occluders: Annotated[str, Limits(min_length=1)] | None = None

    def __post_init__(self) -> None:
        _demand_order(self, "scale_min", "scale_max")
        _demand_order(self, "random_half_min", "random_half_max")


@dataclass(frozen=True)
class MaskSettings(Section):
    """Random occlusion of training windows.

    ``whole``, ``half_frames`` and ``nothing`` exclude each other. Otherwise each region is drawn independently.
    """

    #: Probability that all landmarks of all frames are occluded.
    whole: Fraction = 0.2
    #: Probability that a random half of the frames is occluded.
    half_frames: Fraction = 0.05
    #: Probability that nothing is occluded.
    nothing: Fraction = 0.05
    #: Probability that all landmarks are occluded during the span.
    all: Fraction = 0.1
    #: Probability of the region around both eyes.
    eyes: Fraction = 0.1
    #: Probability of the left half of the picture.
    left: Fraction = 0.1
    #: Probability of the right half of the picture.
    right: Fraction = 0.1
    #: Probability of the mouth.
    mouth: Fraction = 0.7
    #: Probability of a box around a random landmark.
    random: Fraction = 0.1
    #: Probability of everything outside a box around lips and eyes.
    contour: Fraction = 0.1
    #: Shortest span, in frames of the window.
    min_frames: Count = 30
    #: Probability that a span is the whole window.
    span_is_window: Fraction = 0.4
    #: Probability that the mouth box includes chin and lower cheeks.
    mouth_with_chin: Fraction = 0.8
    #: Minimum half extent of boxes around a point, in half crops.
    half_min: Positive = 0.25
    #: Maximum half extent of boxes around a point, in half crops.
    half_max: float = 0.75
    #: Minimum scale of the contour's inner box.
    contour_min: Positive = 1.0
    #: Maximum scale of the contour's inner box.
    contour_max: float = 1.6

    def __post_init__(self) -> None:
        total = self.whole + self.half_frames + self.nothing
        if total > 1:
            raise ValueError(f"whole: got a sum of {total:g} with half_frames and nothing, needs at most 1")
        _demand_order(self, "half_min", "half_max")
        _demand_order(self, "contour_min", "contour_max")


def demand_images(name: str, kinds: Collection[str], occlusion: OcclusionSettings, section: str) -> None:
    """Require the images of each kind that needs them.

    Args:
        name: key that lists the kinds.
        kinds: the kinds.
        occlusion: settings with the images.
        section: key of ``occlusion``.

    Raises:
        ValueError: a kind has no images.
    """
    for kind, key in KINDS_WITH_IMAGES.items():
        if kind in kinds and getattr(occlusion, key) is None:
            raise ValueError(f"{name}: got {kind!r}, needs {section}.{key}, a picture or a folder of them")


def _demand_order(settings: object, low: str, high: str) -> None:
    least, most = getattr(settings, low), getattr(settings, high)
    if least > most:
        raise ValueError(f"{low}: got {least}, needs at most {high} ({most})")
