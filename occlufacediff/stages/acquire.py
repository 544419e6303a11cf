"""Unpacks one subject's archives: the clips of one camera and their sounds."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from occlufacediff.errors import ClipError
from occlufacediff.media.archives import unpack
from occlufacediff.stages.shard import FAILED, OK, Row, write_index

VIDEO_SUFFIXES = ("mp4", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "m4v", "flv", "3gp")
AUDIO_SUFFIXES = ("m4a", "aac", "wav", "flac", "mp3", "ogg", "opus")
#: Row of an archive that could only be read in part.
ARCHIVE = "(archive)"
_CLIP = r"(?P<clip>[a-z]+/level_\d+/\d+)"


def unpack_subject(
    subject: str, video_tar: Path, audio_tar: Path | None, raw_dir: Path, index_csv: Path, *, view: str
) -> None:
    """Unpack ``video/.../<view>/<clip>.mp4`` and ``audio/<clip>.m4a`` and write the index.

    The folder appears whole, with files not of the archives removed from it. Folders between ``video`` and the view (a
    known fault of some archives) are passed over. Index figures: ``video`` and ``audio``, paths relative to ``raw_dir``
    (``audio`` empty when the archive has no such sound: the video's own track is then used).

    Failed rows: sounds without a picture (``no_video``); an archive that is cut off is used as far as it goes and
    gets a row ``(archive)`` with the reason ``broken_archive``.

    Args:
        subject: its name.
        video_tar, audio_tar: the archives; ``audio_tar`` may be None or missing.
        raw_dir: folder to fill: ``video/<clip>.mp4``, ``audio/<clip>.m4a``.
        index_csv: the index, often inside ``raw_dir``.
        view: the camera.

    Raises:
        ClipError: ``no_archive``: no video archive; ``unsafe_archive``; ``empty_archive``: no clip of this view in it.
    """
    aside = raw_dir.parent / f".{raw_dir.name}.unpacking"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    rows: list[Row] = []
    videos, fault = _unpack_kind(video_tar, aside, "video", rf"(?:^|/){re.escape(view)}/{_CLIP}", VIDEO_SUFFIXES)
    rows += _fault_row(fault)
    sounds: dict[str, str] = {}
    if audio_tar is not None and audio_tar.is_file():
        sounds, fault = _unpack_kind(audio_tar, aside, "audio", rf"(?:^|/){_CLIP}", AUDIO_SUFFIXES)
        rows += _fault_row(fault)
    if not videos and not rows:
        shutil.rmtree(aside)
        raise ClipError(
            "empty_archive",
            f"{video_tar}: holds no clip video/{view}/<emotion>/level_N/NNN.mp4 of {subject}; "
            "check the key acquire.view and the archive",
        )
    for clip in sorted(set(videos) | set(sounds)):
        row: Row = {"clip": clip, "status": OK, "reason": "", "message": ""}
        row |= {"video": videos.get(clip, ""), "audio": sounds.get(clip, "")}
        if clip not in videos:
            row |= {"status": FAILED, "reason": "no_video", "message": f"{video_tar} has no picture for this sound"}
        rows.append(row)
    shutil.rmtree(raw_dir, ignore_errors=True)
    aside.replace(raw_dir)
    write_index(index_csv, sorted(rows, key=lambda row: row["clip"]), ["video", "audio"])


def _unpack_kind(
    archive: Path, folder: Path, kind: str, pattern: str, suffixes: tuple[str, ...]
) -> tuple[dict[str, str], ClipError | None]:
    """Unpack the members that match to ``<folder>/<kind>/<clip>.<suffix>``: clip -> relative path, and the damage."""
    wanted = re.compile(rf"{pattern}\.(?P<suffix>{'|'.join(suffixes)})$", re.IGNORECASE)
    placed: dict[str, str] = {}

    def place(name: str) -> Path | None:
        match = wanted.search(name)
        if match is None or match["clip"] in placed:
            return None
        placed[match["clip"]] = f"{kind}/{match['clip']}.{match['suffix'].lower()}"
        return folder / placed[match["clip"]]

    fault = None
    try:
        unpack(archive, place)
    except ClipError as error:
        if error.reason != "broken_archive":
            raise
        fault = error
    return {clip: path for clip, path in placed.items() if (folder / path).is_file()}, fault


def _fault_row(fault: ClipError | None) -> list[Row]:
    if fault is None:
        return []
    return [{"clip": ARCHIVE, "status": FAILED, "reason": fault.reason, "message": " ".join(str(fault).split())}]
