"""Failed clips: counted by reason and by subject, and listed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from occlufacediff.errors import ARCHIVE, UNEXPECTED
from occlufacediff.evaluation import external

#: Maximum number of failures in the list; a large data set has the others in its manifest.
MOST_FAILURES = 200
#: Every reason of a failed clip, with its meaning and a remedy.
REASONS = {
    "broken_archive": "the archive is damaged or incomplete; download it again",
    "unsafe_archive": "the archive contains names or file types that could do harm and is rejected; ask its source",
    "not_fetched": "the archive could not be downloaded; its row has the reason and the command that retries",
    "no_archive": "the archive does not exist; download it",
    "no_view": "the archive has no clip of this camera; leave the subject out or choose another acquire.view",
    "odd_name": "the file's name cannot be used; in an archive it must be <emotion>/level_N/NNN; rename it",
    "equal_name": "another video of the speaker has the same name but for its suffix or special characters; rename it",
    "no_video": "the clip has audio but no video file, or the file has no video track",
    "broken_video": "the file is empty, not a video, damaged or truncated; download it again",
    "too_short": "the clip is shorter than conversion.min_seconds",
    "too_long": "the clip is longer than conversion.max_seconds, or its time stamps are damaged",
    "no_audio": "neither the audio archive nor the video has audio",
    "broken_audio": "the audio cannot be decoded; download it again",
    "silent": "the audio is silent",
    "audio_mismatch": "audio and video differ in length by more than audio.max_mismatch_s",
    "no_face": "no face was found in any frame",
    "few_faces": "a face was found in fewer frames than landmarks.min_found requires",
    "no_landmarks": "EMOTE's landmarks do not include this clip",
    "bad_landmarks": "EMOTE's landmarks of this clip cannot be read",
    "no_coefficients": "EMOTE's coefficients do not include this clip",
    "bad_coefficients": "EMOTE's coefficients of this clip cannot be read",
    "frames_differ": "EMOTE's files and the video differ in their number of frames",
    "all_hidden": "no part of the face is visible",
    "no_region": "the detector gives no landmark of the region to occlude",
    "no_mask": "this clip has no mask",
    "bad_mask": "the mask of this clip cannot be read",
    "bad_fit": "the fit misses the landmarks by more than reconstruction.bad_fit_px",
    "encoder": "a video or audio file could not be written; see the message",
    "not_processed": "a stage has no row for the clip; run it again",
    "other_split": "usable, but its subject and its sentence belong to different splits",
    "no_transcript": "usable, but the table of transcripts does not list it",
    "no_split": "usable, but its subject or its sentence belongs to no split",
    **external.REASONS,
    UNEXPECTED: "the program raised an error that it did not foresee; the log has the traceback, please report it",
}


def failure_part(manifest: pd.DataFrame) -> dict[str, Any]:
    """Tables of failed clips for the report.

    Args:
        manifest: with the columns ``subject clip split status reason``, and optionally ``message``.

    Returns:
        ``note``: numbers of failed clips and of all clips. ``reasons``: rows ``reason clips subjects meaning``, the
        most frequent first. ``subjects``: rows ``subject used found reasons`` of subjects with failed clips.
        ``clips``: rows ``subject clip reason message``, at most `MOST_FAILURES`. ``used_with_note``: rows ``subject
        clip message``.
    """
    table = _as_text(manifest)
    failed = table[table["status"] != "ok"]
    clips, lost = (rows[rows["clip"] != ARCHIVE] for rows in (table, failed))
    bare = subjects_without_clips(manifest)
    notes = [f"{len(lost)} of {len(clips)} clips failed; all others are used."]
    if bare:
        notes.append(f"Subjects without any usable clip: {', '.join(bare)}.")
    if len(failed) > MOST_FAILURES:
        notes.append(f"The first {MOST_FAILURES} are listed below; the manifest has all {len(failed)}.")
    noted = table[(table["status"] == "ok") & (table["reason"] == "") & (table["message"] != "")]
    return {
        "note": " ".join(notes),
        "reasons": [
            {
                "reason": str(reason),
                "clips": len(rows),
                "subjects": rows["subject"].nunique(),
                "meaning": REASONS.get(str(reason), "see the message"),
            }
            for reason, rows in _by_count(table[table["reason"] != ""])
        ],
        "subjects": [
            _subject_row(str(subject), rows)
            for subject, rows in table.groupby("subject", sort=True)
            if (rows["status"] != "ok").any()
        ],
        "clips": _rows(failed, ("subject", "clip", "reason", "message")),
        "used_with_note": _rows(noted, ("subject", "clip", "message")),
    }


def failure_line(manifest: pd.DataFrame) -> str:
    """One line for the console: number of usable and of failed clips, with reasons."""
    table = _as_text(manifest)
    failed = table[table["status"] != "ok"]
    used = int((table["status"] == "ok").sum())
    if failed.empty:
        return f"clips: {used} usable, none failed"
    bare = subjects_without_clips(manifest)
    without = f"; without any usable clip: {', '.join(bare)}" if bare else ""
    return f"clips: {used} usable, {int((failed['clip'] != ARCHIVE).sum())} failed ({_counts(failed)}){without}"


def subjects_without_clips(manifest: pd.DataFrame) -> list[str]:
    """Subjects without any usable clip, sorted."""
    usable = (manifest["status"] == "ok").groupby(manifest["subject"].astype(str)).any()
    return sorted(str(subject) for subject, any_usable in usable.items() if not any_usable)


def _subject_row(subject: str, rows: pd.DataFrame) -> dict[str, Any]:
    found = rows[rows["clip"] != ARCHIVE]
    return {
        "subject": subject,
        "used": int((found["status"] == "ok").sum()),
        "found": len(found),
        "reasons": _counts(rows[rows["status"] != "ok"]),
    }


def _counts(rows: pd.DataFrame) -> str:
    """Reasons with counts, sorted by frequency: ``no_audio 4, no_face``."""
    return ", ".join(f"{reason} {len(part)}" if len(part) > 1 else str(reason) for reason, part in _by_count(rows))


def _by_count(rows: pd.DataFrame) -> Iterable[tuple[object, pd.DataFrame]]:
    return sorted(rows.groupby("reason", sort=True), key=lambda group: -len(group[1]))


def _rows(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[dict[str, str]]:
    return [{name: str(row[name]) for name in columns} for row in rows.head(MOST_FAILURES).to_dict("records")]


def _as_text(manifest: pd.DataFrame) -> pd.DataFrame:
    """The columns used here as text; columns that the manifest does not have are empty."""
    columns = ["subject", "clip", "status", "reason", "message"]
    return manifest.reindex(columns=columns).astype(object).fillna("").astype(str)
