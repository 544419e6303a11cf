"""Settings of the test protocol."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args

from occlufacediff.config.constraints import DISTINCT, Count, GuidanceWeight, Limits, Positive, Section, SolverSteps
from occlufacediff.config.names import NAME
from occlufacediff.config.occlusion import OcclusionKind, OcclusionSettings
from occlufacediff.config.readers import LipReadingSettings

Method = Literal[
    "ours",
    "ours_without_audio",
    "network_only",
    "as_published",
    "interpolation",
    "bridge",
    "phone_rules",
    "neutral",
]
METHODS: tuple[Method, ...] = get_args(Method)
#: Names in tables and files of motions that are no names of checkpoints.
RESERVED = frozenset((*METHODS, "before_finetuning", "truth", "occlusion", "fit"))
#: Keys that scores and tables use only.
SCORING_KEYS = frozenset(("bootstrap", "readers", "lip_reading", "emotion_recogniser"))


@dataclass(frozen=True)
class EvaluationSettings(Section):
    """Clips, occlusions and methods to score, and how the denoiser is sampled."""

    #: Split to score.
    split: Literal["test", "validation", "train"] = "test"
    #: Occlusion kinds; each is one round over all clips.
    occlusions: Annotated[tuple[OcclusionKind, ...], Limits(min_length=1), DISTINCT] = (
        "none",
        "mouth",
        "upper",
        "random",
        "audio_driven",
    )
    #: Methods to score (docs/evaluation.md).
    methods: Annotated[tuple[Method, ...], Limits(min_length=1), DISTINCT] = (
        "ours",
        "ours_without_audio",
        "interpolation",
        "neutral",
    )
    #: Further checkpoints to score, each as a method: its name, and a folder with ``motion_prior/`` and ``denoiser/``,
    #: or the name of a run of this data set, or ``open`` for the open weights.
    checkpoints: dict[str, str] = field(default_factory=dict)
    #: What methods receive: ``all``: identity, crops and visible motion of the clip without occlusion, as published;
    #: ``visible``: all of it estimated from what the occlusion leaves visible.
    identity: Literal["all", "visible"] = "all"
    occlusion: OcclusionSettings = field(default_factory=OcclusionSettings)
    #: Diffusion solver.
    solver: Literal["dpmpp", "ddim"] = "ddim"
    #: Number of solver steps.
    steps: SolverSteps = 10
    #: Samples per clip; their mean is scored. Two or more add metrics over samples: the best one, diversity, coverage.
    samples: Count = 1
    #: Guidance weight for all conditions (1 = off); null: no guidance.
    guidance_all: GuidanceWeight | None = None
    #: Guidance weight for audio (0 = off); null: no guidance.
    guidance_audio: GuidanceWeight | None = None
    #: Refine our methods' motion by a last fit to the visible landmarks.
    refine: bool = True
    #: Method ``bridge`` and ``phone_rules``: time constant of the transition from the last visible face.
    bridge_s: Positive = 0.2
    #: Largest audio offset that the method ``phone_rules`` considers, in frames.
    max_offset_frames: Annotated[int, Limits(0, 25)] = 8
    #: Windows sampled at once; limits the memory.
    batch_size: Count = 64
    #: Maximum number of clips, evenly spaced over the split; null: all.
    max_clips: Count | None = None
    #: Number of bootstrap draws of subjects for the 95 % intervals.
    bootstrap: Annotated[int, Limits(ge=100)] = 2000
    #: Readers of visemes and emotions: ``open`` for those in the package, which are left out for another head model; or
    #: a file of the target ``reader_weights``; null: none.
    readers: str | None = "open"
    lip_reading: LipReadingSettings = field(default_factory=LipReadingSettings)
    #: Weights of EMOCA's emotion recogniser, for FLAME (docs/readers.md); null: none.
    emotion_recogniser: str | None = None

    def of_sampling(self) -> EvaluationSettings:
        """The settings with defaults for the keys that scores and tables use only: motions do not depend on them."""
        defaults = EvaluationSettings()
        return replace(self, **{name: getattr(defaults, name) for name in SCORING_KEYS})

    def __post_init__(self) -> None:
        if "picture" in self.occlusions and self.occlusion.pictures is None:
            raise ValueError("occlusions: got 'picture', needs occlusion.pictures, a picture or a folder of them")
        for name in self.checkpoints:
            if not NAME.fullmatch(name) or name in RESERVED:
                taken = ", ".join(sorted(RESERVED))
                raise ValueError(
                    f"checkpoints: got the name {name!r}, needs letters, digits, '_', '-' and '.', and none of {taken}"
                )
