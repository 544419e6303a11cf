"""Stage: pack the clips of one subject into flat files that trainings map into memory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.packing import Precision
from occlufacediff.datasets.packed import AUDIO
from occlufacediff.datasets.packed_files import Column, PackedFile, write_packed
from occlufacediff.datasets.shard_values import audio_values, face_values, open_shard
from occlufacediff.errors import AssetError
from occlufacediff.workflow.shards import clips_with

#: Columns of a few values per frame that each training reads: one table, so that a window takes one read from the disk.
MOTION = ("exp", "jaw", "global_pose", "cam", "known")
MOTION_TABLE = "motion"

log = logging.getLogger(__name__)


def pack_face(
    subject: str, coefficients_h5: Path, clips_h5: Path, face_h5: Path, *, precision: Precision = "float32"
) -> None:
    """Pack coefficients, landmarks and visibility of all clips that have coefficients.

    The file (see `datasets.packed_files`) has ``exp``, ``jaw``, ``global_pose`` and ``cam`` (in the table ``motion``),
    ``shape``, ``lmk_2d`` (F, 468, 2) and, with a source of visibility, ``known`` (F,; in ``motion``) and
    ``lmk_visible`` (F, 468). Attributes are those of the coefficients.

    Args:
        subject: its name.
        coefficients_h5: coefficients.
        clips_h5: the clip store.
        face_h5: the packed file.
        precision: of the landmarks; coefficients are float32.

    Raises:
        AssetError: a clip is missing in the clip store, or its files do not match.
        StorageError: a file cannot be written.
    """
    with open_shard(coefficients_h5) as coefficients, open_shard(clips_h5) as store:
        names = clips_with(coefficients, "exp")

        def values(clip: str) -> dict[str, NDArray[Any]]:
            if clip not in store:
                raise AssetError(
                    f"{clips_h5}: clip {clip} is missing, which {coefficients_h5} holds; make both files again"
                )
            return face_values(coefficients[clip], store[clip], f"{subject}/{clip}")

        frames = {clip: len(coefficients[clip]["exp"]) for clip in names}
        first = values(names[0]) if names else {}
        columns = [
            Column(
                name,
                value.shape if name == "shape" else value.shape[1:],
                np.dtype(precision) if name == "lmk_2d" else value.dtype,
                int(name != "shape"),
                MOTION_TABLE if name in MOTION else "",
            )
            for name, value in first.items()
        ]
        attributes = {"subject": subject, **dict(coefficients.attrs)}
        write_packed(face_h5, frames, columns, values, attributes)
    log.info("%s: %d clips, %d frames", subject, len(frames), sum(frames.values()))


def pack_audio(
    subject: str,
    kind: str,
    face_h5: Path,
    audio_h5: Path,
    packed_h5: Path,
    *,
    phones_h5: Path | None = None,
    precision: Precision = "float32",
) -> None:
    """Pack one kind of audio of all packed clips that have audio, cut or padded to their frames.

    Args:
        subject: its name.
        kind: ``log_mel``, ``speech`` or ``waveform``: the array's name. A waveform is normalised over its clip.
        face_h5: packed coefficients, see `pack_face`.
        audio_h5: waveforms and log-mel spectrograms.
        packed_h5: the packed file.
        phones_h5: recognised phones, for speech features that are not stored with the audio.
        precision: of the audio.

    Raises:
        AssetError: a file does not match the others, or phones are missing.
        StorageError: a file cannot be written.
    """
    face = PackedFile(face_h5)
    rate, _ = AUDIO[kind]
    frames = {clip: int(face.first[place + 1] - face.first[place]) for clip, place in face.places.items()}
    with open_shard(audio_h5) as audio:
        phones = None if phones_h5 is None else open_shard(phones_h5)
        try:
            frames = {clip: count for clip, count in frames.items() if clip in audio}

            def values(clip: str) -> dict[str, NDArray[Any]]:
                if phones is not None and clip not in phones:
                    raise AssetError(f"{phones_h5}: clip {clip} is missing; recognise the subject's phones again")
                spoken = None if phones is None else phones[clip]
                return {kind: audio_values(audio[clip], frames[clip], kind, spoken)}

            width = next((values(clip)[kind].shape[1:] for clip in frames), ())
            columns = [Column(kind, width, np.dtype(precision), rate)]
            write_packed(packed_h5, frames, columns, values, {"subject": subject, "audio": kind})
        finally:
            if phones is not None:
                phones.close()
    log.info("%s: %s of %d clips", subject, kind, len(frames))
