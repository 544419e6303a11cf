"""Audio of a synthetic clip: a sentence by espeak-ng with room acoustics, microphone response and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.synthetic.behaviour import LEVEL_INTENSITY, VOICE_CHANGES
from occlufacediff.synthetic.espeak import Utterance, speak
from occlufacediff.synthetic.plan import PlannedClip
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import Speaker


@dataclass(frozen=True)
class Speech:
    """Audio of one clip.

    Attributes:
        samples: (N,) float32 at ``rate`` Hz, with room, microphone and noise.
        seconds: duration of the clip.
        lead, end: start and end of the utterance in the clip, seconds.
        utterance: the clean utterance; its phoneme times start at 0.
        articulation: factor on the speech motion of the clip.
    """

    samples: np.ndarray
    rate: int
    seconds: float
    lead: float
    end: float
    utterance: Utterance
    articulation: float


def synthesise_speech(clip: PlannedClip, speaker: Speaker, settings: SyntheticSettings, seed: int) -> Speech:
    """Synthesise the sentence of a clip, with a duration from ``settings.min_seconds`` to ``settings.max_seconds``.

    Raises:
        ValueError: the sentence is too long even at a higher speaking rate.
    """
    rng = rng_for(seed, clip.clip_id, "speech")
    intensity = LEVEL_INTENSITY[clip.level]
    pitch_change, range_change, rate_factor, articulation_factor = VOICE_CHANGES[clip.emotion]
    pitch = int(np.clip(speaker.pitch + intensity * pitch_change + rng.uniform(-3, 3), 5, 95))
    pitch_range = int(np.clip(speaker.pitch_range + intensity * range_change, 5, 95))
    words_per_minute = speaker.words_per_minute * (1 + intensity * (rate_factor - 1)) * rng.uniform(0.96, 1.04)
    lead, tail = rng.uniform(0.18, 0.34), rng.uniform(0.22, 0.4)
    available = settings.max_seconds - lead - tail
    for _ in range(4):
        utterance = speak(
            clip.text,
            speaker.voice,
            words_per_minute=int(np.clip(round(words_per_minute), 80, 450)),
            pitch=pitch,
            pitch_range=pitch_range,
            seed=int(rng.integers(1, 2**31)),
        )
        utterance = _trimmed(utterance)
        length = len(utterance.samples) / utterance.rate
        if length <= available:
            break
        words_per_minute *= 1.04 * length / available
    else:
        raise ValueError(f"{clip.clip_id}: {clip.text!r} does not fit into max_seconds={settings.max_seconds}")
    seconds = max(settings.min_seconds, lead + length + tail)
    lead += rng.uniform(0.3, 0.7) * max(0.0, seconds - (lead + length + tail))
    # Whole frames at 30 fps, so that audio and video end together.
    seconds = np.ceil(seconds * 30 - 1e-6) / 30
    total = round(seconds * utterance.rate)
    dry = np.zeros(total, dtype=np.float64)
    first = round(lead * utterance.rate)
    dry[first : first + len(utterance.samples)] = utterance.samples[: total - first]
    samples = _add_recording_conditions(dry, utterance.rate, settings, rng)
    articulation = (1 + intensity * (articulation_factor - 1)) * rng.uniform(0.93, 1.07)
    start = first / utterance.rate
    return Speech(samples, utterance.rate, float(seconds), start, start + length, utterance, float(articulation))


def _trimmed(utterance: Utterance) -> Utterance:
    """Remove the silence that espeak-ng appends."""
    loud = np.flatnonzero(np.abs(utterance.samples) > 1e-3)
    stop = int(loud[-1]) + 1 if len(loud) else len(utterance.samples)
    keep = utterance.starts * utterance.rate < stop
    phonemes = tuple(name for name, kept in zip(utterance.phonemes, keep, strict=True) if kept)
    return Utterance(utterance.samples[:stop], utterance.rate, phonemes, utterance.starts[keep])


def _add_recording_conditions(
    dry: np.ndarray, rate: int, settings: SyntheticSettings, rng: np.random.Generator
) -> np.ndarray:
    """Add room (exponentially decaying noise), microphone response (spectral tilt), noise and level to ``dry`` (N,)."""
    share = settings.reverberation * rng.uniform(0.0, 1.0)
    decay = rng.uniform(0.12, 0.4)
    tail = rng.standard_normal(int(decay * rate)) * np.exp(-6.9 * np.linspace(0, 1, int(decay * rate)))
    tail[: int(0.002 * rate)] = 0.0
    padded = len(dry) + len(tail)
    echo = np.fft.irfft(np.fft.rfft(dry, padded) * np.fft.rfft(tail / np.sqrt((tail**2).sum()), padded), padded)
    wet = dry + share * echo[: len(dry)]
    spectrum = np.fft.rfft(wet)
    frequency = np.fft.rfftfreq(len(wet), 1 / rate)
    tilt = rng.uniform(-2.5, 2.5)  # dB per octave around 1 kHz, over at most three octaves
    gain_db = tilt * np.clip(np.log2(np.maximum(frequency, 1.0) / 1000.0), -3, 3)
    gain_db -= 24.0 * (frequency < rng.uniform(50, 110))
    wet = np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(wet))
    white = np.fft.rfft(rng.standard_normal(len(wet)))
    noise = np.fft.irfft(white / np.sqrt(np.maximum(frequency, 60.0)), len(wet))
    power = np.sqrt(np.mean(wet[np.abs(dry) > 1e-3] ** 2)) if np.any(np.abs(dry) > 1e-3) else 0.05
    ratio = settings.noise_snr_db + rng.uniform(-6, 6)
    wet = wet + noise / np.sqrt(np.mean(noise**2)) * power * 10 ** (-ratio / 20)
    level = 10 ** (rng.uniform(-27, -20) / 20)
    return np.clip(wet * (level / power), -0.99, 0.99).astype(np.float32)


def resample(samples: np.ndarray, rate: int, to_rate: int) -> np.ndarray:
    """Resample ``samples`` (N,) to ``to_rate`` Hz by cutting or zero-padding the spectrum; returns float32.

    This treats the clip as periodic, which its quiet ends allow. (scipy.signal takes seconds to import.)
    """
    if rate == to_rate:
        return samples
    count = round(len(samples) * to_rate / rate)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(count // 2 + 1, dtype=complex)
    common = min(len(kept), len(spectrum))
    kept[:common] = spectrum[:common]
    return np.asarray(np.fft.irfft(kept, count) * (count / len(samples)), dtype=np.float32)
