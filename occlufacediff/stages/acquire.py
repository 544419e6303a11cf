"""Unpacks one subject's archives: the clips of one camera and their sounds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from occlufacediff.acquire.refusals import refusal_in
from occlufacediff.config.acquire import AcquireSettings
from occlufacediff.errors import ARCHIVE, ClipError
from occlufacediff.media.archives import LIMITS, Limits, unpack
from occlufacediff.media.suffixes import VIDEO_SUFFIXES
from occlufacediff.storage import StorageError, storage_error
from occlufacediff.workflow.shards import FAILED, OK, Row, write_index

AUDIO_SUFFIXES = (".m4a", ".aac", ".wav", ".flac", ".mp3", ".ogg", ".opus")
_CLIP = re.compile(r"[a-z]+/level_[0-9]+/[0-9]+")


@dataclass
class _Found:
    """What an archive holds of a subject."""

    #: The archive, None where the subject has none.
    archive: Path | None = None
    #: Clip -> path of its unpacked file, relative to the subject's folder.
    clips: dict[str, str] = field(default_factory=dict)
    #: Files of the right kind and place whose names are not a clip's, without their suffix.
    odd: list[str] = field(default_factory=list)
    #: Cameras that have clips.
    views: set[str] = field(default_factory=set)
    #: Damage of the archive.
    fault: ClipError | None = None


def limits_of(settings: AcquireSettings) -> Limits:
    """What the configuration lets an archive ask of the disk."""
    return Limits(settings.max_members, settings.max_member_mib << 20, settings.max_archive_gib << 30)


def unpack_subject(
    subject: str,
    video_tar: Path | None,
    audio_tar: Path | None,
    raw_dir: Path,
    index_csv: Path,
    *,
    view: str,
    limits: Limits = LIMITS,
) -> None:
    """Unpack ``video/.../<view>/<clip>.mp4`` and ``audio/<clip>.m4a`` and write the index.

    The folder appears whole, with files not of the archives removed from it. Folders between ``video`` and the view (a
    known fault of some archives) are passed over. Index figures: ``video`` and ``audio``, paths relative to ``raw_dir``
    (``audio`` empty when the archive has no such sound: the video's own track is then used).

    Failed rows: sounds without a picture (``no_video``); files whose names are no clip's (``odd_name``, left in the
    archive). Rows ``(archive)``: an archive that the subject does not have (``no_archive``), that could not be
    fetched (``not_fetched``), that is damaged (``broken_archive``: it is used as far as it can be read) or refused by a
    member's name (``unsafe_archive``: nothing of it is used), or that has no clip of this view (``no_view``).

    Args:
        subject: its name.
        video_tar, audio_tar: the archives, None where the subject has none.
        raw_dir: folder to fill: ``video/<clip>.mp4``, ``audio/<clip>.m4a``.
        index_csv: the index, often inside ``raw_dir``.
        view: the camera.
        limits: what an archive may ask of the disk.

    Raises:
        StorageError: an archive is gone or changes meanwhile, the disk is full; nothing is left of what was unpacked.
    """
    aside = raw_dir.parent / f".{raw_dir.name}.unpacking"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        videos = _unpack_kind(video_tar, aside, "video", view, VIDEO_SUFFIXES, limits)
        sounds = _unpack_kind(audio_tar, aside, "audio", "audio", AUDIO_SUFFIXES, limits)
        shutil.rmtree(raw_dir, ignore_errors=True)
        aside.replace(raw_dir)
    except Exception as error:
        # A half-unpacked subject would keep a full disk full.
        shutil.rmtree(aside, ignore_errors=True)
        fault = storage_error(error)
        if fault is None:
            raise
        raise fault from error
    rows = _archive_rows(subject, videos, sounds, view)
    for clip in sorted(set(videos.clips) | set(sounds.clips)):
        row: Row = {"clip": clip, "status": OK, "reason": "", "message": ""}
        row |= {"video": videos.clips.get(clip, ""), "audio": sounds.clips.get(clip, "")}
        if clip not in videos.clips:
            row |= {"status": FAILED, "reason": "no_video", "message": "video.tar has no picture for this sound"}
        rows.append(row)
    for name in sorted({*videos.odd, *sounds.odd}):
        message = "the file is not named <emotion>/level_N/NNN; rename it in its archive to use it"
        rows.append({"clip": name, "status": FAILED, "reason": "odd_name", "message": message})
    write_index(index_csv, sorted(rows, key=lambda row: row["clip"]), ["video", "audio"])


def _archive_rows(subject: str, videos: _Found, sounds: _Found, view: str) -> list[Row]:
    """What there is to say of the archives as a whole; the videos come first, theirs becomes the manifest's reason."""
    rows = []
    if videos.fault is not None:
        rows.append(_archive_row(videos.fault.reason, str(videos.fault)))
    elif videos.archive is None:
        rows.append(_archive_row("no_archive", f"{subject} has no video.tar in its folder; get it and run again"))
    elif not videos.clips and not videos.odd:
        other = f"its cameras are {', '.join(sorted(videos.views))}" if videos.views else "nor of another camera"
        wanted = f"{videos.archive} has no clip video/{view}/<emotion>/level_N/NNN.mp4"
        rows.append(_archive_row("no_view", f"{wanted}, {other}; see acquire.view"))
    if sounds.fault is not None:
        rows.append(_archive_row(sounds.fault.reason, str(sounds.fault)))
    elif sounds.archive is None:
        rows.append(
            _archive_row("no_archive", f"{subject} has no audio.tar in its folder; only sound in its videos is used")
        )
    return rows


def _unpack_kind(
    archive: Path | None, folder: Path, kind: str, above: str, suffixes: tuple[str, ...], limits: Limits
) -> _Found:
    """Unpack clips to ``<folder>/<kind>/<clip><suffix>``: videos right below a folder ``above``, sounds wherever."""
    found = _Found(archive)
    if archive is None:
        return found
    before = _stamp(archive)
    try:
        if refused := refusal_in(archive):
            found.fault = ClipError("not_fetched", refused)
            return found
        unpack(archive, _placing(found, folder, kind, above, suffixes), limits)
    except ClipError as error:
        # What is wrong with an archive that somebody writes to, or that is gone by now, says nothing about it.
        if _stamp(archive) != before:
            raise StorageError(f"{archive}: changed while it was read; run again when nothing writes to it") from error
        found.fault = error
    except OSError as error:
        raise (storage_error(error, archive) or StorageError(f"{archive}: cannot be read ({error})")) from error
    found.clips = {clip: path for clip, path in found.clips.items() if (folder / path).is_file()}
    return found


def _stamp(archive: Path) -> tuple[int, int]:
    try:
        about = archive.stat()
    except OSError as error:
        raise StorageError(
            f"{archive}: cannot be looked at ({error.strerror}); bring it back, then run again"
        ) from error
    return about.st_size, about.st_mtime_ns


def _placing(
    found: _Found, folder: Path, kind: str, above: str, suffixes: tuple[str, ...]
) -> Callable[[str], Path | None]:
    """Where members go; takes note of them on the way."""

    def place(name: str) -> Path | None:
        path = PurePosixPath(name)
        parts, suffix = path.with_suffix("").parts, path.suffix.lower()
        # Names with a dot in front are other systems' notes about a file.
        if suffix not in suffixes or path.name.startswith("."):
            return None
        clip = "/".join(parts[-3:])
        named = _CLIP.fullmatch(clip) is not None
        if kind == "video" and named:
            found.views.update(parts[-4:-3])
        if not named or (kind == "video" and parts[-4:-3] != (above,)):
            if above in parts[:-1]:
                found.odd.append("/".join(parts[parts.index(above) + 1 :]))
            return None
        if clip in found.clips:
            return None
        found.clips[clip] = f"{kind}/{clip}{suffix}"
        return folder / found.clips[clip]

    return place


def _archive_row(reason: str, message: str) -> Row:
    return {"clip": ARCHIVE, "status": FAILED, "reason": reason, "message": " ".join(message.split())}
