"""Methods that reconstruct the occluded frames: baselines that use the visible frames, and our networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.benchmark.occluded_recording import OccludedRecording
from occlufacediff.benchmark.recording import Recording
from occlufacediff.config.benchmark import BenchmarkMethod, BenchmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.evaluation.baselines import bridge, hold, interpolate, neutral, visible_mean
from occlufacediff.evaluation.phone_rules import rules_with_bridge
from occlufacediff.head.fit import FitResult, fit_clip, well_seen
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.refinement import refine_motion
from occlufacediff.prediction.adaptation import AdaptedMotion
from occlufacediff.prediction.motion import Sampling, predict_motion
from occlufacediff.prediction.networks import Networks
from occlufacediff.prediction.speech import Speech

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MethodMotions:
    """Motions of all methods for one occluded recording, and what the methods share.

    Attributes:
        motions: (T, E + 3) for each method.
        ours: our motion, with its spread, before it is fitted to the visible landmarks.
        fit: identity, pose and camera from the visible landmarks only.
        nothing_visible: no frame shows enough landmarks; identity, pose and camera come from all landmarks.
    """

    motions: dict[str, Float]
    ours: AdaptedMotion
    fit: FitResult
    nothing_visible: bool


def run_methods(
    recording: Recording,
    name: str,
    occluded: OccludedRecording,
    speech: Speech,
    other: Speech | None,
    basis: LandmarkBasis,
    networks: Networks,
    *,
    settings: BenchmarkSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
) -> MethodMotions:
    """Reconstruct the occluded frames by every method; then every motion is fitted to the visible landmarks.

    Args:
        recording: the clip.
        name: its name, part of the seed.
        occluded: what is occluded.
        speech: its audio.
        other: audio of another clip, of the same length; None omits the method ``ours_other_audio``.
        basis: head model at its landmarks.
        networks: motion prior and denoiser.
        settings: methods and their parameters.
        reconstruction: of the fits.
        seed: of the sampling noise.
    """
    boxes, visible = recording.boxes, occluded.visible
    nothing_visible = not well_seen(basis, visible).any()
    trusted = recording.known.astype(np.float32) if nothing_visible else visible
    fit = fit_clip(basis, recording.lmk_2d, settings=reconstruction, boxes=boxes, visible=trusted)
    # A frame of the span without a detected face is occluded too.
    frames = occluded.frames & (occluded.scored.any(axis=1) | ~recording.known.any(axis=1))
    fitted = np.concatenate([fit.exp, fit.jaw], axis=1)

    def ours(audio: Speech, use_audio: bool = True) -> AdaptedMotion:
        return predict_motion(
            networks,
            basis,
            recording.lmk_2d,
            visible,
            fit,
            audio,
            use_audio=use_audio,
            clip_id=name,
            seed=seed,
            sampling=Sampling(settings.solver, settings.steps),
            adaptation=settings.adaptation,
        )

    adapted = ours(speech)

    def phone_rules() -> Float:
        return rules_with_bridge(
            speech.phones,
            recording.log_mel,
            fitted,
            frames,
            basis,
            fit.shape,
            most_offset=settings.max_offset_frames,
            decay_s=settings.bridge_s,
        )

    methods: dict[BenchmarkMethod, Callable[[], Float]] = {
        "ours": lambda: adapted.motion,
        "ours_without_audio": lambda: ours(speech, use_audio=False).motion,
        "fit_alone": lambda: neutral(fitted) if nothing_visible else fitted,
        "interpolation": lambda: interpolate(fitted, frames),
        "hold": lambda: hold(fitted, frames),
        "visible_mean": lambda: visible_mean(fitted, frames),
        "bridge": lambda: bridge(fitted, frames, settings.bridge_s),
        "phone_rules": phone_rules,
        "neutral": lambda: neutral(fitted),
    }
    if other is not None:
        methods["ours_other_audio"] = lambda: ours(other).motion

    def is_continuous(method: BenchmarkMethod) -> bool:
        """Whether its motion is already continuous with the visible frames."""
        return adapted.adapted if method.startswith("ours") else method not in ("fit_alone", "neutral")

    motions: dict[str, Float] = {
        method: refine_motion(
            basis,
            methods[method](),
            recording.lmk_2d,
            visible,
            fit.shape,
            settings=reconstruction,
            boxes=boxes,
            adapted=is_continuous(method),
        )
        for method in settings.methods
        if method in methods
    }
    return MethodMotions(motions, adapted, fit, nothing_visible)


def repeat_to_length(waveform: Float, samples: int) -> Float:
    """A waveform repeated or cut to the given number of samples."""
    return np.resize(waveform, samples)
