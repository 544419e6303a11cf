"""Methods that reconstruct occluded clips, as a mapping from names to functions of several cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.evaluation.baselines import interpolate, neutral
from occlufacediff.evaluation.cases import Case, unknown_frames
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.refinement import refine_motion
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import SampleInput, sample_clips

Float = NDArray[np.float32]

#: Method: the network that a fine-tuning started from, with audio.
BEFORE = "before_finetuning"


@dataclass(frozen=True, eq=False)
class Made:
    """Motion of a case by a method.

    Attributes:
        motion: (T, E + 3) [exp, jaw]; it is scored.
        samples: (S, T, E + 3) sampled motions whose mean is ``motion``; None for methods without several samples.
    """

    motion: Float
    samples: Float | None = None


#: A method: motions of several cases, in their order. Networks sample the windows of all cases in batches.
Method = Callable[[Sequence[Case]], list[Made]]


def each(reconstruct: Callable[[Case], Float]) -> Method:
    """The method that reconstructs each case alone."""
    return lambda cases: [Made(reconstruct(case)) for case in cases]


@dataclass(frozen=True, eq=False)
class Network:
    """A denoiser with the motion prior whose latents it predicts, both on one device."""

    denoiser: Denoiser
    prior: MotionPrior


def methods_of(
    settings: EvaluationSettings,
    network: Network,
    basis: LandmarkBasis,
    reconstruction: ReconstructionSettings,
    *,
    seed: int,
    device: torch.device,
    before: Network | None = None,
) -> dict[str, Method]:
    """The methods to score, in the order of ``settings.methods``.

    Args:
        settings: methods, and how networks are sampled.
        network: the evaluated network.
        basis: head model at its landmarks, for the last fit to the visible landmarks.
        reconstruction: of that fit.
        seed: of the sampling noise, together with the names of clips.
        device: where networks are.
        before: the network that a fine-tuning started from; it becomes the method `BEFORE`.
    """

    def of_network(which: Network, *, use_audio: bool = True) -> Method:
        def reconstruct(cases: Sequence[Case]) -> list[Made]:
            found = sampled(
                cases, which.denoiser, which.prior, use_audio=use_audio, settings=settings, seed=seed, device=device
            )
            return [_made(case, samples) for case, samples in zip(cases, found, strict=True)]

        return reconstruct

    def _made(case: Case, samples: Float) -> Made:
        mean = samples.mean(axis=0)
        if settings.refine:
            several = [_fit_to_visible(basis, case, one, reconstruction) for one in samples] if len(samples) > 1 else []
            samples = np.stack(several) if several else samples
            mean = _fit_to_visible(basis, case, mean, reconstruction)
        return Made(mean, samples if len(samples) > 1 else None)

    known: Mapping[str, Method] = {
        "ours": of_network(network),
        "ours_without_audio": of_network(network, use_audio=False),
        "interpolation": each(lambda case: interpolate(case.clip.motion, unknown_frames(case))),
        "neutral": each(lambda case: neutral(case.clip.motion)),
    }
    chosen: dict[str, Method] = {name: known[name] for name in settings.methods}
    return chosen if before is None else chosen | {BEFORE: of_network(before)}


def sampled(
    cases: Sequence[Case],
    denoiser: Denoiser,
    prior: MotionPrior,
    *,
    use_audio: bool,
    settings: EvaluationSettings,
    seed: int,
    device: torch.device,
) -> list[Float]:
    """Motions (``settings.samples``, T, E + 3) of each case by the denoiser."""
    inputs = []
    for case in cases:
        audio = case.clip.log_mel if case.clip.log_mel is not None else case.clip.waveform
        arrays = (case.clip.lmk_2d, case.visible, audio)
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
    return [motion.numpy() for motion in motions]


def _fit_to_visible(basis: LandmarkBasis, case: Case, motion: Float, settings: ReconstructionSettings) -> Float:
    lmk_2d = case.clip.lmk_2d
    assert lmk_2d is not None  # make_case requires landmarks
    return refine_motion(basis, motion, lmk_2d, case.visible, case.clip.shape, settings=settings)
