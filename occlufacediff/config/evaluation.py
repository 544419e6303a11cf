"""Settings of the test protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from occlufacediff.config.occlusion import OCCLUSION_KINDS, OcclusionKind, OcclusionSettings
from occlufacediff.config.prediction import MOST_STEPS, WEIGHTS, may_guide

Method = Literal["ours", "ours_without_audio", "interpolation", "neutral"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class EvaluationSettings:
    """Which methods meet which occlusions on which clips, and how the denoiser is sampled."""

    #: Part of the manifest that is scored.
    split: Literal["test", "validation", "train"] = "test"
    #: What is hidden, one round each.
    occlusions: tuple[OcclusionKind, ...] = ("none", "mouth", "upper", "random", "audio_driven")
    #: Who is scored.
    methods: tuple[Method, ...] = METHODS
    occlusion: OcclusionSettings = field(default_factory=OcclusionSettings)
    #: Solver and number of its steps.
    solver: Literal["dpmpp", "ddim"] = "ddim"
    steps: int = 10
    #: Samples a clip; their mean is scored.
    samples: int = 1
    #: Weights of guidance by everything and by sound; null: no guidance.
    guidance_all: float | None = None
    guidance_audio: float | None = None
    #: Fit our methods' motion to the visible landmarks at the end, with the denoiser's as the expected face.
    follow_visible: bool = True
    #: Windows sampled at once, which bounds the memory.
    batch_size: int = 64
    #: At most so many clips, evenly over the split; null: all.
    max_clips: int | None = None

    def __post_init__(self) -> None:
        for name, values, known in (
            ("occlusions", self.occlusions, OCCLUSION_KINDS),
            ("methods", self.methods, METHODS),
        ):
            if not values:
                raise ValueError(f"{name}: got nothing, needs some of {', '.join(known)}")
            for value in values:
                if value not in known:
                    raise ValueError(f"{name}: got {value!r}, needs some of {', '.join(known)}")
        if "picture" in self.occlusions and self.occlusion.pictures is None:
            raise ValueError("occlusions: got 'picture', needs occlusion.pictures, a picture or a folder of them")
        for name in ("steps", "samples", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 1 or more")
        if self.steps > MOST_STEPS:
            raise ValueError(f"steps: got {self.steps}, needs 1 to {MOST_STEPS}")
        for name in ("guidance_all", "guidance_audio"):
            if not may_guide(getattr(self, name)):
                raise ValueError(f"{name}: got {getattr(self, name)}, needs {WEIGHTS}")
        if self.max_clips is not None and self.max_clips < 1:
            raise ValueError(f"max_clips: got {self.max_clips}, needs 1 or more")
