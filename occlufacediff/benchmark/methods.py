"""Who fills in the hidden frames: baselines that know the visible frames, and our networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.benchmark.occlude import Hidden
from occlufacediff.benchmark.phone_rules import moved_by_rules
from occlufacediff.benchmark.recording import Recording
from occlufacediff.config.benchmark import BenchmarkMethod, BenchmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.evaluation.baselines import interpolated, neutral
from occlufacediff.head.fit import FitResult, fit_clip, well_seen
from occlufacediff.head.follow import follow_visible
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.rates import FPS
from occlufacediff.prediction.adaptation import Adapted
from occlufacediff.prediction.motion import Heard, Networks, Sampling, infer

Float = NDArray[np.float32]


def held(motion: Float, hidden: NDArray[np.bool_]) -> Float:
    """Hidden frames keep the last visible motion (T, M), those before any the first; neutral where none is visible."""
    seen = np.flatnonzero(~hidden)
    if len(seen) == 0:
        return neutral(motion)
    last = np.searchsorted(seen, np.arange(len(motion)), side="right") - 1
    return motion[seen[np.maximum(last, 0)]]


def visible_mean(motion: Float, hidden: NDArray[np.bool_]) -> Float:
    """Hidden frames are the mean of the visible ones; neutral where none is visible."""
    if hidden.all():
        return neutral(motion)
    return np.where(hidden[:, None], motion[~hidden].mean(axis=0), motion).astype(np.float32)


def bridged(motion: Float, hidden: NDArray[np.bool_], decay_s: float) -> Float:
    """Hidden frames leave the visible face at either end for the visible mean, as ``exp(-distance / decay)``."""
    if hidden.all():
        return neutral(motion)
    frames, seen = np.arange(len(motion)), np.flatnonzero(~hidden)
    mean = motion[seen].mean(axis=0)
    filled = np.tile(mean, (len(motion), 1))
    place = np.searchsorted(seen, frames, side="right")
    for beside in (place - 1, place):
        at = seen[np.clip(beside, 0, len(seen) - 1)]
        exists = (beside >= 0) & (beside < len(seen))
        weight = np.where(exists, np.exp(-np.abs(frames - at) / (decay_s * FPS)), 0.0)
        filled += weight[:, None] * (motion[at] - mean)
    return np.where(hidden[:, None], filled, motion).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Filled:
    """The motions of all methods for one hidden recording, and what they share.

    Attributes:
        motions: (T, E + 3) a method.
        ours: our motion before it follows the visible landmarks, with its spread.
        fit: identity, pose and camera by the visible landmarks alone.
        nothing_visible: no frame shows enough landmarks; the head was placed by all of them.
    """

    motions: dict[str, Float]
    ours: Adapted
    fit: FitResult
    nothing_visible: bool


def fill(
    recording: Recording,
    name: str,
    hidden: Hidden,
    heard: Heard,
    other: Heard | None,
    basis: LandmarkBasis,
    networks: Networks,
    *,
    settings: BenchmarkSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
) -> Filled:
    """Let every method fill in what is hidden; visible landmarks have the last word for all of them alike.

    Args:
        heard: its sound. other: another clip's, as long; None where there is no other, and nobody fills in with it.
    """
    boxes, visible = recording.boxes, hidden.visible
    nothing_visible = not well_seen(basis, visible).any()
    trusted = recording.known.astype(np.float32) if nothing_visible else visible
    fit = fit_clip(basis, recording.lmk_2d, settings=reconstruction, boxes=boxes, visible=trusted)
    # A frame without a face in the span shows nothing either.
    covered = hidden.frames & (hidden.scored.any(axis=1) | ~recording.known.any(axis=1))
    seen = np.concatenate([fit.exp, fit.jaw], axis=1)

    def ours(sound: Heard, use_sound: bool = True) -> Adapted:
        return infer(
            networks,
            basis,
            recording.lmk_2d,
            visible,
            fit,
            sound,
            use_sound=use_sound,
            clip_id=name,
            seed=seed,
            sampling=Sampling(settings.solver, settings.steps),
            adaptation=settings.adaptation,
        )

    adapted = ours(heard)

    def ruled() -> Float:
        moved = moved_by_rules(
            heard.phones, recording.log_mel, seen, covered, basis, fit.shape, most_offset=settings.max_offset_frames
        )
        # What the rules miss at the visible frames fades from there on, as the bridge does.
        missed = np.where(covered[:, None], 0, seen - moved).astype(np.float32)
        return moved + (missed if covered.all() else bridged(missed, covered, settings.bridge_s))

    ways: dict[BenchmarkMethod, Callable[[], Float]] = {
        "ours": lambda: adapted.motion,
        "ours_without_sound": lambda: ours(heard, use_sound=False).motion,
        "fit_alone": lambda: neutral(seen) if nothing_visible else seen,
        "interpolation": lambda: interpolated(seen, covered),
        "hold": lambda: held(seen, covered),
        "visible_mean": lambda: visible_mean(seen, covered),
        "bridge": lambda: bridged(seen, covered, settings.bridge_s),
        "phone_rules": ruled,
        "neutral": lambda: neutral(seen),
    }
    if other is not None:
        ways["ours_other_sound"] = lambda: ours(other).motion

    def joins(method: BenchmarkMethod) -> bool:
        """Whether its motion goes over into what is visible by itself."""
        return adapted.adapted if method.startswith("ours") else method not in ("fit_alone", "neutral")

    motions: dict[str, Float] = {
        method: follow_visible(
            basis,
            ways[method](),
            recording.lmk_2d,
            visible,
            fit.shape,
            settings=reconstruction,
            boxes=boxes,
            joined=joins(method),
        )
        for method in settings.methods
        if method in ways
    }
    return Filled(motions, adapted, fit, nothing_visible)


def of_length(waveform: Float, samples: int) -> Float:
    """A waveform repeated or cut to so many ``samples``."""
    return np.resize(waveform, samples)
