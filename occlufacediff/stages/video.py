"""Converts one subject's clips to 25 frames per second."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from occlufacediff.config.video import VideoSettings
from occlufacediff.errors import ClipError
from occlufacediff.files import sha256
from occlufacediff.media.convert import convert_video
from occlufacediff.media.rates import FPS
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import Row, key, read_index, run_shard, usable, write_index

FIGURES = ("video", "frames", "source_fps", "source_seconds", "source_width", "source_height", "source_pixel_format")


def convert_subject(
    subject: str,
    raw_dir: Path,
    raw_index: Path,
    video_dir: Path,
    index_csv: Path,
    *,
    settings: VideoSettings,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Convert ``raw_dir/video`` to ``video_dir/<clip>.mp4`` (25 fps) and write the index.

    A JSON record of each mp4 keeps its key, so that a later run converts only clips whose source, settings or code
    changed. Reasons: ``no_video``, ``broken_video``, ``too_short``, ``too_long``. Figures: `FIGURES`.

    With ``chunk`` (see `workflow.chunks`) only that chunk's clips are processed, and only their parts are written.
    """
    sources = {row["clip"]: raw_dir / row["video"] for row in usable(read_index(raw_index))}
    code = fingerprint("occlufacediff.stages.video")
    rows = run_shard(
        of_chunk(list(sources), chunk),
        partial(_convert, sources, settings),
        video_dir,
        lambda clip: key(sha256(sources[clip]) if sources[clip].is_file() else "", settings, code),
        inputs=lambda clip: [sources[clip]],
        workers=workers,
        scheduler=scheduler,
        suffix=".mp4",
        title=f"{subject} 25 fps",
    )
    if chunk is not None:
        return
    write_index(index_csv, rows, FIGURES)


def _convert(sources: dict[str, Path], settings: VideoSettings, clip: str, part: Path) -> Row:
    info, frames = convert_video(
        sources[clip], part, crf=settings.crf, preset=settings.preset, max_seconds=settings.max_seconds
    )
    if frames < settings.min_seconds * FPS:
        raise ClipError(
            "too_short",
            f"{sources[clip]}: lasts {frames / FPS:.2f} s, needs {settings.min_seconds:g} s (conversion.min_seconds)",
        )
    video = info.require_video()
    return {
        "video": f"{clip}.mp4",
        "frames": frames,
        "source_fps": round(video.fps, 4) if video.fps else "",
        "source_seconds": round(video.duration_s, 4) if video.duration_s else "",
        "source_width": video.width,
        "source_height": video.height,
        "source_pixel_format": video.pixel_format,
    }
