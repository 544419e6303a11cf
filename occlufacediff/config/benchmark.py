"""Settings of the benchmark on real videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.prediction import MOST_STEPS

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
class BenchmarkSettings:
    """Benchmark on real videos: simulated occlusions, methods, and how they are scored."""

    #: Occluded regions: the mouth with chin and cheeks, the lower half, the upper face, one side (drawn per clip), the
    #: whole face, or the area under a picture of an occluder (``pictures``).
    regions: tuple[BenchmarkRegion, ...] = ("mouth", "lower", "upper", "side", "everything")
    #: Occluded frames: the middle half, or all frames.
    spans: tuple[BenchmarkSpan, ...] = ("middle", "all")
    #: Methods to compare.
    methods: tuple[BenchmarkMethod, ...] = BENCHMARK_METHODS
    #: RGBA picture of an occluder for the region ``picture``, or a folder of pictures (one is drawn per clip).
    pictures: str | None = None
    #: Solver of the diffusion and its number of steps.
    solver: Literal["dpmpp", "ddim"] = "dpmpp"
    steps: int = 10
    #: How our motion is adapted to the visible frames, and from how many samples.
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    #: Minimum length of a video, in seconds.
    min_seconds: float = 1.0
    #: Level of the loudest 20 ms, in dB relative to full scale, below which a video counts as silent.
    silence_db: float = -45.0
    #: Largest audio offset that the method ``phone_rules`` considers, in frames.
    max_offset_frames: int = 8
    #: Time constant of the method ``bridge`` (decay to 1/e), in seconds.
    bridge_s: float = 0.2
    #: Bootstrap draws for the intervals over clips.
    bootstrap: int = 2000
    #: Fraction of held-out clips (drawn from their names), which no choice may depend on. Both parts are reported.
    held_out: float = 0.4

    def __post_init__(self) -> None:
        for name, values, known in (
            ("regions", self.regions, BENCHMARK_REGIONS),
            ("spans", self.spans, BENCHMARK_SPANS),
            ("methods", self.methods, BENCHMARK_METHODS),
        ):
            if not values:
                raise ValueError(f"{name}: got nothing, needs some of {', '.join(known)}")
            for value in values:
                if value not in known:
                    raise ValueError(f"{name}: got {value!r}, needs some of {', '.join(known)}")
        if "picture" in self.regions and self.pictures is None:
            raise ValueError("regions: got 'picture', needs pictures, a picture or a folder of pictures")
        checks = [
            ("steps", 1 <= self.steps <= MOST_STEPS, f"1 to {MOST_STEPS}"),
            ("silence_db", -120 <= self.silence_db <= 0, "-120 to 0"),
            ("min_seconds", self.min_seconds >= 0.4, "at least 0.4"),
            ("max_offset_frames", 0 <= self.max_offset_frames <= 25, "0 to 25"),
            ("bridge_s", self.bridge_s > 0, "more than 0"),
            ("bootstrap", self.bootstrap >= 100, "100 or more"),
            ("held_out", 0 <= self.held_out < 1, "0 or more, below 1"),
        ]
        for name, holds, needs in checks:
            if not holds:
                raise ValueError(f"{name}: got {getattr(self, name)!r}, needs {needs}")
