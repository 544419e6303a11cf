"""Whether a sound is speech at all: a face must not be moved by silence, music, noise or hum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.rates import SAMPLE_RATE
from occlufacediff.media.sound import level_db

SoundKind = Literal["silence", "no speech", "speech"]

#: Speech changes the shape of its coarse spectrum within 64 ms by at least so much (natural logarithm, band mean).
#: Measured: speech of 40 recordings and synthetic voices, also 5 dB above white noise, 0.37 to 0.9; noises, drums,
#: chords and arpeggios up to 0.26, but for fast arpeggios (0.46) and vibrato (0.75).
LEAST_CHANGE = 0.31
#: Its partials do not stand still for 64 ms: correlation of fine spectra, speech up to 0.6 (with music 10 dB below it),
#: instruments from 0.8 on.
MOST_STEADY = 0.7
#: Its loudness varies by at least so many dB (speech from 11 on, a sung note 0.4).
LEAST_RANGE_DB = 6.0
#: Share of the audible windows that have to be speech.
LEAST_SHARE = 0.1

_WINDOW_S, _HOP_S = 3.0, 1.5
_FRAME, _STEP, _LAG = 1024, 256, 4  # samples, samples, steps (64 ms)
_BINS = slice(6, 198)  # 94 Hz to 3.1 kHz
_BAND = 12  # bins
#: Frames weaker than the loud ones by more than 20 dB are pauses; what is 60 dB below the strongest bin does not count.
_PAUSE, _FLOOR = 0.01, 1e-3


@dataclass(frozen=True)
class Activity:
    """What a sound is, and the measures of the window that is most like speech.

    Attributes:
        kind: ``silence``, ``no speech`` (music, noise, hum) or ``speech``.
        level_db: loudest 20 ms of the whole, dB relative to full scale.
        share: share of the audible windows (3 s) that are speech.
        change, steadiness, range_db: see `LEAST_CHANGE`, `MOST_STEADY`, `LEAST_RANGE_DB`; NaN where nothing is audible.
    """

    kind: SoundKind
    level_db: float
    share: float
    change: float
    steadiness: float
    range_db: float


def activity(waveform: NDArray[np.floating], *, silence_db: float) -> Activity:
    """Say what a waveform (N,) at 16 kHz is; singing and babble are speech, for they come from mouths.

    Args:
        silence_db: level of the loudest 20 ms, dB relative to full scale, below which a sound is silence.

    Raises:
        ValueError: not one-dimensional, or not finite.
    """
    if waveform.ndim != 1 or not np.isfinite(waveform).all():
        raise ValueError(f"waveform: got shape {waveform.shape}, needs (N,) of finite values")
    level = level_db(waveform)
    if level < silence_db:
        return Activity("silence", level, 0.0, *(3 * [float("nan")]))
    size, hop = int(_WINDOW_S * SAMPLE_RATE), int(_HOP_S * SAMPLE_RATE)
    starts = range(0, max(len(waveform) - size, 0) + hop, hop)
    windows = [waveform[max(0, min(start, len(waveform) - size)) :][:size] for start in starts]
    # Stretches of 20 ms lie otherwise in a window than in the whole, whose loudest one may be in none.
    audible = [one for one in windows if level_db(one) >= silence_db] or [max(windows, key=level_db)]
    measured = [_measures(one) for one in audible]
    spoken = [_is_speech(*one) for one in measured]
    share = float(np.mean(spoken))
    typical = max(zip(spoken, measured, strict=True), key=lambda one: (one[0], one[1][0]))[1]
    return Activity("speech" if share >= LEAST_SHARE else "no speech", level, share, *typical)


def _is_speech(change: float, steadiness: float, range_db: float) -> bool:
    return change >= LEAST_CHANGE and steadiness <= MOST_STEADY and range_db >= LEAST_RANGE_DB


def _levels(waveform: NDArray[np.floating], seconds: float) -> NDArray[np.float64]:
    """Level in dB of each whole stretch of so many seconds."""
    size = int(seconds * SAMPLE_RATE)
    stretches = np.asarray(waveform[: len(waveform) // size * size], dtype=np.float64).reshape(-1, size)
    return np.asarray(10 * np.log10((stretches**2).mean(axis=1) + 1e-12))


def _measures(waveform: NDArray[np.floating]) -> tuple[float, float, float]:
    """Change, steadiness and range in dB of one window; a window too short for them changes nothing."""
    levels = _levels(waveform, 0.01)
    if len(waveform) < _FRAME + (_LAG + 1) * _STEP:
        return 0.0, 1.0, 0.0
    range_db = float(np.subtract(*np.percentile(levels, [95, 10])))
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(waveform, np.float64), _FRAME)[::_STEP]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(_FRAME), axis=1))[:, _BINS]
    power = (spectra**2).sum(axis=1)
    sounds = power > np.percentile(power, 90) * _PAUSE
    both = sounds[_LAG:] & sounds[:-_LAG]
    floor = _FLOOR * spectra.max()
    if not both.any() or floor <= 0:
        return 0.0, 1.0, range_db

    bands = np.log(spectra.reshape(len(spectra), -1, _BAND).mean(axis=2) + floor)
    shape = bands - bands.mean(axis=1, keepdims=True)
    change = np.abs(shape[_LAG:] - shape[:-_LAG]).mean(axis=1)[both].mean()

    logs = np.log(spectra + floor)
    around = np.cumsum(np.pad(logs, ((0, 0), (8, 7)), mode="edge"), axis=1)
    fine = logs - (around[:, 15:] - around[:, :-15]) / 15
    fine /= np.linalg.norm(fine, axis=1, keepdims=True) + 1e-9
    steadiness = (fine[_LAG:] * fine[:-_LAG]).sum(axis=1)[both].mean()
    return float(change), float(steadiness), range_db
