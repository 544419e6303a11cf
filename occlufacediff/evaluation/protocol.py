"""The test protocol: every occlusion meets every method on every clip of a split."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import OCCLUSION_KINDS
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.clips import Clip, ClipStore
from occlufacediff.errors import AssetError, ClipError
from occlufacediff.evaluation.baselines import interpolate, neutral
from occlufacediff.evaluation.scores import Surface, score, surface
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.follow import follow_visible
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import SampleInput, sample_clips
from occlufacediff.occlusion.occlude import Occlusion, occlude

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Result:
    """One method on one clip under one occlusion: its motion (T, E + 3) and its metrics."""

    occlusion: str
    method: str
    clip_id: str
    motion: Float
    metrics: dict[str, float]


@dataclass(frozen=True, eq=False)
class Case:
    """A clip under an occlusion: what is hidden, and the landmarks (T, 468) that neither it nor the recording hides."""

    clip_id: str
    clip: Clip
    hidden: Occlusion
    visible: Float


def chosen_clips(store: ClipStore, most: int | None) -> list[int]:
    """Numbers of the clips to score: all, or ``most`` evenly over the split."""
    if most is None or most >= len(store):
        return list(range(len(store)))
    return np.unique(np.linspace(0, len(store) - 1, most).round().astype(int)).tolist()


def make_case(clip_id: str, clip: Clip, kind: str, settings: EvaluationSettings, seed: int) -> Case:
    """Hide a part of a clip; the draw depends on seed, clip and occlusion alone.

    Raises:
        ValueError: the clip has no landmarks.
        AssetError: none of the region that is to be hidden is known: the clip cannot be compared under this occlusion.
    """
    if clip.lmk_2d is None:
        raise ValueError(f"{clip_id}: got no landmarks, needs lmk_2d")
    rng = np.random.default_rng([seed, zlib.crc32(clip_id.encode()), OCCLUSION_KINDS.index(kind)])
    try:
        hidden = occlude(kind, clip.lmk_2d, rng, settings.occlusion)
    except ClipError as error:
        # A clip's fault would become a row, as in the stages; a comparison needs the same clips for all.
        raise AssetError(f"{clip_id}: {error}") from error
    visible = hidden.lmk_mask(clip.lmk_2d)
    return Case(clip_id, clip, hidden, visible if clip.lmk_visible is None else visible * clip.lmk_visible)


def sampled(
    cases: list[Case],
    denoiser: Denoiser,
    prior: MotionPrior,
    *,
    use_audio: bool,
    settings: EvaluationSettings,
    seed: int,
    device: torch.device,
) -> list[Float]:
    """Motion (T, E + 3) of each case by the denoiser, the mean of ``settings.samples`` samples."""
    inputs = []
    for case in cases:
        sound = case.clip.log_mel if case.clip.log_mel is not None else case.clip.waveform
        arrays = (case.clip.lmk_2d, case.visible, sound)
        inputs.append(SampleInput(case.clip_id, *(torch.from_numpy(np.ascontiguousarray(part)) for part in arrays)))
    guidance = (settings.guidance_all, settings.guidance_audio)
    motions = sample_clips(
        denoiser,
        prior,
        inputs,
        seed=seed,
        steps=settings.steps,
        solver=settings.solver,
        guidance=None if guidance == (None, None) else guidance,
        use_audio=use_audio,
        samples=settings.samples,
        max_batch=settings.batch_size,
        device=device,
    )
    return [motion.mean(0).numpy() for motion in motions]


def run_protocol(
    store: ClipStore,
    asset: HeadAsset,
    denoiser: Denoiser,
    prior: MotionPrior,
    *,
    settings: EvaluationSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
    device: torch.device,
) -> Iterator[tuple[list[Case], list[Result]]]:
    """Hide, fill in and score; gives the cases and results of one occlusion after the other.

    For fairness all methods get the true identity, pose and camera, as published; the landmarks, where visible, reach
    only ours. Interpolation gets the true motion of the visible frames; what the recording itself hides is
    not given.

    Args:
        store: the split's clips, with landmarks and sound.
        asset: the head model.
        denoiser: the network, on ``device``.
        prior: its motion prior, on ``device``.
        settings: of the protocol.
        reconstruction: of the fit to visible landmarks that ends our methods.
        seed: of occlusions and sampling.
        device: where to sample.
    """
    basis = LandmarkBasis.of(asset)
    numbers = chosen_clips(store, settings.max_clips)
    clips = {store.clip_id(number): store[number] for number in numbers}
    # Truth and the neutral face stay the same under all occlusions.
    truths = {clip_id: surface(asset, clip, clip.motion) for clip_id, clip in clips.items()}
    neutrals = {clip_id: surface(asset, clip, neutral(clip.motion)) for clip_id, clip in clips.items()}
    for kind in settings.occlusions:
        cases = [make_case(clip_id, clip, kind, settings, seed) for clip_id, clip in clips.items()]
        results = []
        for method in settings.methods:
            if method == "neutral":
                motions = [neutral(case.clip.motion) for case in cases]
            elif method == "interpolation":
                motions = [interpolate(case.clip.motion, unknown_frames(case)) for case in cases]
            else:
                use_audio = method == "ours"
                motions = sampled(
                    cases, denoiser, prior, use_audio=use_audio, settings=settings, seed=seed, device=device
                )
                if settings.follow_visible:
                    motions = [
                        _followed(basis, case, motion, reconstruction)
                        for case, motion in zip(cases, motions, strict=True)
                    ]
            for case, motion in zip(cases, motions, strict=True):
                made = neutrals[case.clip_id] if method == "neutral" else surface(asset, case.clip, motion)
                values = _scored(asset, case, truths[case.clip_id], made, motion)
                results.append(Result(kind, method, case.clip_id, motion, values))
        yield cases, results


def unknown_frames(case: Case) -> NDArray[np.bool_]:
    """Frames (T,) in which something is hidden on purpose, or whose motion the recording does not tell."""
    return case.hidden.frames if case.clip.known is None else case.hidden.frames | ~case.clip.known


def _followed(basis: LandmarkBasis, case: Case, motion: Float, settings: ReconstructionSettings) -> Float:
    lmk_2d = case.clip.lmk_2d
    assert lmk_2d is not None  # make_case asks for landmarks
    return follow_visible(basis, motion, lmk_2d, case.visible, case.clip.shape, settings=settings)


def _scored(asset: HeadAsset, case: Case, truth: Surface, made: Surface, motion: Float) -> dict[str, float]:
    return score(asset, case.clip, truth, made, motion, case.visible, case.hidden.frames)
