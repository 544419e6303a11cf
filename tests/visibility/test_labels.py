"""The labels of real recordings are well formed, and both parts hold every kind of label."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from occlufacediff.media.frames import count_at_25_fps
from occlufacediff.visibility.regions import REGIONS

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT.parent / "shared" / "real"
LABELS = Path(__file__).with_name("labels.csv")


def rows() -> list[dict[str, str]]:
    with LABELS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_labels_are_complete_and_of_known_kinds():
    table = rows()
    assert len(table) >= 300
    assert len({(row["clip"], row["frame"]) for row in table}) == len(table)
    assert {row["part"] for row in table} == {"development", "test"}
    assert {row["sure"] for row in table} == {"yes", "no"}
    for region in REGIONS:
        assert {row[region] for row in table} <= {"visible", "partly", "hidden", "unsure"}
    parts = {row["clip"]: row["part"] for row in table}
    assert all(parts[row["clip"]] == row["part"] for row in table)


def test_both_parts_have_hidden_and_visible_mouths():
    count = Counter((row["part"], row["mouth"]) for row in rows())
    assert min(count[part, label] for part in ("development", "test") for label in ("hidden", "visible")) >= 40


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not here")
def test_every_label_is_of_a_frame_that_exists():
    last: dict[str, int] = {}
    for row in rows():
        last[row["clip"]] = max(last.get(row["clip"], 0), int(row["frame"]))
    assert {clip: frame for clip, frame in last.items() if frame >= count_at_25_fps(RECORDINGS / clip)} == {}
