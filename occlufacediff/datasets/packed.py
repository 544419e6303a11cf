"""The clips of a split for training, read from packed and mapped files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff.datasets.buffers import Buffers
from occlufacediff.datasets.clips import LEAST_KNOWN, Clip, known_runs
from occlufacediff.datasets.manifest_rows import SplitRows, clip_id
from occlufacediff.datasets.packed_files import ALIGNMENT, MappedFile, PackedFile
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
#: Whole clips of at most this number of frames (10 s) are read from the disk in one go, longer ones page by page where
#: used.
_READ_AHEAD = 250


@dataclass(frozen=True)
class _Field:
    """An array of a clip in the files of its subject.

    Attributes:
        kind: ``face`` or ``audio``.
        column: name in the file.
        rate: rows per frame; 0: one row per clip.
        name: of the clip's field.
    """

    kind: str
    column: str
    rate: int
    name: str


@dataclass
class _Source:
    """A table that is read for each clip of a subject, with the fields in it."""

    kind: str
    name: str
    rate: int
    fields: list[_Field]


#: A table, the file that holds it, and rows of it.
_Piece = tuple[_Source, MappedFile, slice]


class PackedClips:
    """The usable clips of a split; each run of known frames counts as a clip, all other frames are left out.

    `__getitem__` gives a clip as views of mapped files: only what is used of them is read. `parts` copies parts of
    clips into memory, which is faster. Tables with one row per clip stay in memory. Each process opens the files
    itself when it reads its first clip, so loader processes share nothing that was opened before they started.

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
        names = (*COEFFICIENTS[:-1], "known", *(("lmk_2d", "lmk_visible") if landmarks else ()))
        self._fields = [_Field("face", "shape", 0, "shape"), *(_Field("face", name, 1, name) for name in names)]
        if audio is not None:
            rate, field = AUDIO[audio_as]
            self._fields.append(_Field("audio", audio_as, rate, field))
            for file in self._files["audio"].values():
                if audio_as not in file:
                    raise AssetError(f"{file.path}: holds no {audio_as}, which the denoiser reads; pack this kind")
        self._opened: dict[tuple[str, str], MappedFile] = {}
        self._process = os.getpid()
        self._reads = 0
        self._buffers = Buffers()
        if head is not None:
            for file in self._files["face"].values():
                require_head(file.path, file.attributes, head, "fit the coefficients again with this head model")
        for files in self._files.values():
            for subject, clip in self._split.rows:
                files[subject].rows(clip, 1)
        self.rows, self._runs = self._known_rows()
        self._places = self._places_of_clips()
        self._lengths = [
            run.stop - run.start if run else self._files["face"][subject].frames_of(clip)
            for (subject, clip), run in zip(self.rows, self._runs, strict=True)
        ]
        self._sources = {subject: self._sources_of(subject) for subject in self._files["face"]}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Clip:
        frames = slice(0, self.frames_of(index))
        pieces = self._pieces(index, frames)
        if frames.stop <= _READ_AHEAD:
            for source, file, rows in pieces:
                file.read_ahead(source.name, rows)
        values: dict[str, NDArray[Any]] = {}
        for source, file, rows in pieces:
            for field in source.fields:
                column = file.arrays[field.column]
                values[field.name] = column[rows] if field.rate else column[rows.start]
        self._reads += 1
        if self._reads % _READ_BEFORE_FORGETTING == 0:
            for file in self._opened.values():
                file.forget()
        return Clip(**values)

    def parts(self, places: Sequence[tuple[int, slice | None]]) -> list[Clip]:
        """Parts of clips, in memory of their own. The disk is asked for all of them before the first is read.

        Args:
            places: number of each clip and its frames, a slice from a first to a last frame (excluded) that the clip
                has; None: the whole clip, as `__getitem__` gives it.

        Raises:
            AssetError: a file was replaced or is cut off, or its disk reports an error.
        """
        pieces = [None if frames is None else self._pieces(index, frames) for index, frames in places]
        for part in pieces:
            for source, file, rows in part or []:
                if source.rate:
                    file.read_ahead(source.name, rows)
        return [
            self[index] if part is None else self._part(part) for (index, _), part in zip(places, pieces, strict=True)
        ]

    def __getstate__(self) -> dict[str, Any]:
        """Open files and memory stay in their process."""
        return self.__dict__ | {"_opened": {}, "_buffers": Buffers()}

    def frames_of(self, index: int) -> int:
        """Number of frames of a clip, read without its arrays."""
        return self._lengths[index]

    def clip_id(self, index: int) -> str:
        """`<subject>/<clip>`."""
        return clip_id(self.rows[index])

    def clip_sentences(self) -> dict[str, str]:
        """Sentence identity of each clip by its id; empty where the manifest has none."""
        return {clip_id(row): self._split.sentences[row] for row in self.rows}

    def digest(self) -> str:
        """Digest of the clips, their runs of known frames and the content of all arrays that are read."""
        contents = [
            (field.kind, subject, field.column, file.digests[field.column])
            for field in self._fields
            for subject, file in self._files[field.kind].items()
            if field.column in file
        ]
        return hashlib.sha256(repr((self.rows, self._runs, sorted(contents))).encode()).hexdigest()[:16]

    def _file(self, kind: str, subject: str) -> MappedFile:
        """A subject's file, opened by this process."""
        if self._process != os.getpid():
            # A process that was forked opens the files itself.
            self._opened, self._process, self._buffers = {}, os.getpid(), Buffers()
        if (kind, subject) not in self._opened:
            self._opened[kind, subject] = self._files[kind][subject].open()
        return self._opened[kind, subject]

    def _sources_of(self, subject: str) -> list[_Source]:
        """The tables to read for a clip of a subject."""
        sources: dict[tuple[str, str], _Source] = {}
        for field in self._fields:
            file = self._files[field.kind][subject]
            if field.column in file:
                name = file.table_of(field.column)
                source = sources.setdefault((field.kind, name), _Source(field.kind, name, field.rate, []))
                source.fields.append(field)
        return [*sources.values()]

    def _pieces(self, index: int, frames: slice) -> list[_Piece]:
        """The tables of a clip: each with its file and the rows of some frames in it."""
        subject = self.rows[index][0]
        pieces = []
        for source in self._sources[subject]:
            number, first = self._places[source.kind][index]
            rate = source.rate
            rows = slice(rate * (first + frames.start), rate * (first + frames.stop))
            pieces.append((source, self._file(source.kind, subject), rows if rate else slice(number, number + 1)))
        return pieces

    def _part(self, pieces: list[_Piece]) -> Clip:
        """Frames of a clip in one piece of memory."""
        sizes = [file.size(source.name, rows) if source.rate else 0 for source, file, rows in pieces]
        memory = self._buffers.take(sum(size + -size % ALIGNMENT for size in sizes))
        values: dict[str, NDArray[Any]] = {}
        begin = 0
        for (source, file, rows), size in zip(pieces, sizes, strict=True):
            if source.rate:
                columns = file.read(source.name, rows, memory[begin : begin + size])
                values |= {field.name: columns[field.column] for field in source.fields}
            else:
                columns = file.whole(source.name)
                values |= {field.name: columns[field.column][rows.start] for field in source.fields}
            begin += size + -size % ALIGNMENT
        return Clip(**values)

    def _places_of_clips(self) -> dict[str, list[tuple[int, int]]]:
        """Per kind of file: number of each clip in its file, and number of its first frame there."""
        places: dict[str, list[tuple[int, int]]] = {kind: [] for kind in self._files}
        for (subject, clip), run in zip(self.rows, self._runs, strict=True):
            for kind, files in self._files.items():
                number = files[subject].places[clip]
                places[kind].append((number, int(files[subject].first[number]) + (run.start if run else 0)))
        return places

    def _known_rows(self) -> tuple[list[tuple[str, str]], list[slice | None]]:
        """Rows and runs: a clip whose frames are all known has the run None."""
        rows: list[tuple[str, str]] = []
        runs: list[slice | None] = []
        for row in self._split.rows:
            found: list[slice | None] = [None]
            file = self._files["face"][row[0]]
            if "visibility" in file.attributes:
                known = np.asarray(self._file("face", row[0]).arrays["known"][file.rows(row[1], 1)])
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
