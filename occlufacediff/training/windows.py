"""Batches of random windows, augmented and masked; each batch is a function of seed and step alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.training import AugmentSettings
from occlufacediff.datasets.clips import Clips, Float, parts_of
from occlufacediff.errors import ConfigError
from occlufacediff.face_mesh import IBUG_68
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME
from occlufacediff.occlusion.random_masks import training_mask
from occlufacediff.occlusion.regions import missing_to_nan
from occlufacediff.training.augmentation import augment_audio, augment_landmarks
from occlufacediff.training.drawing import RandomOrder, WindowDrawing
from occlufacediff.training.resampling import WINDOW, is_cut, resample, window_of

Batch = dict[str, Tensor]


class WindowDataset(Dataset[dict[str, Float]]):
    """Endless random windows; item i is a function of the seed and i alone.

    The order of the clips is drawn again in each round. Augmentation and masks are drawn separately for each item.

    Args:
        store: the clips.
        seed: of the training.
        augment: random changes; None: windows at random starts without changes.
        masks: odds of the random masks; None: no ``lmk_mask``.
        tempo: motion and audio are played faster or slower by up to this fraction; used without ``drawing``.
        length: frames of a window.
        drawing: chooses each item's clip and start; None: `RandomOrder`.
    """

    def __init__(
        self,
        store: Clips,
        *,
        seed: int,
        augment: AugmentSettings | None = None,
        masks: MaskSettings | None = None,
        tempo: float = 0.0,
        length: int = WINDOW,
        drawing: WindowDrawing | None = None,
    ) -> None:
        self.store = store
        self.seed = seed
        self.augment = augment
        self.masks = masks
        self.length = length
        self.drawing = drawing or RandomOrder(seed, tempo)

    def __getitem__(self, index: int) -> dict[str, Float]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Float]]:
        """The items of a batch; their clips are read together."""
        return [self._sample(window, rng) for window, rng in self.cut_out(indices)]

    def cut_out(self, indices: Sequence[int]) -> list[tuple[dict[str, Float], np.random.Generator]]:
        """The windows of a batch as they are stored, each with its item's generator for further draws."""
        places: list[tuple[int, slice | None]] = []
        cuts, generators = [], []
        for index in indices:
            rng = np.random.default_rng([self.seed, index])
            number = self.drawing.clip_of(index, len(self.store))
            frames = self.store.frames_of(number)
            start, tempo = self.drawing.start_of(frames, self.length, rng)
            # A window of whole frames is read alone; another one is made from its clip.
            alone = is_cut(start, tempo, self.length, frames)
            places.append((number, slice(int(start), int(start) + self.length) if alone else None))
            cuts.append((0.0 if alone else start, tempo))
            generators.append(rng)
        clips = parts_of(self.store, places)
        windows = (window_of(clip, *cut, self.length) for clip, cut in zip(clips, cuts, strict=True))
        return list(zip(windows, generators, strict=True))

    def _sample(self, sample: dict[str, Float], rng: np.random.Generator) -> dict[str, Float]:
        """An item: its window, augmented and masked."""
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
                given = (finite[..., 0] & finite[..., 1]).any(axis=0)
                points = sample["lmk_2d"]
                if not given.all() and given[list(IBUG_68)].all():
                    points = missing_to_nan(points, given[None])
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
    """Item numbers of the batches ``first`` to ``last`` (excluded); those of a batch are always the same.

    Of several processes, process ``share[0]`` of ``share[1]`` gets an equal, consecutive part of each batch.
    """

    def __init__(self, first: int, last: int, size: int, share: tuple[int, int]) -> None:
        self.first, self.last, self.size = first, last, size
        process, processes = share
        if size % processes:
            raise ConfigError(
                f"loop.batch_size: got {size}, needs a multiple of the number of processes, which is {processes}"
            )
        self.part = range(process * size // processes, (process + 1) * size // processes)

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield [step * self.size + place for place in self.part]

    def __len__(self) -> int:
        return max(self.last - self.first, 0)


def collate(samples: list[dict[str, Float]]) -> Batch:
    """Stack samples to float32 tensors with a leading batch axis."""
    return {
        key: torch.from_numpy(np.stack([sample[key] for sample in samples]).astype(np.float32, copy=False))
        for key in samples[0]
    }


def batches(
    dataset: Dataset[dict[str, Float]],
    *,
    first: int,
    last: int,
    size: int,
    workers: int,
    share: tuple[int, int] = (0, 1),
    pin_memory: bool = False,
) -> Iterable[Batch]:
    """Batches of ``size`` windows from number ``first`` up to ``last`` (excluded); equal for any number of workers.

    Args:
        dataset: the windows; batch m has the items m * size to (m + 1) * size - 1.
        first: number of the first batch.
        last: number after the last batch.
        size: windows of a batch, over all processes.
        workers: loader processes; 0: load in this process.
        share: number of this process and number of processes; each gets an equal part of every batch.
        pin_memory: give tensors in page-locked memory, which a GPU copies faster.

    Raises:
        ConfigError: ``size`` is not a multiple of the number of processes.
    """
    return DataLoader(
        dataset,
        batch_sampler=_Steps(first, last, size, share),
        pin_memory=pin_memory,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
    )


def fixed_windows(store: Clips, count: int, masks: MaskSettings | None, seed: int) -> Batch:
    """At most ``count`` windows for validation, always the same: masked, not augmented."""
    dataset = WindowDataset(store, seed=seed, masks=masks)
    return collate(dataset.__getitems__(range(min(count, 4 * len(store)))))
