"""Settings of prediction: any video to motion and an animation of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.occlusion import OCCLUSION_KINDS, OcclusionKind, OcclusionSettings

#: Steps of the diffusion, as published.
MOST_STEPS = 1000
WEIGHTS = "-20 to 20, or null"
HOPS = "a multiple of 8 from 8 to 64"


def may_guide(weight: float | None) -> bool:
    """Whether a weight of guidance is one that a network can be sampled with (not a number is none)."""
    return weight is None or -20.0 <= weight <= 20.0


@dataclass(frozen=True)
class PredictionSettings:
    """How a video is read, sampled and drawn."""

    #: Networks of the target ``predict``: those trained here (or of ``checkpoint``), or the ``open`` weights that come
    #: with the program.
    weights: Literal["trained", "open"] = "trained"
    #: What is hidden from the network on purpose, on top of what a mask file hides.
    occlusion: OcclusionKind = "none"
    #: Sizes and spans of what ``occlusion`` hides.
    region: OcclusionSettings = field(default_factory=OcclusionSettings)
    #: Shortest video accepted, in seconds.
    min_seconds: float = 1.0
    #: Solver of the reverse diffusion: ``dpmpp`` (few steps) or ``ddim``.
    solver: Literal["dpmpp", "ddim"] = "dpmpp"
    #: Number of solver steps.
    steps: int = 10
    #: Frames between the beginnings of neighbouring windows of 64; less than 64 lets them overlap and joins them.
    window_hop: int = 32
    #: Adaptation of the sampled motion to the visible frames, and how sure it is; only for networks that know the
    #: spread of their motion.
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    #: Fit the motion to the visible landmarks at the end, with the denoiser's as the expected face.
    follow_visible: bool = True
    #: Weights of guidance by everything and by sound; null: no guidance.
    guidance_all: float | None = None
    guidance_audio: float | None = None
    #: Level of the loudest 20 ms, in dB relative to full scale, below which the sound counts as silence.
    silence_db: float = -60.0
    #: Leave sound out that is no speech (music, noise, hum), as silence is.
    only_speech: bool = True
    #: Edge of one panel of the animation, in pixels (even).
    panel_px: int = 360
    #: Edge of the square shown in a panel, in crop edges: 1 shows just the crop, more shows surroundings.
    view_scale: float = 1.15
    #: Standard deviation of the smoothing of the view over time, in seconds, so that the picture does not tremble.
    view_smoothing_s: float = 0.4
    #: Opacity of the mesh over the picture, 0 to 1.
    mesh_opacity: float = 0.88
    #: Part of the head drawn over the picture: a region of the head asset, or ``head`` for all of it.
    mesh_region: str = "face"
    #: Renderer of the mesh: ``auto`` takes pytorch3d on a GPU that has it, VTK otherwise.
    renderer: Literal["auto", "vtk", "pytorch3d"] = "auto"

    def __post_init__(self) -> None:
        checks = [
            ("weights", self.weights, self.weights in ("trained", "open"), "'trained' or 'open'"),
            ("occlusion", self.occlusion, self.occlusion in OCCLUSION_KINDS, f"one of {', '.join(OCCLUSION_KINDS)}"),
            ("min_seconds", self.min_seconds, self.min_seconds >= 0.4, "at least 0.4"),
            ("steps", self.steps, 1 <= self.steps <= MOST_STEPS, f"1 to {MOST_STEPS}"),
            ("window_hop", self.window_hop, 8 <= self.window_hop <= 64 and self.window_hop % 8 == 0, HOPS),
            ("guidance_all", self.guidance_all, may_guide(self.guidance_all), WEIGHTS),
            ("guidance_audio", self.guidance_audio, may_guide(self.guidance_audio), WEIGHTS),
            ("silence_db", self.silence_db, -120.0 <= self.silence_db <= 0.0, "-120 to 0"),
            ("panel_px", self.panel_px, self.panel_px >= 64 and self.panel_px % 2 == 0, "an even number from 64 up"),
            ("view_scale", self.view_scale, 0.5 <= self.view_scale <= 4.0, "0.5 to 4"),
            ("view_smoothing_s", self.view_smoothing_s, 0.0 <= self.view_smoothing_s <= 5.0, "0 to 5"),
            ("mesh_opacity", self.mesh_opacity, 0.0 < self.mesh_opacity <= 1.0, "more than 0, at most 1"),
        ]
        for name, value, holds, needs in checks:
            if not holds:
                raise ValueError(f"{name}: got {value!r}, needs {needs}")
        if self.occlusion == "picture" and self.region.pictures is None:
            raise ValueError("occlusion: got 'picture', needs region.pictures, a picture or a folder of them")
