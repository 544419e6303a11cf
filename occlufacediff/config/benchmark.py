"""Settings of the benchmark on real videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.constraints import DISTINCT, BelowOne, Limits, Positive, Section, SolverSteps

BenchmarkMethod = Literal[
    "ours",
    "ours_without_audio",
    "ours_other_audio",
    "fit_alone",
    "interpolation",
    "hold",
    "visible_mean",
    "bridge",
    "phone_rules",
    "neutral",
]
BENCHMARK_METHODS: tuple[BenchmarkMethod, ...] = get_args(BenchmarkMethod)

BenchmarkRegion = Literal["mouth", "lower", "upper", "side", "everything", "picture"]
BENCHMARK_REGIONS: tuple[BenchmarkRegion, ...] = get_args(BenchmarkRegion)

BenchmarkSpan = Literal["middle", "all"]
BENCHMARK_SPANS: tuple[BenchmarkSpan, ...] = get_args(BenchmarkSpan)


@dataclass(frozen=True)
class BenchmarkSettings(Section):
    """Occlusions simulated on real videos, methods compared, and scoring."""

    #: Occluded regions: the mouth and its surroundings, the lower half, the upper face, one side (random per clip),
    #: everything, or the area under an occluder's picture (``pictures``).
    regions: Annotated[tuple[BenchmarkRegion, ...], Limits(min_length=1), DISTINCT] = (
        "mouth",
        "lower",
        "upper",
        "side",
        "everything",
    )
    #: Occluded frames: the middle half, or all.
    spans: Annotated[tuple[BenchmarkSpan, ...], Limits(min_length=1), DISTINCT] = ("middle", "all")
    #: Methods to compare.
    methods: Annotated[tuple[BenchmarkMethod, ...], Limits(min_length=1), DISTINCT] = BENCHMARK_METHODS
    #: RGBA picture of an occluder for the region ``picture``, or a folder of them: seed and clip choose one.
    pictures: str | None = None
    #: Diffusion solver.
    solver: Literal["dpmpp", "ddim"] = "dpmpp"
    #: Number of solver steps.
    steps: SolverSteps = 10
    #: Adaptation to the visible frames.
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    #: Shortest video used.
    min_seconds: Annotated[float, Limits(ge=0.4)] = 1.0
    #: A video has no audible audio if its loudest 20 ms are below this level, in dB relative to full scale.
    silence_db: Annotated[float, Limits(-120, 0)] = -45.0
    #: Largest audio offset that the method ``phone_rules`` considers, in frames; ours use ``adaptation``.
    max_offset_frames: Annotated[int, Limits(0, 25)] = 8
    #: Method ``bridge``: time constant of the transition from the last visible face to the visible mean.
    bridge_s: Positive = 0.2
    #: Number of bootstrap samples of clips for the confidence intervals.
    bootstrap: Annotated[int, Limits(ge=100)] = 2000
    #: Fraction of clips, drawn by their names, that are held out from all choices; both parts are reported.
    held_out: BelowOne = 0.4

    def __post_init__(self) -> None:
        if "picture" in self.regions and self.pictures is None:
            raise ValueError("regions: got 'picture', needs pictures, a picture or a folder of them")
