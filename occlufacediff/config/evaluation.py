"""Settings of the test protocol."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args

from occlufacediff.config.constraints import (
    DISTINCT,
    Count,
    GuidanceWeight,
    Limits,
    Name,
    Positive,
    Section,
    SolverSteps,
)
from occlufacediff.config.names import NAME
from occlufacediff.config.occluders import OCCLUDERS, Occluder
from occlufacediff.config.occlusion import PAINTED_KINDS, EvaluationKind, OcclusionSettings, demand_images
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
#: Names in tables and files of motions that are no names of checkpoints and other systems.
RESERVED = frozenset((*METHODS, "before_finetuning", "truth", "occlusion", "fit"))
#: Keys that scores and tables use only.
SCORING_KEYS = frozenset(("bootstrap", "external", "readers", "lip_reading", "emotion_recogniser"))
ProtocolName = Literal["default", "published"]


@dataclass(frozen=True)
class ClipFilter(Section):
    """Clips to score, of those of the split and the protocol; null: all."""

    #: Subjects.
    subjects: Annotated[tuple[Name, ...], Limits(min_length=1)] | None = None
    #: Identities of sentences (column ``sentence_id`` of the manifest).
    sentences: Annotated[tuple[str, ...], Limits(min_length=1)] | None = None
    #: Emotions: first part of the clips' names.
    emotions: Annotated[tuple[str, ...], Limits(min_length=1)] | None = None
    #: Levels: the number N of ``level_N``, second part of the clips' names.
    levels: Annotated[tuple[Count, ...], Limits(min_length=1)] | None = None


@dataclass(frozen=True)
class Sampling:
    """How the denoiser is sampled.

    Attributes:
        solver: diffusion solver.
        steps: number of solver steps.
        hop: frames between the starts of consecutive windows; 64: windows side by side, each with its own noise.
        refine: fit the motion to the visible landmarks at last.
    """

    solver: Literal["dpmpp", "ddim"]
    steps: int
    hop: int
    refine: bool


#: Sampling of each protocol where the keys ``solver``, ``steps`` and ``refine`` are null.
SAMPLING: dict[str, Sampling] = {
    "default": Sampling("ddim", 10, 32, True),
    "published": Sampling("ddim", 100, 64, False),
}


@dataclass(frozen=True)
class EvaluationSettings(Section):
    """Clips, occlusions and methods to score, and how the denoiser is sampled."""

    #: ``published``: list of clips, spans, boxes, windows, sampling and aggregation of the published evaluation, and
    #: its figures in a table of their own; ``default``: ours (docs/evaluation.md).
    protocol: ProtocolName = "default"
    #: Split to score.
    split: Literal["test", "validation", "train"] = "test"
    #: Occlusion kinds; each is one round over all clips.
    occlusions: Annotated[tuple[EvaluationKind, ...], Limits(min_length=1), DISTINCT] = (
        "none",
        "mouth",
        "upper",
        "random",
        "audio_driven",
        "natural",
        "natural_true",
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
    #: Results of other systems: name of the method and folder with its results, such as ``{EMOCA: folder}``
    #: (docs/evaluation.md).
    external: dict[Name, Annotated[str, Limits(min_length=1)]] = field(default_factory=dict)
    only: ClipFilter = field(default_factory=ClipFilter)
    occlusion: OcclusionSettings = field(default_factory=OcclusionSettings)
    #: Occluders that ``natural`` and ``natural_true`` paint into the videos, one in each clip: ``hand``, ``mask``,
    #: ``cup``, ``microphone``, ``phone``. Pictures of ``occlusion.occluders`` take their place.
    natural_occluders: Annotated[tuple[Occluder, ...], Limits(min_length=1), DISTINCT] = OCCLUDERS
    #: Diffusion solver; null: ``ddim``.
    solver: Literal["dpmpp", "ddim"] | None = None
    #: Number of solver steps; null: 10, in the published protocol 100.
    steps: SolverSteps | None = None
    #: Samples per clip; their mean is scored. Two or more add metrics over samples: the best one, diversity, coverage.
    samples: Count = 1
    #: Guidance weight for all conditions (1 = off); null: no guidance.
    guidance_all: GuidanceWeight | None = None
    #: Guidance weight for audio (0 = off); null: no guidance.
    guidance_audio: GuidanceWeight | None = None
    #: Refine our methods' motion by a last fit to the visible landmarks; null: true, in the published protocol false.
    refine: bool | None = None
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

    def of_painting(self) -> EvaluationSettings:
        """The settings with defaults for all keys that do not change what is painted into the videos."""
        kept = ("protocol", "split", "only", "max_clips", "occlusion", "natural_occluders")
        return EvaluationSettings(**{name: getattr(self, name) for name in kept})

    @property
    def painted(self) -> tuple[EvaluationKind, ...]:
        """Occlusion kinds whose occluders are painted into the videos."""
        return tuple(kind for kind in self.occlusions if kind in PAINTED_KINDS)

    def __post_init__(self) -> None:
        # The evaluation draws occluders by itself where it has no pictures of objects.
        given = [kind for kind in self.occlusions if kind not in PAINTED_KINDS]
        demand_images("occlusions", given, self.occlusion, "occlusion")
        for name in self.checkpoints:
            if not NAME.fullmatch(name) or name in RESERVED:
                taken = ", ".join(sorted(RESERVED))
                raise ValueError(
                    f"checkpoints: got the name {name!r}, needs letters, digits, '_', '-' and '.', and none of {taken}"
                )
        taken_names = [name for name in self.external if name in RESERVED or name in self.checkpoints]
        if taken_names:
            raise ValueError(f"external: got {taken_names[0]!r}, needs another name than our methods and checkpoints")
        if self.protocol == "published" and (self.guidance_all is None) != (self.guidance_audio is None):
            raise ValueError(
                "guidance_all: got one of guidance_all and guidance_audio, needs both or none in the published protocol"
            )

    @property
    def sampling(self) -> Sampling:
        """How the denoiser is sampled: the keys, or the values of the protocol where a key is null."""
        usual = SAMPLING[self.protocol]
        return Sampling(
            usual.solver if self.solver is None else self.solver,
            usual.steps if self.steps is None else self.steps,
            usual.hop,
            usual.refine if self.refine is None else self.refine,
        )

    @property
    def sampling_note(self) -> str:
        """How the denoiser is sampled, in words, for tables."""
        how = self.sampling
        guidance = (self.guidance_all, self.guidance_audio)
        weights = ", ".join(
            f"{name} {value:g}" for name, value in zip(("all", "audio"), guidance, strict=True) if value is not None
        )
        parts = [
            f"{how.solver}, {how.steps} steps",
            "windows side by side" if how.hop == 64 else "overlapping windows",
            f"guidance: {weights}" if weights else "no guidance",
            "last fit to the visible landmarks" if how.refine else "no last fit",
        ]
        return ", ".join(parts)
