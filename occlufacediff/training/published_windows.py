"""Windows of the published recipe: each clip several times an epoch, shuffled, at the clip's own tempo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from occlufacediff.config.published_recipe import PublishedMaskOdds
from occlufacediff.datasets.clips import Clip, Float, fit_rows, full_precision, parts_of
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.face_mesh import IBUG_68
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.models.spec_augment import spec_augment_mask
from occlufacediff.occlusion.published_masks import published_mask
from occlufacediff.occlusion.regions import finite_points, missing_to_nan
from occlufacediff.speech.feature_columns import padding_row


class Clips(Protocol):
    """Clips by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...


@dataclass(frozen=True)
class Drawing:
    """How windows are drawn.

    Attributes:
        seed: of all draws.
        length: frames of a window.
        per_clip: windows of each clip per epoch.
        batch_size: windows per micro-batch; the last, incomplete one of an epoch is dropped.
        skip_last_start: never draw the last possible window of a clip, as published.
        shortest: frames that a clip needs; shorter clips are left out.
    """

    seed: int
    length: int
    per_clip: int
    batch_size: int
    skip_last_start: bool = False
    shortest: int = 1


class PublishedWindows(Dataset[dict[str, Float]]):
    """Endless windows in epochs; item i is a function of the seed and i alone.

    Micro-batch m has the items ``m * batch_size`` and following. An epoch has ``per_clip * clips`` items in random
    order; the k-th of them is a window of clip ``k mod clips``.

    Args:
        store: the clips.
        drawing: how windows are drawn.
        odds: gives the masks' odds of an epoch, counted from 1, and of an item; None: windows have no ``lmk_mask``.
        spec_augment: number and length of the spans that SpecAugment masks; None: windows have no ``audio_masked``.

    Raises:
        AssetError: no clip is long enough.
        ConfigError: an epoch has not enough windows for one micro-batch.
    """

    def __init__(
        self,
        store: Clips,
        drawing: Drawing,
        *,
        odds: Callable[[int, int], PublishedMaskOdds] | None = None,
        spec_augment: tuple[int, int] | None = None,
    ) -> None:
        self.store = store
        self.drawing = drawing
        self.odds = odds
        self.spec_augment = spec_augment
        self.clips: Sequence[int] = [n for n in range(len(store)) if _frames(store, n) >= drawing.shortest]
        if not self.clips:
            raise AssetError(
                f"{len(store)} clips: none has {drawing.shortest} frames, which the published recipe needs; "
                "give longer clips, or set recipe to 'ours'"
            )
        self.epoch_size = drawing.per_clip * len(self.clips) // drawing.batch_size
        if not self.epoch_size:
            raise ConfigError(
                f"loop.batch_size: got {drawing.batch_size}, needs at most {drawing.per_clip * len(self.clips)}: an "
                f"epoch has {drawing.per_clip} windows of each of {len(self.clips)} clips"
            )
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def place(self, index: int) -> tuple[int, int]:
        """Epoch, counted from 1, and number of the clip of an item."""
        micro_batch, row = divmod(index, self.drawing.batch_size)
        epoch, number = divmod(micro_batch, self.epoch_size)
        if self._order[0] != epoch:
            rng = np.random.default_rng([self.drawing.seed, epoch, 1])
            self._order = epoch, rng.permutation(self.drawing.per_clip * len(self.clips))
        item = int(self._order[1][number * self.drawing.batch_size + row])
        return epoch + 1, self.clips[item % len(self.clips)]

    def start(self, frames: int, rng: np.random.Generator) -> int:
        """First frame of a window in a clip of ``frames`` frames, uniform over all that fit."""
        last = frames - self.drawing.length
        if last <= 0:
            return 0
        return int(rng.integers(0, last if self.drawing.skip_last_start else last + 1))

    def __getitem__(self, index: int) -> dict[str, Float]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Float]]:
        """The items of a batch; their clips are read together."""
        places: list[tuple[int, slice | None]] = []
        drawn = []
        for index in indices:
            rng = np.random.default_rng([self.drawing.seed, index])
            epoch, number = self.place(index)
            frames = _frames(self.store, number)
            start = self.start(frames, rng)
            places.append((number, slice(start, min(start + self.drawing.length, frames))))
            drawn.append((index, epoch, rng))
        clips = parts_of(self.store, places)
        return [self._sample(clip, *draw) for clip, draw in zip(clips, drawn, strict=True)]

    def _sample(self, clip: Clip, index: int, epoch: int, rng: np.random.Generator) -> dict[str, Float]:
        """An item, from the part of a clip that its window shows."""
        sample = plain_window(clip, 0, self.drawing.length)
        if "lmk_2d" in sample and self.odds is not None:
            sample["lmk_mask"] = _mask(sample, rng, self.odds(epoch, index))
        if self.spec_augment is not None:
            spans, length = self.spec_augment
            masked = spec_augment_mask(rng, frames=self.drawing.length, spans=spans, length=length)
            sample["audio_masked"] = masked.astype(np.float32)
        return sample


def plain_window(clip: Clip, start: int, length: int) -> dict[str, Float]:
    """The window of ``length`` frames from frame ``start``; after the clip's end, zeros and silence.

    ``lmk_2d`` is NaN where the detector gives no landmark, ``lmk_target`` also where the recording does not show it.
    """
    frames = slice(start, start + length)
    sample = {key: fit_rows(getattr(clip, key)[frames], length, 0.0) for key in ("exp", "jaw", "global_pose", "cam")}
    sample["shape"] = clip.shape
    if clip.lmk_2d is not None:
        found = fit_rows(full_precision(clip.lmk_2d[frames]), length, 0.0)
        known = finite_points(found)
        if clip.lmk_visible is not None:
            known &= fit_rows(clip.lmk_visible[frames].astype(np.float32), length, 0.0) > 0
        sample["lmk_2d"] = found
        sample["lmk_target"] = found if known.all() else np.where(known[..., None], found, np.float32(np.nan))
    for key, rate, row in (
        ("log_mel", MEL_ROWS_PER_FRAME, padding_row),
        ("waveform", SAMPLES_PER_FRAME, lambda _: 0.0),
    ):
        audio = getattr(clip, key)
        if audio is not None:
            window = full_precision(audio[rate * start : rate * (start + length)])
            sample[key] = fit_rows(window, rate * length, row(audio))
    return sample


def _mask(sample: dict[str, Float], rng: np.random.Generator, odds: PublishedMaskOdds) -> Float:
    """Draw the visible landmarks; landmarks that the recording does not show are never visible."""
    known = finite_points(sample["lmk_target"])
    # As in `training.windows`: boxes use the detected points only, unless main points are missing in all frames.
    finite = finite_points(sample["lmk_2d"])
    given = finite.any(axis=0)
    points = sample["lmk_2d"] if finite.all() else np.nan_to_num(sample["lmk_2d"])
    if not given.all() and given[list(IBUG_68)].all():
        points = missing_to_nan(points, given[None])
    return published_mask(points, rng, odds) * known


def _frames(store: Clips, index: int) -> int:
    """Frames of a clip, without reading it where the store knows them."""
    known = getattr(store, "frames_of", None)
    return int(known(index)) if known is not None else len(store[index])
