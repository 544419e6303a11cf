"""Augmentation of a training window's inputs: landmarks and audio features."""

from __future__ import annotations

import numpy as np

from occlufacediff.config.training import AugmentSettings
from occlufacediff.datasets.clips import Float
from occlufacediff.speech.feature_columns import N_BANDS, N_FEATURES
from occlufacediff.training.resampling import WINDOW, resample

#: Half a crop in pixels: noise in pixels divided by this is noise in crop coordinates.
HALF_CROP = 112.0


def slow_curve(rng: np.random.Generator, channels: int, knots: int = 22, length: int = WINDOW) -> Float:
    """Smooth random curves (length, channels) of about unit spread; 22 knots in 64 frames have the pace of speech."""
    values = rng.standard_normal((knots, channels)).astype(np.float32)
    return resample(values, np.linspace(0, knots - 1, length, dtype=np.float32)) * 1.2


def augment_landmarks(lmk_2d: Float, rng: np.random.Generator, settings: AugmentSettings) -> Float:
    """Rotate, scale and shift (T, N, 2) landmarks together, with drift in the window, and add noise."""
    angle = np.radians(settings.rotation) * rng.standard_normal()
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    drift = slow_curve(rng, 3, length=len(lmk_2d))
    scale = 1 + settings.scale * rng.standard_normal() + settings.scale_drift * drift[:, :1]
    shift = settings.shift * rng.standard_normal(2) + settings.shift_drift * drift[:, 1:]
    noise = settings.noise_px / HALF_CROP
    moved = (lmk_2d @ turn) * scale[:, None].astype(np.float32)
    for axis in (0, 1):
        moved[..., axis] += shift[:, axis : axis + 1].astype(np.float32)
    moved += noise * rng.standard_normal(moved.shape, dtype=np.float32)
    moved += 0.5 * noise * rng.standard_normal((1, *moved.shape[1:]), dtype=np.float32)
    return moved


def augment_audio(audio: Float, rng: np.random.Generator, settings: AugmentSettings) -> Float:
    """Augment a log-mel, or the bands of speech features (N, 60), whose phones are also lost for a while."""
    if audio.shape[1] != N_FEATURES:
        return augment_log_mel(audio, rng, settings)
    changed = np.concatenate([augment_log_mel(audio[:, :N_BANDS], rng, settings), audio[:, N_BANDS:]], axis=1)
    if rng.random() < settings.phones_lost:
        length = int(rng.integers(len(audio) // 8, len(audio) + 1))
        start = int(rng.integers(0, len(audio) - length + 1))
        changed[start : start + length, N_BANDS:] = 0
    return changed


def augment_log_mel(log_mel: Float, rng: np.random.Generator, settings: AugmentSettings) -> Float:
    """Simulate another voice, loudness, room and microphone on a log-mel (N, bands) of about unit spread."""
    bands = log_mel.shape[1]
    position = np.arange(bands, dtype=np.float32) * np.float32(1 + settings.voice * rng.uniform(-1, 1))
    mel = resample(np.ascontiguousarray(log_mel.T), position).T
    level = settings.loudness * rng.standard_normal() + settings.slope * rng.standard_normal() * np.linspace(
        -1, 1, bands
    )
    mel = mel + level.astype(np.float32)
    return mel + settings.mel_noise * rng.random(dtype=np.float32) * rng.standard_normal(mel.shape, dtype=np.float32)
