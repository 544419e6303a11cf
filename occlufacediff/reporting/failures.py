"""What became of the clips that were left out: counted by reason and by subject, and listed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from occlufacediff.errors import ARCHIVE

#: Failures listed one by one; a large data set has its others in the manifest.
MOST_FAILURES = 200
#: Every reason that a manifest may give, with what it means and what to do about it.
REASONS = {
    "broken_archive": "an archive cannot be read, or only in part; fetch it again",
    "unsafe_archive": "an archive holds names or kinds of files that could harm, and is refused; ask where it is from",
    "not_fetched": "an archive could not be fetched; its row says why, and the command that tries again",
    "no_archive": "there is no such archive; fetch it",
    "no_view": "the archive has no clip of this camera; leave the subject out or choose another acquire.view",
    "odd_name": "the file is not named <emotion>/level_N/NNN; rename it in its archive to use it",
    "no_video": "there is no picture for the sound, or the file has no track of pictures",
    "broken_video": "the video is empty, no video, damaged, or was cut off; fetch it again",
    "too_short": "the clip is shorter than conversion.min_seconds",
    "too_long": "the clip is longer than conversion.max_seconds, or its time stamps are damaged",
    "no_audio": "there is no sound, neither in the archive of sounds nor in the video",
    "broken_audio": "the sound cannot be decoded; fetch it again",
    "silent": "the sound holds nothing to be heard",
    "audio_mismatch": "sound and picture differ in length by more than audio.max_mismatch_s",
    "no_face": "no face was found in any frame",
    "few_faces": "a face was found in fewer frames than landmarks.min_found asks for",
    "no_landmarks": "the published landmarks do not have this clip",
    "bad_landmarks": "the published landmarks of this clip cannot be read",
    "no_coefficients": "the published coefficients do not have this clip",
    "bad_coefficients": "the published coefficients of this clip cannot be read",
    "frames_differ": "published files and video differ in their number of frames",
    "all_hidden": "nothing of the face is visible",
    "no_region": "the detector gives no landmark of the part of the face that is to be hidden",
    "no_mask": "there is no mask for this clip",
    "bad_mask": "the mask of this clip cannot be read",
    "bad_fit": "the head model misses the landmarks by more than reconstruction.bad_fit_px",
    "encoder": "a video or sound could not be written; see the message",
    "not_processed": "a stage has no row for it; run it anew",
    "other_split": "usable, but its subject and its sentence belong to different splits",
    "no_split": "usable, but its subject or its sentence belongs to no split",
}


def failure_part(manifest: pd.DataFrame) -> dict[str, Any]:
    """Tables of the report about clips left out.

    Args:
        manifest: with the columns ``subject clip split status reason``, and ``message`` if there is one.

    Returns:
        ``note``: how many of how many; ``reasons``: rows ``reason clips subjects meaning``, the most frequent first;
        ``subjects``: rows ``subject used found reasons`` of the subjects that lost a clip; ``clips``: rows ``subject
        clip reason message``, at most `MOST_FAILURES`; ``used_with_note``: rows ``subject clip message``.
    """
    table = _as_text(manifest)
    failed = table[table["status"] != "ok"]
    clips, lost = (rows[rows["clip"] != ARCHIVE] for rows in (table, failed))
    bare = subjects_without_clips(manifest)
    notes = [f"{len(lost)} of {len(clips)} clips could not be used; all others went on."]
    if bare:
        notes.append(f"Subjects without any usable clip: {', '.join(bare)}.")
    if len(failed) > MOST_FAILURES:
        notes.append(f"The first {MOST_FAILURES} are listed below; the manifest has all {len(failed)}.")
    told = table[(table["status"] == "ok") & (table["reason"] == "") & (table["message"] != "")]
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
        "used_with_note": _rows(told, ("subject", "clip", "message")),
    }


def failure_line(manifest: pd.DataFrame) -> str:
    """One line for a console: how many clips are used, how many were left out and why."""
    table = _as_text(manifest)
    failed = table[table["status"] != "ok"]
    used = int((table["status"] == "ok").sum())
    if failed.empty:
        return f"clips: {used} usable, none left out"
    bare = subjects_without_clips(manifest)
    without = f"; without any usable clip: {', '.join(bare)}" if bare else ""
    return f"clips: {used} usable, {int((failed['clip'] != ARCHIVE).sum())} left out ({_counts(failed)}){without}"


def subjects_without_clips(manifest: pd.DataFrame) -> list[str]:
    """Subjects none of whose clips can be used, sorted."""
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
    """``no_audio 4, no_face``, the most frequent first."""
    return ", ".join(f"{reason} {len(part)}" if len(part) > 1 else str(reason) for reason, part in _by_count(rows))


def _by_count(rows: pd.DataFrame) -> Iterable[tuple[object, pd.DataFrame]]:
    return sorted(rows.groupby("reason", sort=True), key=lambda group: -len(group[1]))


def _rows(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[dict[str, str]]:
    return [{name: str(row[name]) for name in columns} for row in rows.head(MOST_FAILURES).to_dict("records")]


def _as_text(manifest: pd.DataFrame) -> pd.DataFrame:
    """The columns needed here as text, empty where the manifest has none."""
    columns = ["subject", "clip", "status", "reason", "message"]
    return manifest.reindex(columns=columns).astype(object).fillna("").astype(str)
