"""Random windows of clips, their augmentation, and batches that depend on the seed and the step alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.training import AugmentSettings
from occlufacediff.datasets.clips import Clip, ClipStore
from occlufacediff.face_mesh import IBUG_68
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.occlusion.random_masks import training_mask
from occlufacediff.occlusion.regions import missing_to_nan
from occlufacediff.speech.feature_columns import N_BANDS, N_FEATURES, padding_row

Float = NDArray[np.float32]
Batch = dict[str, Tensor]

WINDOW = 64
#: Half a crop in pixels: noise in pixels over this is noise in crop coordinates.
HALF_CROP = 112.0
#: More than this of a landmark between two frames: visible in both.
VISIBLE = 0.999


def resample(values: Float, positions: Float) -> Float:
    """Rows of ``values`` (T, ...) at fractional positions (N,), linear between rows, the ends held."""
    positions = np.clip(positions, 0, len(values) - 1)
    low = np.minimum(positions.astype(np.int64), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    part = (positions - low).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    start = values[low]
    return start + part * (values[high] - start)


def window_of(clip: Clip, start: float, tempo: float) -> dict[str, Float]:
    """A window of 64 frames from ``start``, played ``tempo`` times as fast (a waveform is then that much higher, too).

    A clip that ends before the window does holds its last frame, with silence for sound (`padding_row`).
    """
    if tempo == 1 and float(start).is_integer() and 0 <= start <= len(clip) - WINDOW:
        return _cut(clip, int(start))
    frames = start + tempo * np.arange(WINDOW)
    result = {key: resample(getattr(clip, key), frames) for key in ("exp", "jaw", "global_pose", "cam")}
    result["shape"] = clip.shape
    if clip.lmk_2d is not None:
        result["lmk_2d"] = resample(clip.lmk_2d, frames)
        if clip.lmk_visible is not None:
            # In between two frames a landmark is visible where it is in both.
            result["lmk_visible"] = (resample(clip.lmk_visible.astype(np.float32), frames) > VISIBLE).astype(np.float32)
    if clip.log_mel is not None:
        rows = MEL_ROWS_PER_FRAME * start + tempo * np.arange(MEL_ROWS_PER_FRAME * WINDOW)
        mel = resample(clip.log_mel, rows)
        mel[rows > len(clip.log_mel) - 1] = padding_row(clip.log_mel)
        result["log_mel"] = mel
    if clip.waveform is not None:
        places = SAMPLES_PER_FRAME * start + tempo * np.arange(SAMPLES_PER_FRAME * WINDOW)
        wave = resample(clip.waveform, places)
        wave[places > len(clip.waveform) - 1] = 0
        result["waveform"] = wave
    return result


def _cut(clip: Clip, start: int) -> dict[str, Float]:
    """The window of 64 frames from a whole frame on, as views of a clip that holds all of it."""
    result = {key: getattr(clip, key)[start : start + WINDOW] for key in ("exp", "jaw", "global_pose", "cam")}
    result["shape"] = clip.shape
    if clip.lmk_2d is not None:
        result["lmk_2d"] = clip.lmk_2d[start : start + WINDOW]
        if clip.lmk_visible is not None:
            result["lmk_visible"] = clip.lmk_visible[start : start + WINDOW].astype(np.float32)
    for key, rate in (("log_mel", MEL_ROWS_PER_FRAME), ("waveform", SAMPLES_PER_FRAME)):
        sound = getattr(clip, key)
        if sound is not None:
            result[key] = sound[rate * start : rate * (start + WINDOW)]
    return result


def slow_curve(rng: np.random.Generator, channels: int, knots: int = 22) -> Float:
    """Smooth random curves (64, channels) of about unit spread; with 22 knots they change as fast as speech does."""
    values = rng.standard_normal((knots, channels)).astype(np.float32)
    return resample(values, np.linspace(0, knots - 1, WINDOW, dtype=np.float32)) * 1.2


def augment_landmarks(lmk_2d: Float, rng: np.random.Generator, settings: AugmentSettings) -> Float:
    """Turn, scale and shift (64, N, 2) landmarks as a whole, drifting within the window, and add noise."""
    angle = np.radians(settings.rotation) * rng.standard_normal()
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    drift = slow_curve(rng, 3)
    scale = 1 + settings.scale * rng.standard_normal() + settings.scale_drift * drift[:, :1]
    shift = settings.shift * rng.standard_normal(2) + settings.shift_drift * drift[:, 1:]
    noise = settings.noise_px / HALF_CROP
    moved = (lmk_2d @ turn) * scale[:, None].astype(np.float32) + shift[:, None].astype(np.float32)
    moved += noise * rng.standard_normal(moved.shape, dtype=np.float32)
    moved += 0.5 * noise * rng.standard_normal((1, *moved.shape[1:]), dtype=np.float32)
    return moved


def augment_sound(sound: Float, rng: np.random.Generator, settings: AugmentSettings) -> Float:
    """`augment_log_mel`, or for spectrum and phones (N, 60) that of the spectrum, and phones not heard for a while."""
    if sound.shape[1] != N_FEATURES:
        return augment_log_mel(sound, rng, settings)
    changed = np.concatenate([augment_log_mel(sound[:, :N_BANDS], rng, settings), sound[:, N_BANDS:]], axis=1)
    if rng.random() < settings.phones_lost:
        length = int(rng.integers(len(sound) // 8, len(sound) + 1))
        start = int(rng.integers(0, len(sound) - length + 1))
        changed[start : start + length, N_BANDS:] = 0
    return changed


def augment_log_mel(log_mel: Float, rng: np.random.Generator, settings: AugmentSettings) -> Float:
    """Another voice, loudness, room and microphone for a log-mel (N, bands) of about unit spread."""
    bands = log_mel.shape[1]
    position = np.arange(bands, dtype=np.float32) * np.float32(1 + settings.voice * rng.uniform(-1, 1))
    mel = resample(np.ascontiguousarray(log_mel.T), position).T
    level = settings.loudness * rng.standard_normal() + settings.slope * rng.standard_normal() * np.linspace(
        -1, 1, bands
    )
    mel = mel + level.astype(np.float32)
    return mel + settings.mel_noise * rng.random(dtype=np.float32) * rng.standard_normal(mel.shape, dtype=np.float32)


class WindowDataset(Dataset[dict[str, Float]]):
    """Endless random windows: item i is a function of the seed and i alone, whatever came before.

    Clips are gone through in a new random order each round. Augmentation and masks are drawn for each item by itself.

    Args:
        store: the clips.
        seed: of the training.
        augment: random changes; None gives plain windows at random starts.
        masks: odds of the random masks; None gives no ``lmk_mask``.
        tempo: motion and sound are played faster and slower by up to this fraction.
    """

    def __init__(
        self,
        store: ClipStore,
        *,
        seed: int,
        augment: AugmentSettings | None = None,
        masks: MaskSettings | None = None,
        tempo: float = 0.0,
    ) -> None:
        self.store = store
        self.seed = seed
        self.augment = augment
        self.masks = masks
        self.tempo = tempo
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def _clip_at(self, index: int) -> int:
        """Number of the clip of an item; the order of a round is drawn once, not for each of its items."""
        turn, place = divmod(index, len(self.store))
        if self._order[0] != turn:
            self._order = turn, np.random.default_rng([self.seed, turn, 1]).permutation(len(self.store))
        return int(self._order[1][place])

    def __getitem__(self, index: int) -> dict[str, Float]:
        rng = np.random.default_rng([self.seed, index])
        clip = self.store[self._clip_at(index)]
        tempo = 1 + self.tempo * rng.uniform(-1, 1) if self.tempo else 1.0
        room = max(len(clip) - WINDOW * tempo, 0)
        start = rng.uniform(0, room) if self.tempo else int(rng.integers(int(room) + 1))
        sample = window_of(clip, start, tempo)
        if "lmk_2d" in sample:
            # A detector with fewer points leaves the others unknown: they count as hidden.
            finite = np.isfinite(sample["lmk_2d"])
            whole = bool(finite.all()) and "lmk_visible" not in sample
            known = finite[..., 0] & finite[..., 1]
            if not whole:
                sample["lmk_2d"] = np.where(known[..., None], sample["lmk_2d"], np.float32(0))
                if "lmk_visible" in sample:
                    known &= sample.pop("lmk_visible") > 0
            target = sample["lmk_2d"]
            sample["lmk_target"] = target if whole else np.where(known[..., None], target, np.float32(np.nan))
            if self.masks is not None:
                # Boxes of regions go by what is there; a clip that lacks main points throughout has its zeros.
                given = finite.all(axis=-1).any(axis=0)
                told = missing_to_nan(sample["lmk_2d"], given[None]) if given[list(IBUG_68)].all() else sample["lmk_2d"]
                sample["lmk_mask"] = training_mask(told, rng, self.masks) * known
        if self.augment is not None:
            if "lmk_2d" in sample:
                sample["lmk_2d"] = augment_landmarks(sample["lmk_2d"], rng, self.augment)
            if "log_mel" in sample:
                mel = sample["log_mel"]
                if self.augment.offset_frames:
                    lag = MEL_ROWS_PER_FRAME * self.augment.offset_frames * rng.uniform(-1, 1)
                    mel = resample(mel, np.arange(len(mel)) + np.float32(lag))
                sample["log_mel"] = augment_sound(mel, rng, self.augment)
        return sample


class _Steps:
    """Batches of item numbers from a step on: step s always asks for the same ones."""

    def __init__(self, first: int, last: int, size: int) -> None:
        self.first, self.last, self.size = first, last, size

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield list(range(step * self.size, (step + 1) * self.size))

    def __len__(self) -> int:
        return max(self.last - self.first, 0)


def collate(samples: list[dict[str, Float]]) -> Batch:
    """Stack samples to float32 tensors with a batch axis in front."""
    return {
        key: torch.from_numpy(np.stack([sample[key] for sample in samples]).astype(np.float32, copy=False))
        for key in samples[0]
    }


def batches(dataset: WindowDataset, *, first: int, last: int, size: int, workers: int) -> Iterable[Batch]:
    """Batches of the steps ``first`` up to ``last``; equal for any number of workers."""
    return DataLoader(
        dataset,
        batch_sampler=_Steps(first, last, size),
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
    )


def fixed_windows(store: ClipStore, count: int, masks: MaskSettings | None, seed: int) -> Batch:
    """Windows for validation, always the same: plain, at most ``count``, with masks of their own."""
    dataset = WindowDataset(store, seed=seed, masks=masks)
    return collate([dataset[index] for index in range(min(count, 4 * len(store)))])
