"""The clips of a split, read from the manifest and the shards' HDF5 files; kept in memory if they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd

from occlufacediff.datasets.clips import LEAST_KNOWN, Clip, Float, cut, fit_rows, known_runs, normalised_waveform
from occlufacediff.datasets.splits import ALSO_VALIDATION
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.speech.feature_columns import padding_row

if TYPE_CHECKING:
    from occlufacediff.speech.phones import Phones

LANDMARKS = 468
#: What `ClipStore` reads for each audio encoder of the denoiser.
AUDIO_OF_ENCODER = {"log_mel": "log_mel", "speech": "speech", "wav2vec2": "waveform"}


class ClipStore:
    """The usable clips of a split.

    Args:
        manifest: the manifest; rows of the split with ``status`` ``ok`` are taken, in its order.
        split: ``train``, ``validation`` or ``test``.
        coefficients: shards of coefficients, `<subject>.h5`.
        head: the head model that the coefficients must belong to; None: any.
        clips: shards of the clip store; None: landmarks are not read.
        audio: shards of audio; None: audio is not read.
        audio_as: ``log_mel``, ``speech`` (speech features) or ``waveform``.
        memory_mib: all clips are kept in memory if they fit into this many MiB.
        known_only: make a clip of each run of known frames and leave all other frames out.

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
        audio_as: str = "log_mel",
        memory_mib: int = 0,
        known_only: bool = False,
    ) -> None:
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        needed = {"subject", "clip", "split", "status"}
        if not needed <= set(table.columns):
            raise AssetError(f"{manifest}: columns {sorted(needed - set(table.columns))} are missing; rebuild it")
        chosen = table["split"] == split
        if split == "validation" and ALSO_VALIDATION in table.columns:
            chosen |= table[ALSO_VALIDATION] == "yes"
        table = table[chosen & (table["status"] == "ok")]
        if table.empty:
            raise AssetError(f"{manifest}: no usable clip in the {split} split; see its column reason")
        self.manifest = Path(manifest)
        self.split = split
        self.audio_as = audio_as
        self.rows: list[tuple[str, str]] = list(zip(table["subject"], table["clip"], strict=True))
        # Manifests of generated clips list no sentences.
        sentences = table["sentence_id"] if "sentence_id" in table.columns else [""] * len(table)
        self._sentences = dict(zip(self.rows, sentences, strict=True))
        given = {"coefficients": coefficients, "clips": clips, "audio": audio}
        self._files = {kind: self._of_subjects(kind, files) for kind, files in given.items() if files is not None}
        if head is not None:
            for path in self._files["coefficients"].values():
                require_head(path, dict(_open(path).attrs), head, "fit the coefficients again with this head model")
        self._runs: list[slice | None] = [None] * len(self.rows)
        if known_only:
            self._keep_known()
        self._phones: dict[tuple[str, str], Phones] = {}
        self._cache: dict[int, Clip] = {}
        first = self._read(0)
        if first.nbytes * len(self.rows) <= memory_mib * 2**20:
            self._cache = {index: self._read(index) for index in range(len(self.rows))}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Clip:
        return self._cache[index] if index in self._cache else self._read(index)

    def frames_of(self, index: int) -> int:
        """Number of frames of a clip, read without its arrays."""
        run = self._runs[index]
        return len(self._group("coefficients", index)["exp"]) if run is None else run.stop - run.start

    def clip_id(self, index: int) -> str:
        """`<subject>/<clip>`."""
        return "/".join(self.rows[index])

    def clip_sentences(self) -> dict[str, str]:
        """Sentence identity of each clip by its id; empty where the manifest has none."""
        return {"/".join(row): self._sentences[row] for row in self.rows}

    def digest(self) -> str:
        """Digest of the split's rows and of the files of its subjects.

        Coefficients are hashed. Clips and audio may be 100 GB: of these, sizes and times are hashed. Folders are not
        part of the digest, so data that were moved, or copied with their times, keep it.
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
        """Files of the split's subjects, by the subject's name, which is the file's stem."""
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
        """Replace each clip by its runs of known frames."""
        rows: list[tuple[str, str]] = []
        runs: list[slice | None] = []
        for index, row in enumerate(self.rows):
            with_visibility = "visibility" in _open(self._files["coefficients"][row[0]]).attrs
            known = self._group("coefficients", index)["known_frames"][()] != 0 if with_visibility else np.ones(0, bool)
            found: list[slice | None] = [None] if known.all() else [*known_runs(known)]
            rows += [row] * len(found)
            runs += found
        if not rows:
            raise AssetError(
                f"{self.manifest}: no clip of the {self.split} split has {LEAST_KNOWN} consecutive frames whose motion "
                "is known; see the manifest's column clips_frames_unknown, and visibility in the configuration"
            )
        self.rows, self._runs = rows, runs

    def _group(self, kind: str, index: int) -> h5py.Group:
        subject, clip = self.rows[index]
        path = self._files[kind][subject]
        file = _open(path)
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
            if self.audio_as == "waveform":
                wave = fit_rows(group["waveform"][()].astype(np.float32), SAMPLES_PER_FRAME * frames, 0.0)
                values["waveform"] = normalised_waveform(wave)
            else:
                mel = (
                    self._speech_features(group, self.rows[index])
                    if self.audio_as == "speech"
                    else group["log_mel"][()].astype(np.float32)
                )
                values["log_mel"] = fit_rows(mel, MEL_ROWS_PER_FRAME * frames, padding_row(mel))
        clip, run = Clip(**values), self._runs[index]
        return clip if run is None else cut(clip, run)

    def _speech_features(self, group: h5py.Group, row: tuple[str, str]) -> Float:
        """Speech features (4 T, 60) of a clip: stored with it, or computed from its audio.

        Only recognition is slow, so the phones are kept: 1 kB for a clip, while its features take 100 kB.
        """
        if "speech" in group:
            return np.asarray(group["speech"][()], np.float32)
        # Machines that train from stored features need no phone recogniser.
        from occlufacediff.speech.features import speech_features
        from occlufacediff.speech.recognition import recognise_phones

        waveform = group["waveform"][()].astype(np.float32)
        if row not in self._phones:
            self._phones[row] = recognise_phones(waveform)
        return speech_features(waveform, group["log_mel"][()].astype(np.float32), self._phones[row])


def _open(path: Path) -> h5py.File:
    return _opened(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _opened(path: Path, stamp: int) -> h5py.File:
    """An open file, kept for later reads; ``stamp`` distinguishes a replaced file from the old one."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise AssetError(f"{path}: not a readable HDF5 file ({error}); delete it and run its stage again") from error
