"""Unpacks one subject's archives: the videos of one camera and their audio."""

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
    """Content of one archive of a subject."""

    #: The archive; None if the subject has none.
    archive: Path | None = None
    #: Clip -> path of its unpacked file, relative to the subject's folder.
    clips: dict[str, str] = field(default_factory=dict)
    #: Files of the right kind in the right folder whose names are not clip names, without suffix.
    odd: list[str] = field(default_factory=list)
    #: Cameras with clips.
    views: set[str] = field(default_factory=set)
    #: Damage of the archive, or why it is refused.
    fault: ClipError | None = None


def limits_of(settings: AcquireSettings) -> Limits:
    """Limits on the content of an archive, from the configuration."""
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

    The folder is replaced as a whole; files in it that are not from the archives are removed. Folders between ``video``
    and the view (a known fault of some archives) are skipped. Index figures: ``video`` and ``audio``, paths relative to
    ``raw_dir`` (``audio`` is empty if the archive has no such file; the video's own track is then used).

    Failed rows: audio without a video (``no_video``); files whose names are not clip names (``odd_name``, not
    unpacked). Rows ``(archive)``: the subject has no such archive (``no_archive``), it could not be downloaded
    (``not_fetched``), it is damaged (``broken_archive``; the readable part is used), it has a member with an unsafe
    name (``unsafe_archive``; nothing of it is used), or it has no clip of this view (``no_view``).

    Args:
        subject: its name.
        video_tar, audio_tar: the archives; None if the subject has none.
        raw_dir: folder to fill: ``video/<clip>.mp4``, ``audio/<clip>.m4a``.
        index_csv: the index, often inside ``raw_dir``.
        view: the camera.
        limits: limits on the content of an archive.

    Raises:
        StorageError: an archive was deleted or changed, or the disk is full; unpacked files are removed.
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
        # Unpacked files would keep a full disk full.
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
            row |= {"status": FAILED, "reason": "no_video", "message": "video.tar has no video for this audio"}
        rows.append(row)
    for name in sorted({*videos.odd, *sounds.odd}):
        message = "the file is not named <emotion>/level_N/NNN; rename it in its archive to use it"
        rows.append({"clip": name, "status": FAILED, "reason": "odd_name", "message": message})
    write_index(index_csv, sorted(rows, key=lambda row: row["clip"]), ["video", "audio"])


def _archive_rows(subject: str, videos: _Found, sounds: _Found, view: str) -> list[Row]:
    """Rows about whole archives; the video archive comes first, since the first row gives the manifest's reason."""
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
            _archive_row("no_archive", f"{subject} has no audio.tar in its folder; only audio in its videos is used")
        )
    return rows


def _unpack_kind(
    archive: Path | None, folder: Path, kind: str, above: str, suffixes: tuple[str, ...], limits: Limits
) -> _Found:
    """Unpack clips to ``<folder>/<kind>/<clip><suffix>``: videos directly below a folder ``above``, audio anywhere."""
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
        # Errors in an archive that is being written or was deleted do not mean that the archive is damaged.
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
            f"{archive}: cannot be accessed ({error.strerror}); bring it back, then run again"
        ) from error
    return about.st_size, about.st_mtime_ns


def _placing(
    found: _Found, folder: Path, kind: str, above: str, suffixes: tuple[str, ...]
) -> Callable[[str], Path | None]:
    """Function that gives the path of each member and records the members in ``found``."""

    def place(name: str) -> Path | None:
        path = PurePosixPath(name)
        parts, suffix = path.with_suffix("").parts, path.suffix.lower()
        # Names that start with a dot are metadata of other systems.
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
