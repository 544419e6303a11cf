"""From visible landmarks and sound to motion: samples of the networks, phones by rules, adapted to the clip at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.datasets.clips import normalised_waveform
from occlufacediff.head.coefficient_groups import upper_columns
from occlufacediff.head.fit import FitResult
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import Guidance, sample_motion
from occlufacediff.prediction.adaptation import Adapted, adapt, beside, in_units, visible_coefficients
from occlufacediff.prediction.articulation_features import JAW_OPENING, articulation_columns
from occlufacediff.prediction.gaussian_process import Array
from occlufacediff.prediction.offset import NO_OFFSET, Offset, find_offset
from occlufacediff.prediction.spread import opened
from occlufacediff.speech.feature_columns import padding_row
from occlufacediff.speech.features import speech_features
from occlufacediff.speech.phones import Phones
from occlufacediff.speech.prosody import articulation_strength, prosody
from occlufacediff.speech.recognition import recognise_phones, recognise_words
from occlufacediff.speech.viseme_rules import mean_viseme_motion, viseme_shares

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Networks:
    """What samples our motion."""

    denoiser: Denoiser
    prior: MotionPrior
    device: torch.device

    @property
    def adaptable(self) -> bool:
        """Whether the prior knows the mean and the spread of its motion, which an adaptation needs."""
        return bool((self.prior.motion_std != 1).any())

    @property
    def hears_phones(self) -> bool:
        """Whether spectrum and phones are heard, as by the weights that come with the program."""
        return self.denoiser.config.audio == "speech"


@dataclass(frozen=True, eq=False)
class Heard:
    """The sound of T frames.

    Attributes:
        waveform: (640 T,) at 16 kHz. log_mel: (4 T, 80).
        spoken: what is said, heard by phones and perhaps by words, if anyone asked.
        features: (4 T, 60) of `speech_features`, None for networks that take none.
    """

    waveform: Float
    log_mel: Float
    spoken: tuple[Phones, ...] = ()
    features: Float | None = None

    @classmethod
    def of(
        cls,
        waveform: Float,
        log_mel: Float,
        networks: Networks,
        adaptation: AdaptationSettings,
        *,
        phones: Phones | None = None,
    ) -> Heard:
        """Hear what ``networks`` need, and words where they are adapted; ``phones`` if they are there already."""
        if not networks.hears_phones:
            return cls(waveform, log_mel, () if phones is None else (phones,))
        phones = recognise_phones(waveform) if phones is None else phones
        words = adaptation.enabled and adaptation.words and networks.adaptable
        spoken = (phones, recognise_words(waveform)) if words else (phones,)
        return cls(waveform, log_mel, spoken, speech_features(waveform, log_mel, phones))

    @property
    def phones(self) -> Phones:
        """What is said, heard by phones alone.

        Raises:
            ValueError: nobody listened.
        """
        if not self.spoken:
            raise ValueError("spoken: got nothing, needs the phones heard")
        return self.spoken[0]

    def condition(self, networks: Networks, late: int = 0) -> torch.Tensor:
        """What the denoiser is told; of phones and spectrum, which come ``late`` by so many frames, in step."""
        if networks.denoiser.config.audio == "wav2vec2":
            return torch.from_numpy(normalised_waveform(self.waveform))
        if not networks.hears_phones:
            return torch.from_numpy(np.ascontiguousarray(self.log_mel))
        if self.features is None:
            raise ValueError("features: got None, needs those of `Heard.of` for networks that hear phones")
        rows = np.arange(len(self.features)) + late * MEL_ROWS_PER_FRAME
        there = (rows >= 0) & (rows < len(self.features))
        told = np.where(there[:, None], self.features[np.where(there, rows, 0)], padding_row(self.features))
        return torch.from_numpy(np.ascontiguousarray(told))


@dataclass(frozen=True)
class Sampling:
    """How the reverse diffusion is run."""

    solver: Literal["dpmpp", "ddim"] = "dpmpp"
    steps: int = 10
    guidance: Guidance | None = None
    hop: int = 32


def infer(
    networks: Networks,
    basis: LandmarkBasis,
    lmk_2d: Float,
    visible: Float,
    fit: FitResult,
    heard: Heard,
    *,
    use_sound: bool,
    clip_id: str,
    seed: int,
    sampling: Sampling,
    adaptation: AdaptationSettings,
) -> Adapted:
    """Motion of a clip of T frames.

    Args:
        networks: motion prior and denoiser, for the head of ``basis``.
        basis: the head at its landmarks.
        lmk_2d: (T, 468, 2) crop coordinates. visible: (T, 468) 1 where a landmark is visible.
        fit: of the head to the visible landmarks, right where they tell.
        heard: its sound.
        use_sound: false leaves the sound out.
        clip_id, seed: of the noise.
        sampling: of the networks.
        adaptation: to the visible frames. Without it, or with networks that are not adaptable, the first sample is the
            motion, and its spread is not known: NaN.

    Raises:
        ValueError: the sound is not as long as the motion, or was not heard as the networks need it.
    """
    if len(heard.log_mel) != MEL_ROWS_PER_FRAME * len(lmk_2d):
        raise ValueError(
            f"log_mel: got {len(heard.log_mel)} rows, needs {MEL_ROWS_PER_FRAME} for each of {len(lmk_2d)}"
        )
    adapts = adaptation.enabled and networks.adaptable
    seen, pose = np.concatenate([fit.exp, fit.jaw], axis=1, dtype=np.float64), fit.global_pose
    told = visible_coefficients(visible, basis.expression_names)
    mean, spread = (
        values.cpu().numpy().astype(np.float64) for values in (networks.prior.motion_mean, networks.prior.motion_std)
    )
    ruled, columns, offset = None, None, NO_OFFSET
    if adapts and use_sound:
        columns = adaptation.sound_sd * prosody(heard.log_mel)
        if networks.hears_phones:
            ruled = mean_viseme_motion(
                heard.spoken, len(seen), basis.expression_names, strength=articulation_strength(heard.log_mel)
            )
            offset = _offset(
                ruled,
                columns,
                pose=pose,
                seen=seen,
                told=told,
                mean=mean,
                spread=spread,
                upper=upper_columns(basis.expression_names),
                settings=adaptation,
            )
            visemes = adaptation.viseme_sd * viseme_shares(heard.spoken, len(seen))
            ruled, columns = offset.of_picture(ruled), offset.of_picture(np.concatenate([columns, visemes], axis=1))
    samples = sample_motion(
        networks.denoiser,
        networks.prior,
        torch.from_numpy(lmk_2d),
        torch.from_numpy(visible),
        heard.condition(networks, offset.likeliest),
        seed=seed,
        clip_id=clip_id,
        solver=sampling.solver,
        steps=sampling.steps,
        guidance=sampling.guidance,
        use_audio=use_sound,
        samples=adaptation.samples if adapts else 1,
        hop=sampling.hop,
        device=networks.device,
    ).numpy()
    if not adapts:
        return Adapted(np.ascontiguousarray(samples[0]), np.full_like(samples[0], np.nan), 0, adapted=False)
    guide, apart, follow = _mixed(samples, ruled, upper_columns(basis.expression_names), adaptation)
    if columns is not None:
        made = articulation_columns(guide, basis.expression_names, spread)
        columns = np.concatenate([columns, adaptation.articulation_sd * made], axis=1)
    if not use_sound or (ruled is not None and not np.ptp(ruled, axis=0).any()):
        fast = math.hypot(adaptation.fast_sd, adaptation.unheard_sd)
        adaptation = replace(adaptation, gain=adaptation.unheard_gain, fast_sd=fast)
    adapted = adapt(
        guide,
        seen,
        told,
        columns,
        pose=pose,
        apart=apart,
        follow=follow,
        mean=mean,
        spread=spread,
        settings=adaptation,
    )
    factors = opened(basis, fit.shape, adapted.motion, adaptation.opening_power)
    mouth = ~told & ~upper_columns(basis.expression_names)
    spread = np.where(mouth, factors[:, None], 1.0) * adapted.spread
    return replace(adapted, spread=spread.astype(np.float32), offset=offset.told)


def _mixed(
    samples: Float, ruled: Array | None, upper: NDArray[np.bool_], settings: AdaptationSettings
) -> tuple[Array, Array, Array | None]:
    """Motion (T, M) of samples (S, T, M) and rules (T, M), how far they lie apart, and how far it is followed (M,).

    ``upper`` (M,) are coefficients of brows, lids and eyes.
    """
    guide, apart = samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, dtype=np.float64)
    if ruled is None:
        return guide, apart, None
    by_rules = np.ptp(ruled, axis=0) > 0
    # Their errors differ: the network knows sounds it heard spoken by synthetic voices, the rules only the phones.
    share = np.where(by_rules, settings.rules_share, 0.0)
    guide = (1 - share) * guide + share * ruled
    apart = np.where(by_rules, np.concatenate([samples, ruled[None]]).std(axis=0), apart)
    if not by_rules[:-3].any():
        return guide, apart, None  # nothing is said, or the head has no actions that rules know
    unheard = settings.unheard_gain / settings.gain if settings.gain > 0 else 0.0
    follow = np.where(by_rules, settings.lips_share, np.where(upper, unheard, 0.0))
    follow[JAW_OPENING] = 1.0
    return guide, np.where(follow > 0, apart, 0.0), follow


def _offset(
    ruled: Array,
    heard: Array,
    *,
    pose: Float,
    seen: Array,
    told: NDArray[np.bool_],
    mean: Array,
    spread: Array,
    upper: NDArray[np.bool_],
    settings: AdaptationSettings,
) -> Offset:
    """By how much the sound comes late, told by what is seen when the jaw is, of all but the ``upper`` face (M,)."""
    pattern = told[:, JAW_OPENING]
    columns = np.flatnonzero((told == pattern[:, None]).all(axis=0) & ~upper)
    unit, shown = in_units(seen, pattern, columns, mean, spread)
    visible = beside(pose, seen, told, columns, spread, settings)
    return find_offset(ruled[:, columns] / unit, heard, visible, shown, pattern, settings)
