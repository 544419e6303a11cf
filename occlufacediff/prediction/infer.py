"""From visible landmarks and sound to motion: samples of the networks, phones by rules, adapted to the clip at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.head.fit import FitResult
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.rates import FPS
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import Guidance, sample_motion
from occlufacediff.prediction.adapt import Adapted, adapt, told_coefficients
from occlufacediff.speech.features import sound_features
from occlufacediff.speech.loudness import sound_columns, strength
from occlufacediff.speech.phones import Phones, recognise
from occlufacediff.speech.rules import rules_motion
from occlufacediff.training.data import normalised_waveform

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
        phones: heard in it, if anyone asked; features: (4 T, 60) of `sound_features`, None for networks that take none.
    """

    waveform: Float
    log_mel: Float
    phones: Phones | None = None
    features: Float | None = None

    @classmethod
    def of(cls, waveform: Float, log_mel: Float, networks: Networks, phones: Phones | None = None) -> Heard:
        """Hear what ``networks`` need; ``phones`` if they are there already."""
        if not networks.hears_phones:
            return cls(waveform, log_mel, phones)
        phones = recognise(waveform) if phones is None else phones
        return cls(waveform, log_mel, phones, sound_features(waveform, log_mel, phones))

    def condition(self, networks: Networks) -> torch.Tensor:
        """What the denoiser is told."""
        if networks.denoiser.config.audio == "wav2vec2":
            return torch.from_numpy(normalised_waveform(self.waveform))
        told = self.features if networks.hears_phones else self.log_mel
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
    """
    adapts = adaptation.enabled and networks.adaptable
    samples = sample_motion(
        networks.denoiser,
        networks.prior,
        torch.from_numpy(lmk_2d),
        torch.from_numpy(visible),
        heard.condition(networks),
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
    guide, apart = samples.mean(axis=0), samples.std(axis=0)
    if use_sound and networks.hears_phones:
        assert heard.phones is not None  # `Heard.of` hears what the networks need
        ruled = rules_motion(
            heard.phones, len(guide), basis.expression_names, strength=strength(heard.log_mel), fps=FPS
        )
        # Their errors differ: the network knows sounds it heard spoken by synthetic voices, the rules only the phones.
        moved = np.ptp(ruled, axis=0) > 0
        share = np.where(moved, adaptation.rules_share, 0.0).astype(np.float32)
        guide = (1 - share) * guide + share * ruled
        apart = np.where(moved, np.concatenate([samples, ruled[None]]).std(axis=0), apart)
    return adapt(
        guide,
        np.concatenate([fit.exp, fit.jaw], axis=1),
        told_coefficients(visible, basis.expression_names),
        sound_columns(heard.log_mel) if use_sound else None,
        pose=fit.global_pose,
        apart=apart,
        mean=networks.prior.motion_mean.cpu().numpy(),
        spread=networks.prior.motion_std.cpu().numpy(),
        settings=adaptation,
    )
