"""Step 5, motion: samples of the networks and viseme rules, adapted to the clip, then refined by visible landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.head.coefficient_groups import upper_columns
from occlufacediff.head.fit import FitResult
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.refinement import refine_motion
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME
from occlufacediff.models.sample import Guidance, sample_motion
from occlufacediff.prediction.adaptation import AdaptedMotion, adapt, in_units, visible_coefficients, visible_columns
from occlufacediff.prediction.articulation_features import JAW_OPENING, articulation_columns
from occlufacediff.prediction.confidence import confidence
from occlufacediff.prediction.gaussian_process import Array
from occlufacediff.prediction.networks import Networks
from occlufacediff.prediction.observation import Observation
from occlufacediff.prediction.offset import NO_OFFSET, Offset, find_offset
from occlufacediff.prediction.speech import Speech
from occlufacediff.prediction.spread import opening_factors
from occlufacediff.prediction.visibility import Visibility
from occlufacediff.speech.prosody import articulation_strength, prosody
from occlufacediff.speech.viseme_rules import mean_viseme_motion, viseme_shares

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Sampling:
    """How the reverse diffusion is run.

    Attributes:
        solver: solver of the reverse diffusion.
        steps: number of solver steps.
        guidance: weights for all conditions and for audio; None for no guidance.
        hop: frames between the starts of neighbouring windows.
    """

    solver: Literal["dpmpp", "ddim"] = "dpmpp"
    steps: int = 10
    guidance: Guidance | None = None
    hop: int = 32

    @classmethod
    def of(cls, settings: PredictionSettings) -> Sampling:
        """Sampling by the settings of prediction."""
        weights = (settings.guidance_all, settings.guidance_audio)
        return cls(settings.solver, settings.steps, None if weights == (None, None) else weights, settings.window_hop)


@dataclass(frozen=True, eq=False)
class Motion:
    """Predicted motion of T frames.

    Attributes:
        values: (T, E + 3) float32, expression and jaw.
        spread: (T, E + 3) float32, standard deviation; NaN where it is not known.
        confidence: (T,) float32, 0 to 1, reliability of the mouth.
        audio_offset: frames by which the audio lags the video; 0 unless it is nearly certain.
    """

    values: Float
    spread: Float
    confidence: Float
    audio_offset: int


def reconstruct_motion(
    networks: Networks,
    basis: LandmarkBasis,
    observation: Observation,
    visibility: Visibility,
    fit: FitResult,
    speech: Speech,
    *,
    use_audio: bool,
    clip_id: str,
    seed: int,
    settings: PredictionSettings,
    reconstruction: ReconstructionSettings,
    threads: int = 1,
) -> Motion:
    """Sample, adapt and refine the motion of a video, and rate its confidence.

    Args:
        networks: motion prior and denoiser, trained with the head of ``basis``.
        basis: the head model at its landmarks.
        observation: landmarks and crop boxes.
        visibility: visible landmarks.
        fit: fit of the head model to the visible landmarks.
        speech: audio condition.
        use_audio: False leaves the audio condition out.
        clip_id: name of the clip, part of the seed of the noise.
        seed: seed of the noise.
        settings: sampling, adaptation and refinement.
        reconstruction: settings of the fit, used by the refinement.
        threads: threads of the refinement.
    """
    lmk_2d, lmk_mask = observation.lmk_2d, visibility.lmk_mask
    adapted = predict_motion(
        networks,
        basis,
        lmk_2d,
        lmk_mask,
        fit,
        speech,
        use_audio=use_audio,
        clip_id=clip_id,
        seed=seed,
        sampling=Sampling.of(settings),
        adaptation=settings.adaptation,
    )
    motion = adapted.motion
    if settings.refine:
        motion = refine_motion(
            basis,
            motion,
            lmk_2d,
            lmk_mask,
            fit.shape,
            start=fit,
            settings=reconstruction,
            boxes=observation.boxes,
            adapted=adapted.adapted,
            threads=threads,
        )
    reliable = confidence(
        lmk_mask,
        observation.known,
        adapted.spread,
        networks.prior.motion_std.cpu().numpy(),
        fit.global_pose,
        basis.expression_names,
    )
    return Motion(motion, adapted.spread, reliable, adapted.offset)


def predict_motion(
    networks: Networks,
    basis: LandmarkBasis,
    lmk_2d: Float,
    visible: Float,
    fit: FitResult,
    speech: Speech,
    *,
    use_audio: bool,
    clip_id: str,
    seed: int,
    sampling: Sampling,
    adaptation: AdaptationSettings,
) -> AdaptedMotion:
    """Sample the motion of a clip of T frames and adapt it to the visible frames.

    Args:
        networks: motion prior and denoiser, trained with the head of ``basis``.
        basis: the head model at its landmarks.
        lmk_2d: (T, 468, 2) crop coordinates.
        visible: (T, 468) 1 where a landmark is visible.
        fit: fit of the head model; its motion is used in visible frames only.
        speech: audio condition.
        use_audio: False leaves the audio condition out.
        clip_id: name of the clip, part of the seed of the noise.
        seed: seed of the noise.
        sampling: how the networks are sampled.
        adaptation: settings of the adaptation. Without it, or with networks that are not adaptable, the first sample
            is returned, and its spread is NaN.

    Raises:
        ValueError: audio and landmarks differ in length, or ``speech`` lacks what the networks need.
    """
    if len(speech.log_mel) != MEL_ROWS_PER_FRAME * len(lmk_2d):
        raise ValueError(
            f"log_mel: got {len(speech.log_mel)} rows, needs {MEL_ROWS_PER_FRAME} for each of {len(lmk_2d)}"
        )
    adapts = adaptation.enabled and networks.adaptable
    shown, pose = np.concatenate([fit.exp, fit.jaw], axis=1, dtype=np.float64), fit.global_pose
    known = visible_coefficients(visible, basis.expression_names)
    upper = upper_columns(basis.expression_names)
    mean, spread = (
        values.cpu().numpy().astype(np.float64) for values in (networks.prior.motion_mean, networks.prior.motion_std)
    )
    by_rules, columns, offset = None, None, NO_OFFSET
    if adapts and use_audio:
        columns = adaptation.audio_sd * prosody(speech.log_mel)
        if networks.uses_phones:
            loud = articulation_strength(speech.log_mel)
            by_rules = mean_viseme_motion(speech.transcripts, len(shown), basis.expression_names, strength=loud)
            offset = _find_offset(
                by_rules,
                columns,
                pose=pose,
                shown=shown,
                known=known,
                mean=mean,
                spread=spread,
                upper=upper,
                settings=adaptation,
            )
            visemes = adaptation.viseme_sd * viseme_shares(speech.transcripts, len(shown))
            by_rules = offset.at_video(by_rules)
            columns = offset.at_video(np.concatenate([columns, visemes], axis=1))
    if adapts and known.all():
        # The fit shows all of the motion, so samples would not change it.
        shown_motion = adapt(shown, shown, known, None, mean=mean, spread=spread, settings=adaptation)
        return replace(shown_motion, offset=offset.reported)
    samples = sample_motion(
        networks.denoiser,
        networks.prior,
        torch.from_numpy(lmk_2d),
        torch.from_numpy(visible),
        speech.condition(networks, offset.likeliest),
        seed=seed,
        clip_id=clip_id,
        solver=sampling.solver,
        steps=sampling.steps,
        guidance=sampling.guidance,
        use_audio=use_audio,
        samples=adaptation.samples if adapts else 1,
        hop=sampling.hop,
        device=networks.device,
    ).numpy()
    if not adapts:
        return AdaptedMotion(np.ascontiguousarray(samples[0]), np.full_like(samples[0], np.nan), 0, adapted=False)
    guide, disagreement, follow = _combine(samples, by_rules, upper, adaptation)
    if columns is not None:
        articulation = articulation_columns(guide, basis.expression_names, spread)
        columns = np.concatenate([columns, adaptation.articulation_sd * articulation], axis=1)
    if not use_audio or (by_rules is not None and not np.ptp(by_rules, axis=0).any()):
        fast = math.hypot(adaptation.fast_sd, adaptation.without_audio_sd)
        adaptation = replace(adaptation, gain=adaptation.without_audio_gain, fast_sd=fast)
    adapted = adapt(
        guide,
        shown,
        known,
        columns,
        pose=pose,
        disagreement=disagreement,
        follow=follow,
        mean=mean,
        spread=spread,
        settings=adaptation,
    )
    factors = opening_factors(basis, fit.shape, adapted.motion, adaptation.opening_power)
    occluded_mouth = ~known & ~upper
    spread = np.where(occluded_mouth, factors[:, None], 1.0) * adapted.spread
    return replace(adapted, spread=spread.astype(np.float32), offset=offset.reported)


def _combine(
    samples: Float, by_rules: Array | None, upper: NDArray[np.bool_], settings: AdaptationSettings
) -> tuple[Array, Array, Array | None]:
    """Combine samples and viseme rules.

    Args:
        samples: (S, T, M) by the networks.
        by_rules: (T, M) by the viseme rules; None without phones.
        upper: (M,) True for coefficients of brows, lids and eyes.
        settings: weights.

    Returns:
        The combined motion (T, M); its disagreement (T, M), the standard deviation over samples and rules; factors on
        the gain (M,) by which each coefficient follows it, None for 1.
    """
    guide, disagreement = samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, dtype=np.float64)
    if by_rules is None:
        return guide, disagreement, None
    ruled = np.ptp(by_rules, axis=0) > 0
    # Network and rules err differently: one learned from synthetic voices, the other knows the phones only.
    share = np.where(ruled, settings.rules_share, 0.0)
    guide = (1 - share) * guide + share * by_rules
    disagreement = np.where(ruled, np.concatenate([samples, by_rules[None]]).std(axis=0), disagreement)
    if not ruled[:-3].any():
        return guide, disagreement, None  # nothing is said, or the head has no actions that the rules move
    without_audio = settings.without_audio_gain / settings.gain if settings.gain > 0 else 0.0
    follow = np.where(ruled, settings.lips_share, np.where(upper, without_audio, 0.0))
    follow[JAW_OPENING] = 1.0
    return guide, np.where(follow > 0, disagreement, 0.0), follow


def _find_offset(
    by_rules: Array,
    audio_columns: Array,
    *,
    pose: Float,
    shown: Array,
    known: NDArray[np.bool_],
    mean: Array,
    spread: Array,
    upper: NDArray[np.bool_],
    settings: AdaptationSettings,
) -> Offset:
    """Audio offset by the coefficients of the lower face that are visible whenever the jaw is.

    Args:
        by_rules: (T, M) motion by the viseme rules.
        audio_columns: (T, K) loudness and timbre.
        pose: (T, 3) head rotation, axis-angle, radians.
        shown: (T, M) motion of the fit, valid where ``known`` (T, M).
        mean, spread: (M,) statistics of the motion of all speakers.
        upper: (M,) True for coefficients of brows, lids and eyes.
        settings: settings of the adaptation.
    """
    frames = known[:, JAW_OPENING]
    columns = np.flatnonzero((known == frames[:, None]).all(axis=0) & ~upper)
    unit, scaled = in_units(shown, frames, columns, mean, spread)
    visible = visible_columns(pose, shown, known, columns, spread, settings)
    return find_offset(by_rules[:, columns] / unit, audio_columns, visible, scaled, frames, settings)
