"""Batches of random windows, augmented and masked; each batch is a function of seed and step alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.training import AugmentSettings
from occlufacediff.datasets.clips import Float
from occlufacediff.datasets.store import ClipStore
from occlufacediff.face_mesh import IBUG_68
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME
from occlufacediff.occlusion.random_masks import training_mask
from occlufacediff.occlusion.regions import missing_to_nan
from occlufacediff.training.augmentation import augment_audio, augment_landmarks
from occlufacediff.training.resampling import WINDOW, resample, window_of

Batch = dict[str, Tensor]


class WindowDataset(Dataset[dict[str, Float]]):
    """Endless random windows; item i is a function of the seed and i alone.

    The order of the clips is drawn again in each round. Augmentation and masks are drawn separately for each item.

    Args:
        store: the clips.
        seed: of the training.
        augment: random changes; None: windows at random starts without changes.
        masks: odds of the random masks; None: no ``lmk_mask``.
        tempo: motion and audio are played faster or slower by up to this fraction.
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
        """Number of the clip of an item; the order of a round is cached."""
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
            # A detector with fewer points leaves the others unknown (NaN): they count as occluded.
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
                # Region boxes use the detected points only, unless the clip lacks main points in all frames.
                given = finite.all(axis=-1).any(axis=0)
                points = (
                    missing_to_nan(sample["lmk_2d"], given[None]) if given[list(IBUG_68)].all() else sample["lmk_2d"]
                )
                sample["lmk_mask"] = training_mask(points, rng, self.masks) * known
        if self.augment is not None:
            if "lmk_2d" in sample:
                sample["lmk_2d"] = augment_landmarks(sample["lmk_2d"], rng, self.augment)
            if "log_mel" in sample:
                mel = sample["log_mel"]
                if self.augment.offset_frames:
                    lag = MEL_ROWS_PER_FRAME * self.augment.offset_frames * rng.uniform(-1, 1)
                    mel = resample(mel, np.arange(len(mel)) + np.float32(lag))
                sample["log_mel"] = augment_audio(mel, rng, self.augment)
        return sample


class _Steps:
    """Batches of item numbers for a range of steps; those of a step are always the same."""

    def __init__(self, first: int, last: int, size: int) -> None:
        self.first, self.last, self.size = first, last, size

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield list(range(step * self.size, (step + 1) * self.size))

    def __len__(self) -> int:
        return max(self.last - self.first, 0)


def collate(samples: list[dict[str, Float]]) -> Batch:
    """Stack samples to float32 tensors with a leading batch axis."""
    return {
        key: torch.from_numpy(np.stack([sample[key] for sample in samples]).astype(np.float32, copy=False))
        for key in samples[0]
    }


def batches(dataset: WindowDataset, *, first: int, last: int, size: int, workers: int) -> Iterable[Batch]:
    """Batches of the steps from ``first`` up to ``last`` (excluded); equal for any number of workers."""
    return DataLoader(
        dataset,
        batch_sampler=_Steps(first, last, size),
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
    )


def fixed_windows(store: ClipStore, count: int, masks: MaskSettings | None, seed: int) -> Batch:
    """At most ``count`` windows for validation, always the same: masked, not augmented."""
    dataset = WindowDataset(store, seed=seed, masks=masks)
    return collate([dataset[index] for index in range(min(count, 4 * len(store)))])
