"""The clips of a split, read from the manifest and the shards' HDF5 files: whole clips, for evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from occlufacediff.datasets.clips import Clip, Float
from occlufacediff.datasets.manifest_rows import SplitRows, clip_id
from occlufacediff.datasets.shard_values import audio_values, face_values, open_shard
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.speech.phones import Phones, read_phones


class ClipStore:
    """The usable clips of a split, each read from its subject's files when it is asked for.

    Trainings read `datasets.packed.PackedClips` instead.

    Args:
        manifest: the manifest; rows of the split with ``status`` ``ok`` are taken, in its order.
        split: ``train``, ``validation`` or ``test``.
        coefficients: shards of coefficients, `<subject>.h5`.
        head: the head model that the coefficients must belong to; None: any.
        clips: shards of the clip store; None: landmarks are not read.
        audio: shards of audio; None: audio is not read.
        audio_as: ``log_mel``, ``speech`` (speech features) or ``waveform``; None: clips have no audio, see `audio_of`.
        phones: shards of recognised phones, for speech features that are not stored with the audio.
        rows: clips to read instead of the whole split.

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
        audio_as: str | None = "log_mel",
        phones: Sequence[Path] | None = None,
        rows: SplitRows | None = None,
    ) -> None:
        self._split = SplitRows.read(manifest, split) if rows is None else rows
        self.audio_as = audio_as
        given = {"coefficients": coefficients, "clips": clips, "audio": audio, "phones": phones}
        self._files = {kind: self._split.files(kind, files) for kind, files in given.items() if files is not None}
        if head is not None:
            for path in self._files["coefficients"].values():
                require_head(path, dict(_open(path).attrs), head, "fit the coefficients again with this head model")

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Subject and clip of each clip."""
        return self._split.rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Clip:
        landmarks = self._group("clips", index) if "clips" in self._files else None
        values = face_values(self._group("coefficients", index), landmarks, self.clip_id(index))
        if "audio" in self._files and self.audio_as is not None:
            values["waveform" if self.audio_as == "waveform" else "log_mel"] = self.audio_of(index, self.audio_as)
        return Clip(**values)

    def audio_of(self, index: int, kind: str) -> Float:
        """Audio of a clip of a kind, as for ``audio_as``."""
        phones = self._group("phones", index) if "phones" in self._files else None
        return audio_values(self._group("audio", index), self.frames_of(index), kind, phones)

    def phones_of(self, index: int) -> Phones | None:
        """Recognised phones of a clip; None without files of phones."""
        return read_phones(self._group("phones", index)) if "phones" in self._files else None

    def boxes_of(self, index: int) -> Float:
        """Crop boxes (T, 3) of a clip's landmarks, ``(x0, y0, size)`` in source pixels.

        Raises:
            AssetError: the clip store has none.
        """
        group = self._group("clips", index)
        if "crop_boxes" not in group:
            raise AssetError(f"{group.file.filename}: {group.name} has no crop_boxes; crop the faces again")
        return np.asarray(group["crop_boxes"], np.float32)

    def frames_of(self, index: int) -> int:
        """Number of frames of a clip, read without its arrays."""
        return len(self._group("coefficients", index)["exp"])

    def clip_id(self, index: int) -> str:
        """`<subject>/<clip>`."""
        return clip_id(self.rows[index])

    def clip_sentences(self) -> dict[str, str]:
        """Sentence identity of each clip by its id; empty where the manifest has none."""
        return self._split.clip_sentences()

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
        of = (self.rows, sorted(contents), sorted(stamps))
        return hashlib.sha256(repr(of).encode()).hexdigest()[:16]

    def _group(self, kind: str, index: int) -> h5py.Group:
        subject, clip = self.rows[index]
        path = self._files[kind][subject]
        file = _open(path)
        if clip not in file:
            raise AssetError(
                f"{path}: clip {clip} is missing, which {self._split.manifest} lists as usable; rebuild the file"
            )
        return file[clip]


def _open(path: Path) -> h5py.File:
    return _opened(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _opened(path: Path, stamp: int) -> h5py.File:
    """An open file, kept for later reads; ``stamp`` distinguishes a replaced file from the old one."""
    return open_shard(path)
