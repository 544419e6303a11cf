"""What was left out is counted and explained; tables of the sentences spoken are checked."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import make_faulty_archives as faults
import pandas as pd
import pytest

from occlufacediff.config.split import SplitPart, SplitSettings
from occlufacediff.errors import ARCHIVE, AssetError
from occlufacediff.reporting.failures import MOST_FAILURES, REASONS, failure_line, failure_part
from occlufacediff.stages.manifest import build_manifest, read_spoken
from occlufacediff.workflow.shards import write_index

PACKAGE = Path(__file__).resolve().parents[2] / "occlufacediff"


def manifest_of(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Rows ``subject clip reason message``; a reason of a split leaves the clip usable."""
    table = pd.DataFrame(rows, columns=["subject", "clip", "reason", "message"]).replace("", None)
    usable = table["reason"].isna() | table["reason"].isin(["no_split", "other_split"])
    return table.assign(status=usable.map({True: "ok", False: "failed"}))


def test_every_reason_of_the_package_is_explained() -> None:
    given = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ClipError":
                reason = node.args[0]
                if isinstance(reason, ast.Constant):
                    given.add(reason.value)
    assert {"no_face", "broken_video", "unsafe_archive"} <= given
    assert given <= set(REASONS)
    assert {one.reason for person in faults.PEOPLE for one in person.recordings} - {""} <= set(REASONS)


def test_counts_by_reason_and_by_subject() -> None:
    part = failure_part(
        manifest_of(
            ("A", "happy/level_1/001", "", ""),
            ("A", "happy/level_1/002", "", "the video's own audio is used"),
            ("A", "happy/level_1/003", "no_face", "none <here>"),
            ("A", "happy/level_1/004", "no_audio", "silence"),
            ("A", "happy/level_1/005", "no_audio", "silence"),
            ("B", ARCHIVE, "no_view", "only down"),
            ("C", "happy/level_1/001", "other_split", "subject C is of test"),
        )
    )
    assert [(row["reason"], row["clips"], row["subjects"]) for row in part["reasons"]] == [
        ("no_audio", 2, 1),
        ("no_face", 1, 1),
        ("no_view", 1, 1),
        ("other_split", 1, 1),
    ]
    assert part["subjects"] == [
        {"subject": "A", "used": 2, "found": 5, "reasons": "no_audio 2, no_face"},
        {"subject": "B", "used": 0, "found": 0, "reasons": "no_view"},
    ]
    assert part["note"] == ("3 of 6 clips failed; all others are used. Subjects without any usable clip: B.")
    assert [row["clip"] for row in part["used_with_note"]] == ["happy/level_1/002"]
    assert len(part["clips"]) == 4


def test_a_line_for_the_console_and_a_long_list() -> None:
    good = manifest_of(("A", "happy/level_1/001", "", ""))
    assert failure_line(good) == "clips: 1 usable, none failed"
    assert failure_part(good)["clips"] == []
    many = manifest_of(*[("A", f"sad/level_1/{n:03d}", "no_face", "") for n in range(MOST_FAILURES + 5)])
    assert failure_line(many).endswith("(no_face 205); without any usable clip: A")
    part = failure_part(many)
    assert len(part["clips"]) == MOST_FAILURES
    assert f"the manifest has all {MOST_FAILURES + 5}" in part["note"]


def index(folder: Path, subject: str, rows: list[dict[str, str]]) -> Path:
    path = folder / "clips" / f"{subject}.csv"
    write_index(path, [{"status": "ok", "reason": "", "message": "", "frames": "70"} | row for row in rows], ["frames"])
    return path


def test_the_users_table_wins_and_strangers_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    indices = {"clips": [index(tmp_path, "M003", [{"clip": f"sad/level_1/0{n}"} for n in (10, 11, 12)])]}
    beside = tmp_path / "M003" / "sentences.csv"
    beside.parent.mkdir()
    beside.write_text("clip,sentence_id\nsad/level_1/010,9\nsad/level_1/011,10\n")
    own = tmp_path / "own.csv"
    own.write_text("\ufeffsubject,clip,sentence_id\nM003,sad/level_1/011,009\nM003,sad/level_1/099,1\nM005,x/y/1,3\n")
    with caplog.at_level(logging.WARNING):
        build_manifest(indices, [beside, own], tmp_path / "m.csv", settings=SplitSettings(rule="mead"))
    table = pd.read_csv(tmp_path / "m.csv", dtype=str, keep_default_na=False)
    assert table["sentence_id"].tolist() == ["9", "9", "12"]
    assert table["split"].tolist() == ["test", "test", "unused"]
    assert "1 rows of sentence tables name clips that do not exist" in caplog.text and "099" in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip,sentence_id\nsad/level_1/001,\n", "line 2 names no"),
        ("clip,sentence_id\nsad/level_1/001,1\nsad/level_1/001,2\n", "line 3 gives M003/sad/level_1/001 another"),
        ("clip;sentence_id\nsad/level_1/001;1\n", "columns clip, sentence_id"),
        ("subject,clip,sentence_id\n,sad/level_1/001,1\n", "line 2 names no"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "M003" / "sentences.csv"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(AssetError, match=words):
        read_spoken(path)


def test_a_split_whose_clips_all_failed_still_has_its_table(tmp_path: Path) -> None:
    failed = {"status": "failed", "reason": "no_face", "message": "none"}
    indices = {
        "clips": [
            index(tmp_path, "A", [{"clip": "sad/level_1/001"}]),
            index(tmp_path, "B", [{"clip": "sad/level_1/002"} | failed]),
            index(tmp_path, "C", [{"clip": ARCHIVE, **failed}, {"clip": ARCHIVE, **failed, "message": "sound too"}]),
        ]
    }
    settings = SplitSettings(
        train=SplitPart(["A"], ["1"]), validation=SplitPart(["B"], ["2"]), test=SplitPart(["C"], ["3"])
    )
    build_manifest(indices, [], tmp_path / "m.csv", settings=settings)
    table = pd.read_csv(tmp_path / "m.csv", dtype=str, keep_default_na=False).set_index("subject")
    assert table["split"].to_dict() == {"A": "train", "B": "", "C": ""}
    assert table.loc["C", "message"] == "none; sound too"
    assert table.loc["C", "emotion"] == ""
