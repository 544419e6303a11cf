"""Settings of prediction: from a video to motion and an animation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.constraints import DISTINCT, EvenPixels, GuidanceWeight, Limits, Section, SolverSteps
from occlufacediff.config.occlusion import OcclusionKind, OcclusionSettings, demand_images

#: As `config.names.SMOOTHING`.
Smoothing = Literal["off", "light", "medium", "strong"]
#: As `config.names.BLINKS`.
Blinks = Literal["full", "measured"]
#: As `config.names.EXPORT_SUFFIXES`.
ExportName = Literal["glb", "usd", "livelink", "audio2face", "vrma", "obj", "fbx", "alembic"]


@dataclass(frozen=True)
class PredictionSettings(Section):
    """How a video is processed, sampled and animated."""

    #: Networks of the target ``predict``: trained here (or from ``checkpoint``), or the ``open`` weights.
    weights: Literal["trained", "open"] = "trained"
    #: Occlusion kind to simulate, in addition to masks.
    occlusion: OcclusionKind = "none"
    #: Size and duration of the simulated occlusion.
    region: OcclusionSettings = field(default_factory=OcclusionSettings)
    #: Shortest video accepted.
    min_seconds: Annotated[float, Limits(ge=0.4)] = 1.0
    #: Diffusion solver: ``dpmpp`` (needs few steps) or ``ddim``.
    solver: Literal["dpmpp", "ddim"] = "dpmpp"
    #: Number of solver steps.
    steps: SolverSteps = 10
    #: Frames between the starts of neighbouring windows, a multiple of 8; below 64, windows overlap and are blended.
    window_hop: Annotated[int, Limits(8, 64, multiple_of=8)] = 32
    #: Adaptation to the visible frames; requires a motion prior that stores the spread of its training motion.
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    #: Refine the motion by a last fit to the visible landmarks.
    refine: bool = True
    #: Guidance weight for all conditions (1 = off); null: no guidance.
    guidance_all: GuidanceWeight | None = None
    #: Guidance weight for audio (0 = off); null: no guidance.
    guidance_audio: GuidanceWeight | None = None
    #: Audio counts as silent if its loudest 20 ms are below this level, in dB relative to full scale.
    silence_db: Annotated[float, Limits(-120, 0)] = -60.0
    #: Ignore audio without speech (music, noise, hum).
    only_speech: bool = True
    #: Edge of one panel of the animation, in pixels (even).
    panel_px: EvenPixels = 360
    #: Edge of the area shown in a panel, relative to the crop; above 1 shows surroundings.
    view_scale: Annotated[float, Limits(0.5, 4)] = 1.15
    #: SD of the temporal smoothing of the view; reduces jitter.
    view_smoothing_s: Annotated[float, Limits(0, 5)] = 0.4
    #: Opacity of the mesh over the video, up to 1.
    mesh_opacity: Annotated[float, Limits(gt=0, le=1)] = 0.88
    #: Region of the head model drawn over the video; ``head``: all of it.
    mesh_region: str = "face"
    #: Renderer of the mesh; ``auto``: pytorch3d if it is installed and there is a GPU, else that for CPUs.
    renderer: Literal["auto", "cpu", "pytorch3d"] = "auto"
    #: Formats in which the motion is written too, such as ``[glb, livelink]`` (docs/export.md).
    export: Annotated[tuple[ExportName, ...], DISTINCT] = ()
    #: Frames a second of these files; ``video``: those of the video; null: 60 for ``livelink``, else 25.
    export_fps: Annotated[float, Limits(1, 240)] | Literal["video"] | None = None
    #: Mapping file (``.npz``) of FLAME's coefficients to ARKit weights, for the formats with such weights
    #: (docs/export.md); null for the open head, whose coefficients are ARKit weights.
    arkit_mapping: str | None = None
    #: Blender's program, or a Python with the module ``bpy``; the formats ``fbx`` and ``alembic`` need it.
    blender: str | None = None
    #: Smoothing of the motion in these files; blinks and lip closures are kept. ``motion.npz`` and the animation are
    #: never smoothed.
    export_smoothing: Smoothing = "light"
    #: Blinks in these files: ``full``: they close the eyes; ``measured``: as far as the detector saw them close.
    export_blinks: Blinks = "full"

    def __post_init__(self) -> None:
        demand_images("occlusion", [self.occlusion], self.region, "region")
