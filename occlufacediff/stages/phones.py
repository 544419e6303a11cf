"""Stage: recognise the phones of one subject's clips, for speech features (preset ``open`` of the denoiser)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import OccluFaceError
from occlufacediff.files import new_hdf5
from occlufacediff.speech.phones import SILENCE, write_phones
from occlufacediff.speech.recognition import recognise_phones
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import (
    FAILED,
    Row,
    assemble,
    clips_with,
    key,
    parts_folder,
    remove_parts,
    run_shard,
    write_index,
)

FIGURES = ("phones", "seconds_of_speech")


def recognise_subject(
    subject: str,
    audio_h5: Path,
    phones_h5: Path,
    index_csv: Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write ``<clip>/phone``, ``start`` and ``end`` (K,), see `speech.phones.write_phones`, and the index.

    Figures: number of ``phones``, ``seconds_of_speech`` without silence. With ``chunk`` (see `workflow.chunks`) only
    that chunk's clips are processed, and only their parts are written.

    Args:
        subject: its name.
        audio_h5: waveforms.
        phones_h5: the phones.
        index_csv: the index.
        workers: see `run_shard`.
        scheduler: see `run_shard`.
        chunk: name of a chunk, or None.

    Raises:
        OccluFaceError: the phones of a clip could not be recognised; the message names it.
        StorageError: a file cannot be read or written.
    """
    code = fingerprint("occlufacediff.stages.phones")
    with h5py.File(audio_h5, "r") as file:
        clips = clips_with(file, "waveform")
        keys = {clip: key(file[clip]["waveform"][()].tobytes().hex(), code) for clip in of_chunk(clips, chunk)}
    parts = parts_folder(phones_h5)
    rows = run_shard(
        list(keys),
        partial(_recognise, audio_h5),
        parts,
        keys.__getitem__,
        inputs=lambda clip: [audio_h5],
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} phones",
    )
    if chunk is not None:
        return
    failed = [row for row in rows if row["status"] == FAILED]
    if failed:
        raise OccluFaceError(
            f"{audio_h5}: the phones of {len(failed)} of {len(rows)} clips cannot be recognised, first of "
            f"{failed[0]['clip']} ({failed[0]['reason']}: {failed[0]['message']}); see the log, or choose "
            "denoiser.preset 'compact', which uses no phones"
        )
    assemble(phones_h5, rows, parts, {"subject": subject})
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _recognise(audio_h5: Path, clip: str, part: Path) -> Row:
    with h5py.File(audio_h5, "r") as file:
        waveform: NDArray[np.float32] = file[clip]["waveform"][()].astype(np.float32)
    phones = recognise_phones(waveform)
    with new_hdf5(part) as file:
        write_phones(file, phones)
    spoken = np.array([name != SILENCE for name in phones.names], bool)
    seconds = float((phones.ends - phones.starts)[spoken].sum())
    return {"phones": len(phones.names), "seconds_of_speech": round(seconds, 2)}
