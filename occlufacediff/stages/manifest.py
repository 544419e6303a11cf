"""The table of all clips of a data set, with status and split."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from occlufacediff.config.split import SPLITS, SplitSettings
from occlufacediff.datasets.splits import ALSO_VALIDATION, UNUSED, split_of
from occlufacediff.datasets.transcripts import Sentence, read_transcripts, sentence_of
from occlufacediff.errors import ARCHIVE, AssetError, ConfigError
from occlufacediff.files import written_aside
from occlufacediff.workflow.shards import COLUMNS, FAILED, OK, read_index

log = logging.getLogger(__name__)

#: (subject, clip) -> identity and text of the spoken sentence.
Spoken = dict[tuple[str, str], tuple[str, str]]
Transcripts = dict[tuple[str, str], Sentence]

FIRST = (
    "subject",
    "clip",
    "emotion",
    "level",
    "sentence",
    "sentence_id",
    "split",
    "frames",
    "status",
    "reason",
    "message",
    "stage",
    "text",
)


def build_manifest(
    indices: Mapping[str, Sequence[Path]], sentences: Sequence[Path], manifest_csv: Path, *, settings: SplitSettings
) -> None:
    """Join the stages' indices to one row per clip and write ``manifest.csv``.

    Columns: `FIRST`, then every stage's figures as ``<stage>_<figure>``. A clip that failed in a stage has
    ``status=failed`` with the reason, message and name of the EARLIEST failing stage and no split. A usable clip whose
    subject and sentence do not belong to one split has ``status=ok``, ``split=unused`` and the reason ``other_split``
    (they belong to different ones), ``no_split`` (one of them belongs to none) or ``no_transcript`` (no table lists its
    sentence). A row about a whole archive has the clip `ARCHIVE` and is always failed. With
    ``settings.validation_is_test`` there is a column `ALSO_VALIDATION`, which is ``yes`` for test clips.

    Args:
        indices: stage -> its index files, one per subject, stages in the order of processing. A file ``index.csv``
            belongs to the subject of its folder's name, another file to the subject of its own name.
        sentences: sentence tables (`read_spoken`), later ones take precedence. A clip in none of them has the
            sentence that ``settings.transcripts`` gives it, or, without that table, its file's number ("024" is "24").
        settings: subjects and sentences of each split.

    Raises:
        AssetError: an index or table is missing or has other columns, or contradicts itself.
        ConfigError: no clip, usable or not, belongs to a split that the settings give subjects, while clips exist.
    """
    spoken = {key: said for path in sentences for key, said in read_spoken(path).items()}
    transcripts = None
    if settings.transcripts is not None:
        transcripts = read_transcripts(Path(settings.transcripts), normalise_apostrophes=settings.normalise_apostrophes)
    clips: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for stage, paths in indices.items():
        for path in paths:
            subject = path.parent.name if path.name == "index.csv" else path.stem
            for row in read_index(path):
                of_clip = clips.setdefault((subject, row["clip"]), {})
                # Both archives of a subject may have a row; the first one's reason counts.
                message = f"{of_clip[stage]['message']}; {row['message']}" if stage in of_clip else row["message"]
                of_clip[stage] = row | of_clip.get(stage, {}) | {"message": message}
    rows = [
        _row(subject, clip, clips[subject, clip], tuple(indices), spoken, transcripts, settings)
        for subject, clip in sorted(clips)
    ]
    _warn_of_unknown_clips(spoken, clips)
    figures = sorted({name for row in rows for name in row} - set(FIRST), key=_by_stage(tuple(indices)))
    table = pd.DataFrame(rows, columns=[*FIRST, *figures]).fillna("")
    if settings.validation_is_test:
        table[ALSO_VALIDATION] = (table["split"] == "test").map({True: "yes", False: "no"})
    _check_subjects(table, settings)
    with written_aside(manifest_csv) as aside:
        table.to_csv(aside, index=False, lineterminator="\n")


def _row(
    subject: str,
    clip: str,
    by_stage: dict[str, dict[str, str]],
    stages: tuple[str, ...],
    spoken: Spoken,
    transcripts: Transcripts | None,
    settings: SplitSettings,
) -> dict[str, object]:
    emotion, level, sentence = ["", "", ""] if clip == ARCHIVE else [*clip.split("/"), "", ""][:3]
    if transcripts is None:
        default = Sentence(_identity(sentence), "")
    else:
        default = sentence_of(transcripts, subject, clip) or Sentence("", "")
    sentence_id, text = spoken.get((subject, clip), (default.id, default.text))
    row: dict[str, object] = {
        "subject": subject,
        "clip": clip,
        "emotion": emotion,
        "level": level,
        "sentence": sentence,
        "sentence_id": sentence_id,
        "text": text,
    }
    for stage, index_row in by_stage.items():
        row |= {f"{stage}_{name}": value for name, value in index_row.items() if name not in COLUMNS}
    counts = (index_row.get("frames") for stage, index_row in reversed(by_stage.items()) if index_row.get("frames"))
    row["frames"] = next(counts, "")
    for stage in stages:
        found = by_stage.get(stage)
        if found is None:
            return row | _failure(stage, "not_processed", f"the stage {stage} has no row for it; run it again")
        if found["status"] != OK:
            return row | _failure(stage, found["reason"], found["message"])
    if transcripts and not sentence_id:
        split, reason, message = UNUSED, "no_transcript", "the table of transcripts does not list it"
    else:
        split, reason, message = split_of(subject, sentence_id, settings)
    message = "; ".join(filter(None, [message, *(index_row["message"] for index_row in by_stage.values())]))
    return row | {"split": split, "status": OK, "reason": reason, "message": message, "stage": ""}


def _failure(stage: str, reason: str, message: str) -> dict[str, object]:
    return {"split": "", "status": FAILED, "reason": reason, "message": message, "stage": stage}


def read_spoken(path: Path) -> Spoken:
    """Read a sentence table: (subject, clip) -> sentence identity and text.

    Columns: ``clip``, ``sentence_id``, and optionally ``text`` and ``subject``; without a column ``subject`` the table
    belongs to the subject of its folder's name. An identity is any text; leading zeros of numbers are ignored.

    Raises:
        AssetError: the table is missing or has other columns, a row names no clip or sentence, or two rows contradict.
    """
    spoken: Spoken = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.DictReader(file, restval=""), start=2):
                key = row.get("subject", path.parent.name), row["clip"].strip()
                said = _identity(row["sentence_id"].strip()), row.get("text", "")
                if not all(key) or not said[0]:
                    raise AssetError(f"{path}: line {line} names no subject, clip or sentence_id; fill it in")
                if spoken.setdefault(key, said) != said:
                    raise AssetError(
                        f"{path}: line {line} gives {'/'.join(key)} another sentence; keep one of the rows"
                    )
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise AssetError(f"{path}: needs a readable table with the columns clip, sentence_id, text") from error
    return spoken


def _identity(sentence: str) -> str:
    return str(int(sentence)) if sentence.isdecimal() else sentence


def _warn_of_unknown_clips(spoken: Spoken, clips: Collection[tuple[str, str]]) -> None:
    """Warn of rows for clips that do not exist: the name may be misspelt, or the clip may be missing."""
    subjects = {subject for subject, _ in clips}
    unknown = sorted(key for key in spoken if key not in clips and key[0] in subjects)
    if unknown:
        log.warning("%d rows of sentence tables name clips that do not exist: %s", len(unknown), unknown[:5])


def _by_stage(stages: tuple[str, ...]) -> Callable[[str], tuple[int, str]]:
    def order(name: str) -> tuple[int, str]:
        return next((place for place, stage in enumerate(stages) if name.startswith(f"{stage}_")), len(stages)), name

    return order


def _check_subjects(table: pd.DataFrame, settings: SplitSettings) -> None:
    """Raise if a misspelt subject or sentence leaves a split empty.

    If all clips of a split failed, the table is written nevertheless, because it contains the reasons; the stage that
    needs the split raises the error.
    """
    if settings.rule != "lists" or not (table["status"] == OK).any():
        return
    for split in SPLITS:
        part = getattr(settings, split)
        theirs = table[table["subject"].isin(part.subjects)]
        if part.subjects and not (theirs["sentence_id"].isin(part.sentences) | (theirs["clip"] == ARCHIVE)).any():
            raise ConfigError(
                f"split.{split}: none of {len(table)} clips belongs to its subjects {sorted(part.subjects)} "
                f"and sentences {sorted(part.sentences)}; the data set has subjects {sorted(set(table['subject']))} "
                f"and sentences {sorted(set(table['sentence_id']) - {''})}"
            )
