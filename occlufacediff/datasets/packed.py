"""The clips of a split for training, read from packed and mapped files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff.datasets.clips import LEAST_KNOWN, Clip, cut, known_runs
from occlufacediff.datasets.manifest_rows import SplitRows, clip_id
from occlufacediff.datasets.packed_files import MappedFile, PackedFile
from occlufacediff.datasets.shard_values import COEFFICIENTS
from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME

#: Arrays of audio in packed files: rows per frame, and the clip's field.
AUDIO = {
    "log_mel": (MEL_ROWS_PER_FRAME, "log_mel"),
    "speech": (MEL_ROWS_PER_FRAME, "log_mel"),
    "waveform": (SAMPLES_PER_FRAME, "waveform"),
}
#: Clips read between two calls of `MappedFile.forget`.
_READ_BEFORE_FORGETTING = 256
#: Clips of at most this number of frames (10 s) are read from the disk in one go, longer ones page by page where used.
_READ_AHEAD = 250


class PackedClips:
    """The usable clips of a split; each run of known frames counts as a clip, all other frames are left out.

    Arrays of a clip are views of mapped files: only what is used of them is read. Each process maps the files itself
    when it reads its first clip, so loader processes share nothing that was opened before they started.

    Args:
        manifest: the manifest; rows of the split with ``status`` ``ok`` are taken, in its order.
        split: ``train``, ``validation`` or ``test``.
        face: packed coefficients and landmarks, `<subject>.h5`.
        head: the head model that the coefficients must belong to; None: any.
        landmarks: give landmarks too.
        audio: packed audio of one kind; None: no audio.
        audio_as: the kind: ``log_mel``, ``speech`` (speech features) or ``waveform``.

    Raises:
        AssetError: a file, clip or column is missing, the split is empty or has no known frames, coefficients belong
            to another head model, or the audio is of another kind.
    """

    def __init__(
        self,
        manifest: Path,
        split: str,
        *,
        face: Sequence[Path],
        head: HeadAsset | None = None,
        landmarks: bool = False,
        audio: Sequence[Path] | None = None,
        audio_as: str = "log_mel",
    ) -> None:
        self._split = SplitRows.read(manifest, split)
        given = {"face": face} | ({} if audio is None else {"audio": audio})
        self._files = {
            kind: {subject: PackedFile(path) for subject, path in self._split.files(kind, files).items()}
            for kind, files in given.items()
        }
        self._fields = [("face", name, 1, name) for name in (*COEFFICIENTS[:-1], "known")]
        if landmarks:
            self._fields += [("face", name, 1, name) for name in ("lmk_2d", "lmk_visible")]
        if audio is not None:
            rate, field = AUDIO[audio_as]
            self._fields.append(("audio", audio_as, rate, field))
            for file in self._files["audio"].values():
                if audio_as not in file:
                    raise AssetError(f"{file.path}: holds no {audio_as}, which the denoiser reads; pack this kind")
        self._mapped: dict[tuple[str, str], MappedFile] = {}
        self._process = os.getpid()
        self._reads = 0
        if head is not None:
            for file in self._files["face"].values():
                require_head(file.path, file.attributes, head, "fit the coefficients again with this head model")
        for files in self._files.values():
            for subject, clip in self._split.rows:
                files[subject].rows(clip, 1)
        self.rows, self._runs = self._known_rows()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Clip:
        subject, name = self.rows[index]
        values: dict[str, NDArray[Any]] = {"shape": self._array("face", subject, "shape", name, 0)[0]}
        for kind, array, rate, field in self._fields:
            if array in self._files[kind][subject]:
                values[field] = self._array(kind, subject, array, name, rate)
        clip, run = Clip(**values), self._runs[index]
        self._reads += 1
        if self._reads % _READ_BEFORE_FORGETTING == 0:
            for file in self._mapped.values():
                file.forget()
        return clip if run is None else cut(clip, run)

    def __getstate__(self) -> dict[str, Any]:
        """Maps stay in their process."""
        return self.__dict__ | {"_mapped": {}}

    def frames_of(self, index: int) -> int:
        """Number of frames of a clip, read without its arrays."""
        (subject, clip), run = self.rows[index], self._runs[index]
        rows = self._files["face"][subject].rows(clip, 1) if run is None else run
        return rows.stop - rows.start

    def clip_id(self, index: int) -> str:
        """`<subject>/<clip>`."""
        return clip_id(self.rows[index])

    def clip_sentences(self) -> dict[str, str]:
        """Sentence identity of each clip by its id; empty where the manifest has none."""
        return {clip_id(row): self._split.sentences[row] for row in self.rows}

    def digest(self) -> str:
        """Digest of the clips, their runs of known frames and the content of all arrays that are read."""
        names = {"face": ["shape"], "audio": []}
        for kind, array, _, _ in self._fields:
            names[kind].append(array)
        contents = [
            (kind, subject, name, file.digests[name])
            for kind, files in self._files.items()
            for subject, file in files.items()
            for name in names[kind]
            if name in file
        ]
        return hashlib.sha256(repr((self.rows, self._runs, sorted(contents))).encode()).hexdigest()[:16]

    def _array(self, kind: str, subject: str, array: str, clip: str, rate: int) -> NDArray[Any]:
        """Rows of a clip in an array of its subject's file."""
        if self._process != os.getpid():
            # A process that was forked maps the files itself.
            self._mapped, self._process = {}, os.getpid()
        file = self._files[kind][subject]
        if (kind, subject) not in self._mapped:
            self._mapped[kind, subject] = file.open()
        rows, mapped = file.rows(clip, rate), self._mapped[kind, subject]
        if 0 < rows.stop - rows.start <= rate * _READ_AHEAD:
            mapped.read_ahead(array, rows)
        return mapped.arrays[array][rows]

    def _known_rows(self) -> tuple[list[tuple[str, str]], list[slice | None]]:
        """Rows and runs: a clip whose frames are all known has the run None."""
        rows: list[tuple[str, str]] = []
        runs: list[slice | None] = []
        for row in self._split.rows:
            found: list[slice | None] = [None]
            file = self._files["face"][row[0]]
            if "visibility" in file.attributes:
                known = np.asarray(self._array("face", row[0], "known", row[1], 1))
                found = [None] if known.all() else [*known_runs(known)]
            rows += [row] * len(found)
            runs += found
        if not rows:
            raise AssetError(
                f"{self._split.manifest}: no clip of the {self._split.split} split has {LEAST_KNOWN} consecutive "
                "frames whose motion is known; see the manifest's column clips_frames_unknown, and visibility in the "
                "configuration"
            )
        return rows, runs
