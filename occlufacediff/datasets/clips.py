"""Clips of a split, read from the manifest and the shards' HDF5 files: in memory, or from disk for each window."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.speech.feature_columns import padding_row

if TYPE_CHECKING:
    from occlufacediff.speech.phones import Phones

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

LANDMARKS = 468
#: Shortest run of known frames that is learnt from: the shortest clip accepted.
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
        log_mel: (4 T, 80), or spectrum and phones (4 T, 60), or None.
        waveform: (640 T,) 16 kHz, zero mean and unit variance over the clip, or None.
        lmk_visible: (T, 468) True where nothing in the recording itself lies over the landmark; None: nothing does.
        known: (T,) frames whose expression and jaw the recording tells; None: all of them.
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


def fit_rows(values: Float, rows: int, fill: float | Float) -> Float:
    """Cut or pad (with ``fill``, a number or a row, at the end) an array to so many rows."""
    if len(values) >= rows:
        return values[:rows]
    rest = np.full((rows - len(values), *values.shape[1:]), fill, values.dtype)
    return np.concatenate([values, rest])


def known_runs(known: Bool, least: int = LEAST_KNOWN) -> list[slice]:
    """Runs of at least so many known frames (T,), in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(known, np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]


def cut(clip: Clip, run: slice) -> Clip:
    """Some frames of a clip with their sound."""
    parts = {
        item.name: getattr(clip, item.name)[run]
        for item in fields(clip)
        if item.name not in ("shape", "log_mel", "waveform") and getattr(clip, item.name) is not None
    }
    for name, each in (("log_mel", MEL_ROWS_PER_FRAME), ("waveform", SAMPLES_PER_FRAME)):
        values = getattr(clip, name)
        parts[name] = None if values is None else values[each * run.start : each * run.stop]
    return Clip(shape=clip.shape, **parts)


def normalised_waveform(waveform: Float) -> Float:
    """Zero mean and unit variance over the clip, as wav2vec2's processor does: ``(x - mean) / sqrt(var + 1e-7)``."""
    return ((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)).astype(np.float32)


#: Sound that `ClipStore` reads, by the denoiser's sound encoder.
SOUND = {"log_mel": "log_mel", "speech": "speech", "wav2vec2": "waveform"}


class ClipStore:
    """The usable clips of a split.

    Args:
        manifest: the manifest; rows of the split with ``status`` ``ok`` are taken, in its order.
        split: ``train``, ``validation`` or ``test``.
        coefficients: shards with coefficients, `<subject>.h5`.
        head: the head model that the coefficients must belong to; None: any.
        clips: shards of the clip store; None reads no landmarks.
        audio: shards with sound; None reads no sound.
        sound: which sound is read, ``log_mel``, ``speech`` (spectrum and phones) or ``waveform``.
        memory_mib: keep all clips in memory when they fit into so many MiB.
        known_only: give each run of frames whose motion the recording tells as a clip of its own, and no other frames.

    Raises:
        AssetError: a file or column is missing, the split is empty, or coefficients belong to another head model.
    """

    def __init__(
        self,
        manifest: Path,
        split: str,
        *,
        coefficients: Sequence[Path],
        head: HeadAsset | None = None,
        clips: Sequence[Path] | None = None,
        audio: Sequence[Path] | None = None,
        sound: str = "log_mel",
        memory_mib: int = 0,
        known_only: bool = False,
    ) -> None:
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        needed = {"subject", "clip", "split", "status"}
        if not needed <= set(table.columns):
            raise AssetError(f"{manifest}: columns {sorted(needed - set(table.columns))} are missing; rebuild it")
        table = table[(table["split"] == split) & (table["status"] == "ok")]
        if table.empty:
            raise AssetError(f"{manifest}: no usable clip in the {split} split; see its column reason")
        self.manifest = Path(manifest)
        self.split = split
        self.sound = sound
        self.rows: list[tuple[str, str]] = list(zip(table["subject"], table["clip"], strict=True))
        # Manifests of generated clips list no sentences.
        sentences = table["sentence_id"] if "sentence_id" in table.columns else [""] * len(table)
        self._sentences = dict(zip(self.rows, sentences, strict=True))
        given = {"coefficients": coefficients, "clips": clips, "audio": audio}
        self._files = {kind: self._of_subjects(kind, files) for kind, files in given.items() if files is not None}
        if head is not None:
            for path in self._files["coefficients"].values():
                stored = dict(_opened(path, path.stat().st_mtime_ns).attrs)
                require_head(path, stored, head, "fit the coefficients again with this head model")
        self._runs: list[slice | None] = [None] * len(self.rows)
        if known_only:
            self._keep_known()
        self._heard: dict[tuple[str, str], Phones] = {}
        self._cache: dict[int, Clip] = {}
        first = self._read(0)
        if first.nbytes * len(self.rows) <= memory_mib * 2**20:
            self._cache = {index: self._read(index) for index in range(len(self.rows))}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Clip:
        return self._cache[index] if index in self._cache else self._read(index)

    def clip_id(self, index: int) -> str:
        """`<subject>/<clip>`."""
        return "/".join(self.rows[index])

    def clip_sentences(self) -> dict[str, str]:
        """Sentence identity of each clip by its id; empty where the manifest has none."""
        return {"/".join(row): self._sentences[row] for row in self.rows}

    def digest(self) -> str:
        """Changes when the split's rows or files of its subjects change.

        Of clips and sound, some 100 GB, sizes and times have to do. No folder is part of it: data that were moved, or
        copied with their times, are the same.
        """
        contents = [("coefficients", path.name, sha256(path)) for path in self._files["coefficients"].values()]
        stamps = [
            (kind, path.name, path.stat().st_size, path.stat().st_mtime_ns)
            for kind, paths in self._files.items()
            if kind != "coefficients"
            for path in paths.values()
        ]
        of = (self.rows, sorted(contents), sorted(stamps), self._runs)
        return hashlib.sha256(repr(of).encode()).hexdigest()[:16]

    def _of_subjects(self, kind: str, files: Sequence[Path]) -> dict[str, Path]:
        """Files of the split's subjects, whose names are their stems."""
        paths = {Path(file).stem: Path(file) for file in files}
        found = {}
        for subject in dict.fromkeys(subject for subject, _ in self.rows):
            if subject not in paths:
                raise AssetError(f"{kind}: no file of subject {subject}, which {self.manifest} lists in {self.split}")
            if not paths[subject].is_file():
                raise AssetError(f"{kind}: {paths[subject]} does not exist; run the stage that makes it first")
            found[subject] = paths[subject]
        return found

    def _keep_known(self) -> None:
        """Put in place of each clip its runs of known frames."""
        rows: list[tuple[str, str]] = []
        runs: list[slice | None] = []
        for index, row in enumerate(self.rows):
            path = self._files["coefficients"][row[0]]
            told = "visibility" in _opened(path, path.stat().st_mtime_ns).attrs
            known = self._group("coefficients", index)["known_frames"][()] != 0 if told else np.ones(0, bool)
            found: list[slice | None] = [None] if known.all() else [*known_runs(known)]
            rows += [row] * len(found)
            runs += found
        if not rows:
            raise AssetError(
                f"{self.manifest}: in no clip of the {self.split} split are {LEAST_KNOWN} frames on end visible enough "
                "to learn from; see the manifest's column clips_frames_unknown, and visibility in the configuration"
            )
        self.rows, self._runs = rows, runs

    def _group(self, kind: str, index: int) -> h5py.Group:
        subject, clip = self.rows[index]
        path = self._files[kind][subject]
        file = _opened(path, path.stat().st_mtime_ns)
        if clip not in file:
            raise AssetError(f"{path}: clip {clip} is missing, which {self.manifest} lists as usable; rebuild the file")
        return file[clip]

    def _read(self, index: int) -> Clip:
        group = self._group("coefficients", index)
        values = {key: group[key][()].astype(np.float32) for key in ("exp", "jaw", "global_pose", "cam", "shape")}
        frames = len(values["exp"])
        if "clips" in self._files:
            lmk = self._group("clips", index)["landmarks"][:, :LANDMARKS].astype(np.float32)
            if len(lmk) != frames:
                raise AssetError(
                    f"{self.clip_id(index)}: {len(lmk)} frames of landmarks, {frames} of coefficients; fit it again"
                )
            values["lmk_2d"] = lmk
            if "lmk_visible" in self._group("clips", index):
                values["lmk_visible"] = self._group("clips", index)["lmk_visible"][:, :LANDMARKS] != 0
        if "known_frames" in group:
            values["known"] = group["known_frames"][()] != 0
        if "audio" in self._files:
            group = self._group("audio", index)
            if self.sound != "waveform":
                mel = (
                    self._features(group, self.rows[index])
                    if self.sound == "speech"
                    else group["log_mel"][()].astype(np.float32)
                )
                values["log_mel"] = fit_rows(mel, MEL_ROWS_PER_FRAME * frames, padding_row(mel))
            else:
                wave = fit_rows(group["waveform"][()].astype(np.float32), SAMPLES_PER_FRAME * frames, 0.0)
                values["waveform"] = normalised_waveform(wave)
        clip, run = Clip(**values), self._runs[index]
        return clip if run is None else cut(clip, run)

    def _features(self, group: h5py.Group, row: tuple[str, str]) -> Float:
        """Spectrum and phones (4 T, 60) of a clip: as they were drawn with it, or heard once.

        Only hearing is slow, so phones are kept: 1 kB a clip, where their columns would take 100.
        """
        if "speech" in group:
            return np.asarray(group["speech"][()], np.float32)
        # The recogniser is not everywhere where networks are trained.
        from occlufacediff.speech.features import speech_features
        from occlufacediff.speech.recognition import recognise_phones

        waveform = group["waveform"][()].astype(np.float32)
        if row not in self._heard:
            self._heard[row] = recognise_phones(waveform)
        return speech_features(waveform, group["log_mel"][()].astype(np.float32), self._heard[row])


@lru_cache(maxsize=16)
def _opened(path: Path, stamp: int) -> h5py.File:
    """An open file, kept for the windows that follow; ``stamp`` tells a replaced file from the old one."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise AssetError(f"{path}: not a readable HDF5 file ({error}); delete it and run its stage again") from error
