"""Settings of the benchmark on real recordings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.prediction import MOST_STEPS

BenchmarkMethod = Literal[
    "ours",
    "ours_without_sound",
    "ours_other_sound",
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
    """What is hidden of real recordings, who fills it in, and how it is scored."""

    #: What is hidden: the mouth and all around it that tells of it, the lower half, the upper face, one side (drawn a
    #: clip), everything, or what lies under an occluder's picture (``pictures``).
    regions: tuple[BenchmarkRegion, ...] = ("mouth", "lower", "upper", "side", "everything")
    #: When: the middle half of the frames, or all of them.
    spans: tuple[BenchmarkSpan, ...] = ("middle", "all")
    #: Who fills it in.
    methods: tuple[BenchmarkMethod, ...] = BENCHMARK_METHODS
    #: RGBA picture of an occluder, or a folder of them of which seed and clip choose one, for the region ``picture``.
    pictures: str | None = None
    #: Solver and number of its steps.
    solver: Literal["dpmpp", "ddim"] = "dpmpp"
    steps: int = 10
    #: How our motion is adapted to the visible frames, and of how many samples.
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    #: Shortest recording used, in seconds.
    min_seconds: float = 1.0
    #: Level of the loudest 20 ms, in dB relative to full scale, below which a recording has no audible sound.
    silence_db: float = -45.0
    #: Phones by rules take sound and picture to be out of step by at most so many frames; ours see ``adaptation``.
    max_offset_frames: int = 8
    #: Time in which the bridge leaves the last visible face for the visible mean (to a 1/e), seconds.
    bridge_s: float = 0.2
    #: Drawn samples of clips for the intervals.
    bootstrap: int = 2000
    #: Share of the clips (drawn from their names) that no choice may be made on; both parts are reported.
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
            raise ValueError("regions: got 'picture', needs pictures, a picture or a folder of them")
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
