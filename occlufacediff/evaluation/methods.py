"""Methods that reconstruct occluded clips, as a mapping from names to functions of several cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import is_not
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.audio_kinds import AUDIO_OF_ENCODER
from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.baselines import bridge, interpolate, neutral
from occlufacediff.evaluation.cases import Case, unknown_frames
from occlufacediff.evaluation.phone_rules import rules_with_bridge
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.refinement import refine_motion
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import SampleInput, sample_clips
from occlufacediff.models.windows import WINDOW_FRAMES

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

    @property
    def audio(self) -> str:
        """Kind of audio that the denoiser reads: ``log_mel``, ``speech`` or ``waveform``."""
        return AUDIO_OF_ENCODER[self.denoiser.config.audio]


#: Sampling of the published method: 100 steps of DDIM (eta 0), windows side by side, nothing else.
AS_PUBLISHED: dict[str, Any] = {
    "solver": "ddim",
    "steps": 100,
    "samples": 1,
    "guidance_all": None,
    "guidance_audio": None,
    "refine": False,
}


def methods_of(
    settings: EvaluationSettings,
    network: Network,
    basis: LandmarkBasis,
    reconstruction: ReconstructionSettings,
    *,
    seed: int,
    device: torch.device,
    others: Mapping[str, Network] | None = None,
) -> dict[str, Method]:
    """The methods to score, in the order of ``settings.methods``, then further networks.

    Args:
        settings: methods, and how networks are sampled.
        network: the evaluated network.
        basis: head model at its landmarks, for the last fit to the visible landmarks.
        reconstruction: of that fit.
        seed: of the sampling noise, together with the names of clips.
        device: where networks are.
        others: further networks by the name of their method, such as `BEFORE`; they are used as ``ours`` is.
    """
    samplers: dict[int, _Sampler] = {}

    def of_network(which: Network, use_audio: bool = True, refine: bool = settings.sampling.refine) -> Method:
        # Methods that differ in what follows the network only have the same samples.
        number = 2 * id(which) + use_audio
        sampler = samplers.setdefault(number, _Sampler(which, use_audio, settings, seed, device))

        def reconstruct(cases: Sequence[Case]) -> list[Made]:
            found = zip(cases, sampler(cases), strict=True)
            return [_made(basis, case, samples, reconstruction if refine else None) for case, samples in found]

        return reconstruct

    def published(cases: Sequence[Case]) -> list[Made]:
        sampler = _Sampler(network, True, replace(settings, **AS_PUBLISHED), seed, device, hop=WINDOW_FRAMES)
        return [Made(samples[0]) for samples in sampler(cases)]

    def phone_rules(case: Case) -> Float:
        if case.phones is None:
            raise ConfigError(
                "evaluation.methods: got 'phone_rules', which needs the phones of every clip, but none are given; "
                "leave it out, or recognise the phones first (rule recognise_phones)"
            )
        motion = rules_with_bridge(
            case.phones,
            case.audio["log_mel"],
            case.seen.motion,
            unknown_frames(case),
            basis,
            case.seen.shape,
            most_offset=settings.max_offset_frames,
            decay_s=settings.bridge_s,
        )
        return _fit_to_visible(basis, case, motion, reconstruction) if settings.sampling.refine else motion

    known: Mapping[str, Method] = {
        "ours": of_network(network),
        "ours_without_audio": of_network(network, use_audio=False),
        "network_only": of_network(network, refine=False),
        "as_published": published,
        "interpolation": each(lambda case: interpolate(case.seen.motion, unknown_frames(case))),
        "bridge": each(lambda case: bridge(case.seen.motion, unknown_frames(case), settings.bridge_s)),
        "phone_rules": each(phone_rules),
        "neutral": each(lambda case: neutral(case.clip.motion)),
    }
    chosen: dict[str, Method] = {name: known[name] for name in settings.methods}
    return chosen | {name: of_network(other) for name, other in (others or {}).items()}


def audio_kinds(settings: EvaluationSettings, networks: Iterable[Network]) -> tuple[str, ...]:
    """Kinds of audio that the methods read."""
    kinds = dict.fromkeys(network.audio for network in networks)
    return tuple(kinds | ({"log_mel": None} if "phone_rules" in settings.methods else {}))


class _Sampler:
    """Samples of cases by a network; those of the last call are kept for the next method that needs them."""

    def __init__(
        self,
        network: Network,
        use_audio: bool,
        settings: EvaluationSettings,
        seed: int,
        device: torch.device,
        hop: int | None = None,
    ) -> None:
        self._sample = partial(
            sampled,
            denoiser=network.denoiser,
            prior=network.prior,
            use_audio=use_audio,
            settings=settings,
            seed=seed,
            device=device,
            hop=hop,
        )
        self._last: tuple[list[Case], list[Float]] = [], []

    def __call__(self, cases: Sequence[Case]) -> list[Float]:
        if not cases or len(cases) != len(self._last[0]) or any(map(is_not, cases, self._last[0])):
            self._last = list(cases), self._sample(cases)
        return self._last[1]


def _made(basis: LandmarkBasis, case: Case, samples: Float, reconstruction: ReconstructionSettings | None) -> Made:
    """The mean of samples (S, T, E + 3), and the samples themselves, each with a last fit if it has settings."""
    mean, several = samples.mean(axis=0), list(samples) if len(samples) > 1 else []
    if reconstruction is not None:
        several = [_fit_to_visible(basis, case, one, reconstruction) for one in several]
        mean = _fit_to_visible(basis, case, mean, reconstruction)
    return Made(mean, np.stack(several) if several else None)


def sampled(
    cases: Sequence[Case],
    denoiser: Denoiser,
    prior: MotionPrior,
    *,
    use_audio: bool,
    settings: EvaluationSettings,
    seed: int,
    device: torch.device,
    hop: int | None = None,
) -> list[Float]:
    """Motions (``settings.samples``, T, E + 3) of each case by the denoiser.

    The audio is that of the case in the denoiser's kind; if the case has none, that of its clip.
    """
    inputs = []
    for case in cases:
        audio = case.audio.get(AUDIO_OF_ENCODER[denoiser.config.audio])
        if audio is None:
            audio = case.clip.log_mel if case.clip.log_mel is not None else case.clip.waveform
        arrays = (case.seen.lmk_2d, case.visible, audio)
        inputs.append(SampleInput(case.clip_id, *(torch.from_numpy(np.ascontiguousarray(part)) for part in arrays)))
    guidance = (settings.guidance_all, settings.guidance_audio)
    motions = sample_clips(
        denoiser,
        prior,
        inputs,
        seed=seed,
        steps=settings.sampling.steps,
        solver=settings.sampling.solver,
        guidance=None if guidance == (None, None) else guidance,
        use_audio=use_audio,
        samples=settings.samples,
        max_batch=settings.batch_size,
        hop=settings.sampling.hop if hop is None else hop,
        device=device,
    )
    return [motion.numpy() for motion in motions]


def _fit_to_visible(basis: LandmarkBasis, case: Case, motion: Float, settings: ReconstructionSettings) -> Float:
    """The last fit. Detected landmarks around a painted occluder are wrong: they do not move a hidden mouth."""
    seen, painted = case.seen, case.true is not None
    return refine_motion(
        basis, motion, seen.lmk_2d, case.visible, seen.shape, settings=settings, boxes=seen.boxes, adapted=painted
    )
