"""Sound of one subject's clips: 16 kHz waveform and log-mel spectrogram."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from occlufacediff.config.audio import AudioSettings
from occlufacediff.errors import ClipError
from occlufacediff.files import new_hdf5, sha256
from occlufacediff.fingerprint import fingerprint
from occlufacediff.media.frames import count_at_25_fps
from occlufacediff.media.probe import probe
from occlufacediff.media.rates import FPS, MEL_RATE, SAMPLE_RATE
from occlufacediff.media.sound import fit_to_frames, level_db, log_mel, read_waveform
from occlufacediff.stages.shard import (
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
) -> None:
    """Write ``<clip>/waveform`` (N,) at 16 kHz and ``<clip>/log_mel`` (M, 80) at 100 Hz, float32, and the index.

    The sound is the archive's file, else the video's own track. It is cut or padded at its end to the length of the
    video at 25 fps: N = 640 T, M = 4 T. Reasons: ``no_audio``, ``broken_audio``, ``audio_mismatch``, and
    those of a broken video. Figures: ``source`` (archive or video), ``seconds`` (as decoded), ``samples_added``
    (negative: cut), ``level_db`` (of the loudest 20 ms), ``silent``.
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
        list(sources),
        partial(_extract, sources, settings),
        parts,
        made_from,
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} sound",
    )
    assemble(audio_h5, rows, parts, {"subject": subject, "sample_rate": SAMPLE_RATE, "mel_rate": MEL_RATE})
    write_index(index_csv, rows, FIGURES)
    remove_parts(parts)


def _extract(sources: dict[str, tuple[Path, Path | None]], settings: AudioSettings, clip: str, part: Path) -> Row:
    video, archived = sources[clip]
    info = probe(video)
    info.require_video()
    waveform = read_waveform(archived) if archived is not None else read_waveform(video, info=info)
    frames = count_at_25_fps(video)
    heard = len(waveform) / SAMPLE_RATE
    if abs(heard - frames / FPS) > settings.max_mismatch_s:
        raise ClipError(
            "audio_mismatch",
            f"{archived or video}: {heard:.2f} s of sound for {frames / FPS:.2f} s of picture (audio.max_mismatch_s)",
        )
    fitted, added = fit_to_frames(waveform, frames)
    level = level_db(fitted)
    with new_hdf5(part) as file:
        file["waveform"] = fitted
        file["log_mel"] = log_mel(fitted)
    return {
        "source": "archive" if archived is not None else "video",
        "seconds": round(heard, 4),
        "samples_added": added,
        "level_db": round(level, 2),
        "silent": int(level < settings.silence_db),
    }
