"""Audio of one subject's clips: 16 kHz waveform and log-mel spectrogram."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.audio import AudioSettings
from occlufacediff.errors import ClipError
from occlufacediff.files import new_hdf5, sha256
from occlufacediff.media.audio import fit_to_frames, level_db, log_mel, read_waveform
from occlufacediff.media.frames import count_at_25_fps
from occlufacediff.media.probe import MediaInfo, probe
from occlufacediff.media.rates import FPS, MEL_RATE, SAMPLE_RATE
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import (
    Row,
    assemble,
    key,
    parts_folder,
    read_index,
    remove_parts,
    run_shard,
    usable,
    write_index,
)

FIGURES = ("source", "seconds", "samples_added", "level_db", "silent")


def extract_subject(
    subject: str,
    raw_dir: Path,
    raw_index: Path,
    audio_h5: Path,
    index_csv: Path,
    *,
    settings: AudioSettings,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write ``<clip>/waveform`` (N,) at 16 kHz and ``<clip>/log_mel`` (M, 80) at 100 Hz, float32, and the index.

    The audio is the archive's file, or the video's own track if there is no file or it cannot be decoded. It is cut or
    padded at its end to the length of the video at 25 fps: N = 640 T, M = 4 T. Reasons: ``no_audio``,
    ``broken_audio``, ``audio_mismatch``, and those of a broken video. Figures: ``source`` (archive or video),
    ``seconds`` (as decoded), ``samples_added`` (negative: cut), ``level_db`` (of the loudest 20 ms), ``silent``. The
    message of a usable clip gives the reason if the archive's audio was not used.

    With ``chunk`` (see `workflow.chunks`) only that chunk's clips are processed, and only their parts are written.
    """
    rows_in = {row["clip"]: row for row in usable(read_index(raw_index))}
    sources = {
        clip: (raw_dir / row["video"], raw_dir / row["audio"] if row["audio"] else None)
        for clip, row in rows_in.items()
    }
    code = fingerprint("occlufacediff.stages.audio")
    parts = parts_folder(audio_h5)

    def made_from(clip: str) -> str:
        return key(*(sha256(path) if path and path.is_file() else "" for path in sources[clip]), settings, code)

    rows = run_shard(
        of_chunk(list(sources), chunk),
        partial(_extract, sources, settings),
        parts,
        made_from,
        inputs=lambda clip: [path for path in sources[clip] if path is not None],
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} audio",
    )
    if chunk is not None:
        return
    assemble(audio_h5, rows, parts, {"subject": subject, "sample_rate": SAMPLE_RATE, "mel_rate": MEL_RATE})
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _extract(sources: dict[str, tuple[Path, Path | None]], settings: AudioSettings, clip: str, part: Path) -> Row:
    video, archived = sources[clip]
    info = probe(video)
    info.require_video()
    frames = count_at_25_fps(video)
    # One second more than allowed, so that audio that is too long is detected.
    waveform, source, note = _waveform(info, archived, frames / FPS + settings.max_mismatch_s + 1)
    seconds = len(waveform) / SAMPLE_RATE
    if abs(seconds - frames / FPS) > settings.max_mismatch_s:
        least = "at least " if seconds > frames / FPS else ""
        raise ClipError(
            "audio_mismatch",
            f"{source}: {least}{seconds:.2f} s of audio for {frames / FPS:.2f} s of video (audio.max_mismatch_s)",
        )
    fitted, added = fit_to_frames(waveform, frames)
    level = level_db(fitted)
    with new_hdf5(part) as file:
        file["waveform"] = fitted
        file["log_mel"] = log_mel(fitted)
    return {
        "message": note,
        "source": "video" if source == video else "archive",
        "seconds": round(seconds, 4),
        "samples_added": added,
        "level_db": round(level, 2),
        "silent": int(level < settings.silence_db),
    }


def _waveform(info: MediaInfo, archived: Path | None, max_seconds: float) -> tuple[NDArray[np.float32], Path, str]:
    """Samples at 16 kHz, their file, and the reason if the archive's audio exists and is not used."""
    if archived is not None:
        try:
            return read_waveform(archived, max_seconds=max_seconds), archived, ""
        except ClipError as error:
            if info.audio is None or error.reason not in ("broken_audio", "no_audio"):
                raise
            note = f"{error}; the video's own audio is used"
    else:
        note = ""
    return read_waveform(info.path, info=info, max_seconds=max_seconds), info.path, note
