"""Conversion of any video to 25 fps H.264 in mp4; equal input gives equal bytes."""

from __future__ import annotations

from pathlib import Path

import av
import ffmpeg

from occlufacediff.errors import ClipError
from occlufacediff.files import written_aside
from occlufacediff.media.ffmpeg import BITEXACT, run_ffmpeg
from occlufacediff.media.frames import check_complete
from occlufacediff.media.probe import MediaInfo, opened, probe, video_stream
from occlufacediff.media.rates import FPS

#: Square pixels, even sizes (for 4:2:0), time from the first frame and a constant rate, as in `read_frames`.
_FILTERS: tuple[tuple[str, tuple[str | int, ...]], ...] = (
    ("setpts", ("PTS-STARTPTS",)),
    ("fps", (FPS,)),
    ("scale", ("trunc(iw*max(sar,0.01)/2)*2", "trunc(ih/2)*2")),
    ("setsar", (1,)),
)


def convert_video(
    source: Path | str, target: Path | str, *, crf: int, preset: str, max_seconds: float | None = None
) -> tuple[MediaInfo, int]:
    """Convert the video track of ``source`` to 25 fps H.264 4:2:0 in ``target`` (mp4, without audio).

    The encoder uses one thread, because x264's output depends on their number. A file whose stated or decoded duration
    exceeds ``max_seconds`` is rejected: time stamps of a damaged file can claim hours.

    Returns:
        properties of the source, and the number of frames written.

    Raises:
        ClipError: ``no_video``, ``broken_video``, ``too_long``.
    """
    source = Path(source)
    info = probe(source)
    video = info.require_video()
    limit: dict[str, float] = {}
    if max_seconds is not None:
        _reject_longer(source, video.duration_s or 0.0, max_seconds)
        limit = {"t": max_seconds + 1}
    stream = ffmpeg.input(str(source.absolute())).video
    for name, arguments in _FILTERS:
        stream = stream.filter(name, *arguments)
    with written_aside(target) as aside:
        output = stream.output(
            str(aside),
            f="mp4",
            vcodec="libx264",
            crf=crf,
            preset=preset,
            pix_fmt="yuv420p",
            threads=1,
            video_track_timescale=12800,
            **limit,
            **{"flags:v": "+bitexact"},
            **BITEXACT,
        )
        run_ffmpeg(output, reason="broken_video", doing=f"conversion of {source} to {FPS} fps")
        frames = count_frames(aside)
        if frames == 0:
            raise ClipError("broken_video", f"{source}: no frame of its video track can be decoded")
        if max_seconds is not None:
            _reject_longer(source, frames / FPS, max_seconds)
        check_complete(source, frames / FPS, video.stated_s)
    return info, frames


def _reject_longer(source: Path, seconds: float, most: float) -> None:
    if seconds > most:
        raise ClipError(
            "too_long",
            f"{source}: lasts at least {seconds:.1f} s by its time stamps, more than {most:g} s "
            "(conversion.max_seconds); they may be damaged",
        )


def count_frames(path: Path | str) -> int:
    """Count the frames of a video by its packets, without decoding."""
    with opened(path) as container:
        stream = video_stream(container)
        if stream is None:
            return 0
        try:
            return sum(packet.size > 0 for packet in container.demux(stream))
        except av.FFmpegError as error:
            raise ClipError("broken_video", f"{path}: damaged ({error})") from error
