"""A clip as training, evaluation and prediction use it: coefficients, landmarks and audio at 25 fps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: Shortest run of known frames that is used for training; the shortest clip accepted has as many.
LEAST_KNOWN = 25


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip of T frames at 25 fps; shapes as in docs/architecture.md.

    Attributes:
        exp: (T, E).
        jaw: (T, 3) axis-angle radians.
        global_pose: (T, 3) axis-angle radians.
        cam: (T, 3) ``[s, tx, ty]``.
        shape: (S,).
        lmk_2d: (T, 468, 2) crop coordinates, or None.
        log_mel: (4 T, 80), or speech features (4 T, 60), or None.
        waveform: (640 T,) 16 kHz, zero mean and unit variance over the clip, or None.
        lmk_visible: (T, 468) True where the recording itself shows the landmark; None: it shows all.
        known: (T,) True in frames whose expression and jaw are known from the recording; None: in all frames.
    """

    exp: Float
    jaw: Float
    global_pose: Float
    cam: Float
    shape: Float
    lmk_2d: Float | None = None
    log_mel: Float | None = None
    waveform: Float | None = None
    lmk_visible: Bool | None = None
    known: Bool | None = None

    def __len__(self) -> int:
        return len(self.exp)

    @property
    def motion(self) -> Float:
        """[exp, jaw] (T, E + 3)."""
        return np.concatenate([self.exp, self.jaw], axis=1)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        values = (getattr(self, item.name) for item in fields(self))
        return sum(value.nbytes for value in values if value is not None)


class Readable(Protocol):
    """Clips by number. It may have a method ``parts``, see `parts_of`."""

    def __getitem__(self, index: int) -> Clip: ...


class Clips(Protocol):
    """The usable clips of a split."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...

    def frames_of(self, index: int) -> int:
        """Number of frames of a clip, read without its arrays."""

    def clip_id(self, index: int) -> str:
        """`<subject>/<clip>`."""

    def clip_sentences(self) -> dict[str, str]:
        """Sentence identity of each clip by its id; empty where the manifest has none."""

    def digest(self) -> str:
        """Digest of all that the clips are made from."""


def fit_rows(values: Float, rows: int, fill: float | Float) -> Float:
    """Cut an array to ``rows`` rows, or pad it at the end with ``fill``, a number or a row."""
    if len(values) >= rows:
        return values[:rows]
    rest = np.full((rows - len(values), *values.shape[1:]), fill, values.dtype)
    return np.concatenate([values, rest])


def full_precision(values: NDArray[np.floating]) -> Float:
    """A float16 array as float32; other arrays as they are."""
    if values.dtype != np.float16:
        return values
    import torch  # not all stages that read clips have it

    # Ten times as fast as numpy's conversion. It needs an array that can be written to.
    converted: Float = torch.from_numpy(np.array(values)).float().numpy()
    return converted


def known_runs(known: Bool, least: int = LEAST_KNOWN) -> list[slice]:
    """Runs of at least ``least`` known frames, in order; ``known`` is (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(known, np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]


def cut(clip: Clip, run: slice) -> Clip:
    """The frames ``run`` of a clip, with their audio."""
    parts = {
        item.name: getattr(clip, item.name)[run]
        for item in fields(clip)
        if item.name not in ("shape", "log_mel", "waveform") and getattr(clip, item.name) is not None
    }
    for name, each in (("log_mel", MEL_ROWS_PER_FRAME), ("waveform", SAMPLES_PER_FRAME)):
        values = getattr(clip, name)
        parts[name] = None if values is None else values[each * run.start : each * run.stop]
    return Clip(shape=clip.shape, **parts)


def parts_of(store: Readable, places: Sequence[tuple[int, slice | None]]) -> list[Clip]:
    """Parts of clips, each given as the clip's number and its frames; None: the whole clip.

    A store with a method ``parts`` reads them together, see `datasets.packed.PackedClips`.
    """
    if hasattr(store, "parts"):
        parts: list[Clip] = store.parts(places)
        return parts
    return [store[number] if frames is None else cut(store[number], frames) for number, frames in places]


def normalised_waveform(waveform: Float) -> Float:
    """Normalise as wav2vec2's processor does, over the clip: ``(x - mean) / sqrt(var + 1e-7)``."""
    return ((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)).astype(np.float32)
