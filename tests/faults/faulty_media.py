"""Faulty recordings made from good ones; as deterministic as the encoders are."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from occlufacediff.media.audio import read_waveform
from occlufacediff.media.encode import write_audio
from occlufacediff.media.ffmpeg import BITEXACT, run_ffmpeg
from occlufacediff.media.probe import probe
from occlufacediff.media.rates import SAMPLE_RATE

_PICTURE: dict[str, Any] = {"vcodec": "libx264", "crf": 18, "preset": "ultrafast", "threads": 1, "f": "mp4"}
_PICTURE |= {"pix_fmt": "yuv420p", "flags:v": "+bitexact", **BITEXACT}


@dataclass(frozen=True)
class Take:
    """One recording: its video and audio file; None where there is none."""

    video: Path | None
    sound: Path | None


#: Makes a faulty recording from a good one; the names of its files begin with the given stem.
Maker = Callable[[Take, Path], Take]


def whole(take: Take, stem: Path) -> Take:
    """The unchanged recording."""
    return take


def shortened(seconds: float) -> Maker:
    """The first ``seconds`` of video and audio."""

    def make(take: Take, stem: Path) -> Take:
        video = _filtered(take, stem, ("trim", {"end": seconds}))
        return Take(video, _with_sound(take, stem, lambda wave: wave[: round(seconds * SAMPLE_RATE)]))

    return make


def repeated(seconds: float) -> Maker:
    """The recording repeated for ``seconds``."""

    def make(take: Take, stem: Path) -> Take:
        video, _ = _parts(take)
        stream = ffmpeg.input(str(video), stream_loop=-1).video.filter("trim", end=seconds)
        made = _encoded(stream, stem)
        return Take(made, _with_sound(take, stem, lambda wave: np.resize(wave, round(seconds * SAMPLE_RATE))))

    return make


def covered(part: float) -> Maker:
    """Plain grey frames in the last ``part`` (0 to 1) of the video: no face."""

    def make(take: Take, stem: Path) -> Take:
        video, sound = _parts(take)
        start = (1 - part) * (probe(video).require_video().duration_s or 0.0)
        box = {"color": "gray", "t": "fill", "enable": f"gte(t,{start:.4f})"}
        return Take(_filtered(take, stem, ("drawbox", box)), sound)

    return make


def uneven_rate(take: Take, stem: Path) -> Take:
    """A variable frame rate: three of ten frames are dropped, the others keep their times."""
    video, sound = _parts(take)
    stream = ffmpeg.input(str(video)).video.filter("select", "not(eq(mod(n,10),3)+eq(mod(n,10),4)+eq(mod(n,10),7))")
    return Take(_encoded(stream, stem, fps_mode="vfr"), sound)


def leaping(seconds: float) -> Maker:
    """Time stamps that jump by ``seconds`` in the middle."""

    def make(take: Take, stem: Path) -> Take:
        video, sound = _parts(take)
        half = (probe(video).require_video().duration_s or 0.0) / 2
        stream = ffmpeg.input(str(video)).video.filter("setpts", f"PTS+gte(T,{half:.4f})*{seconds:g}/TB")
        return Take(_encoded(stream, stem, fps_mode="vfr"), sound)

    return make


def full_colour(take: Take, stem: Path) -> Take:
    """4:4:4 pixels, as in MEAD."""
    return Take(_filtered(take, stem, pix_fmt="yuv444p"), take.sound)


def turned(take: Take, stem: Path) -> Take:
    """Stored rotated by 90 degrees, with the rotation in the container."""
    lying = _filtered(take, stem.with_name(f"{stem.name}-lying"), ("transpose", {"dir": "clock"}))
    output = ffmpeg.input(str(lying), display_rotation=90).video
    made = stem.with_suffix(".mp4")
    run_ffmpeg(output.output(str(made), vcodec="copy", f="mp4", **BITEXACT), reason="encoder", doing=f"making {made}")
    return Take(made, take.sound)


def sound_for(longer_s: float) -> Maker:
    """Audio that is longer than the video by ``longer_s`` seconds (padded with its start) or, if negative, shorter."""

    def make(take: Take, stem: Path) -> Take:
        def change(wave: np.ndarray) -> np.ndarray:
            return np.resize(wave, max(160, len(wave) + round(longer_s * SAMPLE_RATE)))

        return Take(take.video, _with_sound(take, stem, change))

    return make


def silent(take: Take, stem: Path) -> Take:
    """Audio of zeros."""
    return Take(take.video, _with_sound(take, stem, np.zeros_like))


def mute(take: Take, stem: Path) -> Take:
    """No audio track in the video file, and no audio file."""
    return Take(take.video, None)


def unseen(take: Take, stem: Path) -> Take:
    """Audio without a video."""
    return Take(None, take.sound)


def sound_in_video(take: Take, stem: Path) -> Take:
    """Audio in the video file only."""
    video, sound = _parts(take)
    made = stem.with_suffix(".mp4")
    output = ffmpeg.output(
        ffmpeg.input(str(video)).video, ffmpeg.input(str(sound)).audio, str(made), c="copy", f="mp4", **BITEXACT
    )
    run_ffmpeg(output, reason="encoder", doing=f"making {made}")
    return Take(made, None)


def bad_sound_beside_good(take: Take, stem: Path) -> Take:
    """A broken audio file, and a good audio track in the video file."""
    return Take(sound_in_video(take, stem).video, few_kb(Path(f"{stem}.m4a")))


def bad_sound(take: Take, stem: Path) -> Take:
    """A broken audio file, and no audio track in the video file."""
    return Take(take.video, few_kb(stem.with_suffix(".m4a")))


def no_picture_track(take: Take, stem: Path) -> Take:
    """A video file with audio only."""
    _, sound = _parts(take)
    return Take(_copied(sound, stem.with_suffix(".mp4")), sound)


def empty(take: Take, stem: Path) -> Take:
    """A video of zero bytes."""
    made = stem.with_suffix(".mp4")
    made.write_bytes(b"")
    return Take(made, take.sound)


def broken(take: Take, stem: Path) -> Take:
    """A file of a few KB that is not a video."""
    return Take(few_kb(stem.with_suffix(".mp4")), take.sound)


def web_page(take: Take, stem: Path) -> Take:
    """A web page in place of the video."""
    made = stem.with_suffix(".mp4")
    made.write_text("<!DOCTYPE html><html><title>Sign in</title><body>Too many downloads</body></html>\n" * 30)
    return Take(made, take.sound)


def cut_off(take: Take, stem: Path) -> Take:
    """A truncated video whose index (at its end) is lost."""
    video, sound = _parts(take)
    made = stem.with_suffix(".mp4")
    made.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    return Take(made, sound)


def cut_off_streaming(take: Take, stem: Path) -> Take:
    """A truncated video whose index is at its start: the first part still plays."""
    whole_file = _filtered(take, stem.with_name(f"{stem.name}-whole"), movflags="+faststart")
    made = stem.with_suffix(".mp4")
    made.write_bytes(whole_file.read_bytes()[: whole_file.stat().st_size // 2])
    return Take(made, take.sound)


def scratched(take: Take, stem: Path) -> Take:
    """Some bytes in the middle overwritten: a few frames are damaged, the clip still plays."""
    video, sound = _parts(take)
    content = bytearray(video.read_bytes())
    start = content.index(b"mdat") + len(content) // 2
    content[start : start + 200] = _noise(stem.name, 200)
    made = stem.with_suffix(".mp4")
    made.write_bytes(content)
    return Take(made, sound)


def few_kb(path: Path) -> Path:
    """Write a file of 3 KB without a valid format."""
    path.write_bytes(_noise(path.name, 3000))
    return path


def _noise(name: str, size: int) -> bytes:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).bytes(size)


def _parts(take: Take) -> tuple[Path, Path]:
    if take.video is None or take.sound is None:
        raise ValueError("a fault is made from a recording that has picture and sound")
    return take.video, take.sound


def _filtered(take: Take, stem: Path, *filters: tuple[str, dict[str, Any]], **options: Any) -> Path:
    """The video, changed by ffmpeg filters and encoded again."""
    stream = ffmpeg.input(str(take.video)).video
    for name, values in filters:
        stream = stream.filter(name, **values)
    return _encoded(stream, stem, **options)


def _encoded(stream: Any, stem: Path, **options: Any) -> Path:
    made = stem.with_suffix(".mp4")
    run_ffmpeg(stream.output(str(made), **{**_PICTURE, **options}), reason="encoder", doing=f"making {made}")
    return made


def _with_sound(take: Take, stem: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The audio, changed as 16 kHz samples."""
    _, sound = _parts(take)
    made = stem.with_suffix(".m4a")
    write_audio(made, change(read_waveform(sound)).astype(np.float32), SAMPLE_RATE)
    return made


def _copied(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target
