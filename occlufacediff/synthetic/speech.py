"""The sound of a clip: a sentence spoken by espeak-ng, in a room, through a microphone, with its phoneme times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.synthetic.behaviour import LEVEL_SHARE, VOICE_CHANGES
from occlufacediff.synthetic.espeak import Spoken, speak
from occlufacediff.synthetic.plan import PlanClip
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import Speaker


@dataclass(frozen=True)
class Speech:
    """``samples`` float32 (N,) at ``rate`` Hz; the utterance begins at ``lead`` seconds of the clip of ``seconds``;
    ``spoken`` holds the clean utterance and its phonemes in its own clock; ``liveliness`` scales the articulation."""

    samples: np.ndarray
    rate: int
    seconds: float
    lead: float
    end: float
    spoken: Spoken
    liveliness: float


def speech_of(clip: PlanClip, speaker: Speaker, settings: SyntheticSettings, seed: int) -> Speech:
    """Speak the clip's sentence; its length is within ``min_seconds`` and ``max_seconds`` of the settings."""
    rng = rng_for(seed, clip.clip_id, "speech")
    share = LEVEL_SHARE[clip.level]
    pitch_change, range_change, rate_factor, lively = VOICE_CHANGES[clip.emotion]
    pitch = int(np.clip(speaker.pitch + share * pitch_change + rng.uniform(-3, 3), 5, 95))
    pitch_range = int(np.clip(speaker.pitch_range + share * range_change, 5, 95))
    pace = speaker.words_per_minute * (1 + share * (rate_factor - 1)) * rng.uniform(0.96, 1.04)
    lead, tail = rng.uniform(0.18, 0.34), rng.uniform(0.22, 0.4)
    room = settings.max_seconds - lead - tail
    for _ in range(4):
        spoken = speak(
            clip.text,
            speaker.voice,
            words_per_minute=int(np.clip(round(pace), 80, 450)),
            pitch=pitch,
            pitch_range=pitch_range,
            seed=int(rng.integers(1, 2**31)),
        )
        spoken = _trimmed(spoken)
        length = len(spoken.samples) / spoken.rate
        if length <= room:
            break
        pace *= 1.04 * length / room
    else:
        raise ValueError(f"{clip.clip_id}: {clip.text!r} does not fit into max_seconds={settings.max_seconds}")
    seconds = max(settings.min_seconds, lead + length + tail)
    lead += rng.uniform(0.3, 0.7) * max(0.0, seconds - (lead + length + tail))
    # Whole frames at 30 fps, so that sound and picture end together.
    seconds = np.ceil(seconds * 30 - 1e-6) / 30
    total = round(seconds * spoken.rate)
    dry = np.zeros(total, dtype=np.float64)
    first = round(lead * spoken.rate)
    dry[first : first + len(spoken.samples)] = spoken.samples[: total - first]
    samples = _recorded(dry, spoken.rate, settings, rng)
    liveliness = (1 + share * (lively - 1)) * rng.uniform(0.93, 1.07)
    start = first / spoken.rate
    return Speech(samples, spoken.rate, float(seconds), start, start + length, spoken, float(liveliness))


def _trimmed(spoken: Spoken) -> Spoken:
    """Without the silence that espeak-ng appends."""
    loud = np.flatnonzero(np.abs(spoken.samples) > 1e-3)
    stop = int(loud[-1]) + 1 if len(loud) else len(spoken.samples)
    keep = spoken.starts * spoken.rate < stop
    phonemes = tuple(name for name, kept in zip(spoken.phonemes, keep, strict=True) if kept)
    return Spoken(spoken.samples[:stop], spoken.rate, phonemes, spoken.starts[keep])


def _recorded(dry: np.ndarray, rate: int, settings: SyntheticSettings, rng: np.random.Generator) -> np.ndarray:
    """Room (decaying noise after the direct sound), channel (a tilt of a few dB), noise and level; float32."""
    share = settings.reverberation * rng.uniform(0.0, 1.0)
    decay = rng.uniform(0.12, 0.4)
    tail = rng.standard_normal(int(decay * rate)) * np.exp(-6.9 * np.linspace(0, 1, int(decay * rate)))
    tail[: int(0.002 * rate)] = 0.0
    padded = len(dry) + len(tail)
    echo = np.fft.irfft(np.fft.rfft(dry, padded) * np.fft.rfft(tail / np.sqrt((tail**2).sum()), padded), padded)
    wet = dry + share * echo[: len(dry)]
    spectrum = np.fft.rfft(wet)
    frequency = np.fft.rfftfreq(len(wet), 1 / rate)
    tilt = rng.uniform(-2.5, 2.5)  # dB an octave about 1 kHz, over at most three octaves
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


def resampled(samples: np.ndarray, rate: int, to_rate: int) -> np.ndarray:
    """``samples`` (N,) at another rate in Hz, float32: the spectrum cut off or filled up with zeros.

    The clip is taken as periodic, which its quiet ends allow. (scipy.signal would take seconds to import.)
    """
    if rate == to_rate:
        return samples
    count = round(len(samples) * to_rate / rate)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(count // 2 + 1, dtype=complex)
    common = min(len(kept), len(spectrum))
    kept[:common] = spectrum[:common]
    return np.asarray(np.fft.irfft(kept, count) * (count / len(samples)), dtype=np.float32)
