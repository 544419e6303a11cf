"""The test protocol: every method reconstructs every clip of a split under every occlusion."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.clips import Clip
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import UNEXPECTED
from occlufacediff.evaluation.baselines import interpolate, neutral
from occlufacediff.evaluation.scores import Scores, Surface, score, score_truth, surface
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.refinement import refine_motion
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import SampleInput, sample_clips
from occlufacediff.occlusion.occlude import Occlusion, occlude
from occlufacediff.storage import as_clip_error

Float = NDArray[np.float32]

LOG = logging.getLogger(__name__)

#: Method: the network that a fine-tuning started from, with audio.
BEFORE = "before_finetuning"


@dataclass(frozen=True, eq=False)
class Result:
    """One method on one clip under one occlusion: its motion (T, E + 3) and its metrics."""

    occlusion: str
    method: str
    clip_id: str
    motion: Float
    metrics: Scores


@dataclass(frozen=True)
class Failure:
    """A clip that could not be scored under an occlusion."""

    occlusion: str
    clip_id: str
    reason: str
    message: str


@dataclass(frozen=True, eq=False)
class Case:
    """A clip under an occlusion, with its visible landmarks.

    Attributes:
        clip_id: ``<subject>/<clip>``.
        clip: the clip.
        occlusion: what is occluded.
        visible: (T, 468) 1 where a landmark is occluded neither by the occlusion nor in the recording itself.
    """

    clip_id: str
    clip: Clip
    occlusion: Occlusion
    visible: Float


@dataclass(frozen=True, eq=False)
class Round:
    """All methods on all clips under one occlusion. A clip that fails for one method is left out for all methods.

    ``truths`` are the metrics of the truth itself, such as its jitter, by clip id.
    """

    occlusion: str
    cases: list[Case]
    results: list[Result]
    truths: dict[str, Scores]
    failures: list[Failure]


def chosen_clips(store: ClipStore, most: int | None) -> list[int]:
    """Indices of the clips to score: all, or ``most`` evenly over the split."""
    if most is None or most >= len(store):
        return list(range(len(store)))
    return np.unique(np.linspace(0, len(store) - 1, most).round().astype(int)).tolist()


def make_case(clip_id: str, clip: Clip, kind: str, settings: EvaluationSettings, seed: int) -> Case:
    """Occlude part of a clip. The random draw depends on the seed and the names of clip and occlusion kind only.

    Raises:
        ValueError: the clip has no landmarks.
        ClipError: ``no_region``, no landmark of the region to occlude is known.
    """
    if clip.lmk_2d is None:
        raise ValueError(f"{clip_id}: got no landmarks, needs lmk_2d")
    rng = np.random.default_rng([seed, zlib.crc32(clip_id.encode()), zlib.crc32(kind.encode())])
    occlusion = occlude(kind, clip.lmk_2d, rng, settings.occlusion)
    visible = occlusion.lmk_mask(clip.lmk_2d)
    return Case(clip_id, clip, occlusion, visible if clip.lmk_visible is None else visible * clip.lmk_visible)


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


@dataclass(frozen=True, eq=False)
class Protocol:
    """The test protocol for one model and one split.

    All methods receive the true identity, pose and camera, as published. Only ours receive the visible landmarks.
    Interpolation receives the true motion of the visible frames, but not of frames that the recording itself occludes.

    Attributes:
        store: clips of the split, with landmarks and audio.
        asset: head model.
        denoiser: the denoiser, on ``device``.
        prior: its motion prior, on ``device``.
        settings: of the protocol.
        reconstruction: of the final fit of our motion to the visible landmarks.
        seed: of sampling.
        device: where to sample.
        before: the denoiser that ``denoiser`` was fine-tuned from, scored as the method `BEFORE`; None: there is none.
        occlusion_seed: of occlusions; None: ``seed``.
    """

    store: ClipStore
    asset: HeadAsset
    denoiser: Denoiser
    prior: MotionPrior
    settings: EvaluationSettings
    reconstruction: ReconstructionSettings
    seed: int
    device: torch.device
    before: Denoiser | None = None
    occlusion_seed: int | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods to score: the configured ones, and `BEFORE` where there is such a denoiser."""
        return (*self.settings.methods, *(() if self.before is None else (BEFORE,)))

    @property
    def seed_of_occlusions(self) -> int:
        """Seed of the occlusions."""
        return self.seed if self.occlusion_seed is None else self.occlusion_seed

    def rounds(self, kinds: Sequence[str]) -> Iterator[Round]:
        """Occlude, reconstruct and score: one round per occlusion kind.

        A clip that raises an error becomes a failure, and the others continue.

        Raises:
            OccluFaceError: an error that concerns more than one clip: storage, configuration, assets.
        """
        basis = LandmarkBasis.of(self.asset)
        unreadable: list[Failure] = []
        clips: dict[str, Clip] = {}
        # The surfaces of truth and neutral face are the same under all occlusions.
        truths: dict[str, Surface] = {}
        neutrals: dict[str, Surface] = {}
        truth_scores: dict[str, Scores] = {}
        for number in chosen_clips(self.store, self.settings.max_clips):
            clip_id = self.store.clip_id(number)
            with _failure_to(unreadable, "", clip_id):
                clip = self.store[number]
                truths[clip_id] = surface(self.asset, clip, clip.motion)
                neutrals[clip_id] = surface(self.asset, clip, neutral(clip.motion))
                truth_scores[clip_id] = score_truth(self.asset, clip, truths[clip_id], neutrals[clip_id])
                clips[clip_id] = clip
        for kind in kinds:
            failures = [replace(failure, occlusion=kind) for failure in unreadable]
            cases: list[Case] = []
            for clip_id, clip in clips.items():
                with _failure_to(failures, kind, clip_id):
                    cases.append(make_case(clip_id, clip, kind, self.settings, self.seed_of_occlusions))
            results: list[Result] = []
            for method in self.methods:
                for case, motion, samples in self._motions(method, cases, basis, failures):
                    with _failure_to(failures, kind, case.clip_id):
                        still = neutrals[case.clip_id]
                        made = still if method == "neutral" else surface(self.asset, case.clip, motion)
                        several = [surface(self.asset, case.clip, sample) for sample in samples]
                        truth, frames = truths[case.clip_id], case.occlusion.frames
                        metrics = score(
                            self.asset, case.clip, truth, made, motion, case.visible, frames, still, several
                        )
                        results.append(Result(kind, method, case.clip_id, motion, metrics))
            first = {failure.clip_id: failure for failure in reversed(failures)}
            yield Round(
                kind,
                [case for case in cases if case.clip_id not in first],
                [result for result in results if result.clip_id not in first],
                {case.clip_id: truth_scores[case.clip_id] for case in cases if case.clip_id not in first},
                [failure for failure in failures if first[failure.clip_id] is failure],
            )

    def _motions(
        self, method: str, cases: list[Case], basis: LandmarkBasis, failures: list[Failure]
    ) -> Iterator[tuple[Case, Float, Sequence[Float]]]:
        """Motion of each case by a method, and its samples if there are several; cases that fail are left out."""
        if method == "neutral":
            yield from ((case, neutral(case.clip.motion), ()) for case in cases)
        elif method == "interpolation":
            yield from ((case, interpolate(case.clip.motion, unknown_frames(case)), ()) for case in cases)
        else:
            for case, motions in self._sampled(cases, method, failures):
                several: Sequence[Float] = list(motions) if len(motions) > 1 else []
                mean = motions.mean(axis=0)
                if not self.settings.refine:
                    yield case, mean, several
                    continue
                fitted: list[tuple[Case, Float, Sequence[Float]]] = []
                with _failure_to(failures, case.occlusion.kind, case.clip_id):
                    each = [_fit_to_visible(basis, case, sample, self.reconstruction) for sample in several]
                    fitted.append((case, _fit_to_visible(basis, case, mean, self.reconstruction), each))
                yield from fitted

    def _sampled(self, cases: list[Case], method: str, failures: list[Failure]) -> list[tuple[Case, Float]]:
        """Sample all cases as one batch. If the batch fails, sample each case alone to find the clips that fail."""
        denoiser = self.before if method == BEFORE and self.before is not None else self.denoiser

        def sample(some: list[Case]) -> list[tuple[Case, Float]]:
            motions = sampled(
                some,
                denoiser,
                self.prior,
                use_audio=method != "ours_without_audio",
                settings=self.settings,
                seed=self.seed,
                device=self.device,
            )
            return list(zip(some, motions, strict=True))

        if not cases:
            return []
        try:
            return sample(cases)
        except Exception as error:
            as_clip_error(error)  # raises errors that concern more than one clip
            LOG.exception("sampling %d clips at once failed; sampling them one by one", len(cases))
        found = []
        for case in cases:
            with _failure_to(failures, case.occlusion.kind, case.clip_id):
                found += sample([case])
        return found


@contextmanager
def _failure_to(failures: list[Failure], occlusion: str, clip_id: str) -> Iterator[None]:
    """Add an error of the block to ``failures`` and continue after the block.

    Raises:
        OccluFaceError: the error concerns more than this clip.
    """
    try:
        yield
    except Exception as error:
        failure = as_clip_error(error)
        if failure.reason == UNEXPECTED:
            LOG.exception("%s failed under the occlusion %s", clip_id, occlusion or "(all)")
        failures.append(Failure(occlusion, clip_id, failure.reason, " ".join(str(failure).split())))


def unknown_frames(case: Case) -> NDArray[np.bool_]:
    """Frames (T,) in which something is occluded, or whose motion the recording does not show."""
    return case.occlusion.frames if case.clip.known is None else case.occlusion.frames | ~case.clip.known


def _fit_to_visible(basis: LandmarkBasis, case: Case, motion: Float, settings: ReconstructionSettings) -> Float:
    lmk_2d = case.clip.lmk_2d
    assert lmk_2d is not None  # make_case requires landmarks
    return refine_motion(basis, motion, lmk_2d, case.visible, case.clip.shape, settings=settings)
