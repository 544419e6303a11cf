"""Settings of what is hidden: in evaluation and prediction, and at random in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

#: Occlusions of the test protocol and of `predict`.
OcclusionKind = Literal[
    "none", "mouth", "upper", "random", "audio_driven",
    "bottom", "left", "right", "asym", "left_eye", "right_eye", "contour", "missing", "every_third", "picture",
]  # fmt: skip
OCCLUSION_KINDS: tuple[str, ...] = get_args(OcclusionKind)


def _fraction(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: got {value}, needs a number from 0 to 1")


@dataclass(frozen=True)
class OcclusionSettings:
    """What evaluation and prediction hide; one face unit is the span of the outer eye corners."""

    #: Shortest hidden span, in frames at 25 fps.
    min_frames: int = 40
    #: Shortest hidden span as a fraction of the clip; the longer of the two counts.
    min_fraction: float = 0.6
    #: Frames left visible before and after the span where the clip is long enough for it; else every frame is hidden.
    edge_frames: int = 6
    #: Occlusions that hide all frames of a clip and not a span.
    whole_clip: tuple[OcclusionKind, ...] = ("audio_driven",)
    #: Where the mouth's box begins, from the eye line (0) to the line between the lips (1); 0.4: the tip of the nose.
    mouth_top: float = 0.4
    #: Space around lips, chin and lower cheeks in the mouth's box, in face units: what is seen must not tell of it.
    mouth_margin: float = 0.1
    #: Whether the mouth's box takes in chin and lower cheeks; without them it is the published box around the lips.
    mouth_with_chin: bool = True
    #: Least and greatest scale of boxes around lips and eyes (published kinds).
    scale_min: float = 0.9
    scale_max: float = 1.5
    #: Least and greatest half width and half height of random boxes, in units of half a crop.
    random_half_min: float = 0.25
    random_half_max: float = 0.75
    #: RGBA picture of an occluder, or a folder of them of which seed and clip choose one, for the kind ``picture``:
    #: square, laid over the crop, hiding where alpha is 128 and more; null: the kind ``picture`` cannot be asked for.
    pictures: str | None = None

    def __post_init__(self) -> None:
        _fraction("min_fraction", self.min_fraction)
        _fraction("mouth_top", self.mouth_top)
        if self.min_frames < 1:
            raise ValueError(f"min_frames: got {self.min_frames}, needs 1 or more")
        if self.edge_frames < 0:
            raise ValueError(f"edge_frames: got {self.edge_frames}, needs 0 or more")
        if self.mouth_margin < 0:
            raise ValueError(f"mouth_margin: got {self.mouth_margin}, needs 0 or more")
        if not 0 < self.scale_min <= self.scale_max:
            raise ValueError(f"scale_min: got {self.scale_min}, needs 0 < scale_min <= scale_max ({self.scale_max})")
        if not 0 < self.random_half_min <= self.random_half_max:
            raise ValueError(
                f"random_half_min: got {self.random_half_min}, needs 0 < it <= random_half_max ({self.random_half_max})"
            )
        for kind in self.whole_clip:
            if kind not in OCCLUSION_KINDS:
                raise ValueError(f"whole_clip: got {kind!r}, needs some of {', '.join(OCCLUSION_KINDS)}")
        if self.pictures == "":
            raise ValueError("pictures: got an empty text, needs a file or folder, or null")


@dataclass(frozen=True)
class MaskSettings:
    """Random masks of training windows. Odds of the first three are tried in order; then each region has its own odds.

    The presets `mask_preset` gives are the published odds of the two phases of an epoch.
    """

    #: Odds that every landmark of every frame is hidden.
    whole: float = 0.2
    #: Odds that a random half of the frames is hidden.
    half_frames: float = 0.05
    #: Odds that nothing is hidden.
    nothing: float = 0.05
    #: Odds that all landmarks are hidden over the span.
    all: float = 0.1
    #: Odds of the region around both eyes.
    eyes: float = 0.1
    #: Odds of the left half of the picture.
    left: float = 0.1
    #: Odds of the right half of the picture.
    right: float = 0.1
    #: Odds of the mouth.
    mouth: float = 0.7
    #: Odds of a box around a random landmark.
    random: float = 0.1
    #: Odds of all but a box around lips and eyes.
    contour: float = 0.1
    #: Shortest span of frames, of a window.
    min_frames: int = 30
    #: Odds that a span is the whole window.
    span_is_window: float = 0.4
    #: Odds that the mouth's box takes in chin and lower cheeks (all that tells of the mouth).
    mouth_with_chin: float = 0.8
    #: Half extents of boxes around a point, least and greatest, in units of half a crop.
    half_min: float = 0.25
    half_max: float = 0.75
    #: Scale of the contour's inner box, least and greatest.
    contour_min: float = 1.0
    contour_max: float = 1.6

    def __post_init__(self) -> None:
        names = ("whole", "half_frames", "nothing", "all", "eyes", "left", "right", "mouth", "random", "contour")
        for name in (*names, "span_is_window", "mouth_with_chin"):
            _fraction(name, getattr(self, name))
        if self.whole + self.half_frames + self.nothing > 1:
            total = self.whole + self.half_frames + self.nothing
            raise ValueError(f"whole: got a sum of {total:g} with half_frames and nothing, needs at most 1")
        if self.min_frames < 1:
            raise ValueError(f"min_frames: got {self.min_frames}, needs 1 or more")
        if not 0 < self.half_min <= self.half_max:
            raise ValueError(f"half_min: got {self.half_min}, needs 0 < half_min <= half_max ({self.half_max})")
        if not 0 < self.contour_min <= self.contour_max:
            raise ValueError(f"contour_min: got {self.contour_min}, needs 0 < it <= contour_max ({self.contour_max})")


def mask_preset(name: Literal["default", "published_visual", "published_audio"]) -> MaskSettings:
    """Odds by name: ours, or the published ones of epochs that freeze (visual) or train (audio) the audio encoder."""
    published = {"nothing": 0.0, "span_is_window": 0.0, "mouth_with_chin": 0.0}
    odds: dict[str, dict[str, float]] = {
        "default": {},
        "published_visual": published
        | {"whole": 0.15, "half_frames": 0.15, "all": 0.3, "eyes": 0.3, "left": 0.3, "right": 0.3, "mouth": 0.2}
        | {"random": 0.4, "contour": 0.4},
        "published_audio": published
        | {"whole": 0.3, "half_frames": 0.2, "all": 0.2, "eyes": 0.0, "left": 0.1, "right": 0.1, "mouth": 0.5}
        | {"random": 0.0, "contour": 0.3},
    }
    if name not in odds:
        raise ValueError(f"masks: got {name!r}, needs one of {', '.join(odds)}")
    return MaskSettings(**odds[name])  # type: ignore[arg-type]
