"""The benchmark of blinks and gaze: its figures, labels and glasses."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import eyes

from occlufacediff.export.blinks import LIDS


def test_blinks_are_counted() -> None:
    mean = np.zeros(60)
    mean[[10, 30]], mean[50] = 0.9, 0.5
    figures = eyes.blink_figures(mean, [(9, 10), (49, 51)])
    assert (figures["blinks"], figures["found"], figures["false"], figures["peaks"]) == (2, 1, 1, [0.9, 0.5])


def test_labelled_recordings_are_read(tmp_path: Path) -> None:
    """Motions with a weak blink at each label: only full blinks are found."""
    with eyes.LABELS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lids: dict[str, np.ndarray] = {row["recording"]: np.zeros((400, 2)) for row in rows}
    for row in rows:
        if row["first"]:
            lids[row["recording"]][int(row["first"]) : int(row["last"]) + 1] = 0.4
    for recording, values in lids.items():
        (tmp_path / recording).mkdir()
        np.savez(tmp_path / recording / "motion.npz", exp=values, expression_names=np.asarray(LIDS))
    result = eyes.recorded(tmp_path)
    for worn, count in (("glasses", 7), ("bare", 17)):
        assert (result[f"{worn}, measured"]["blinks"], result[f"{worn}, measured"]["found"]) == (count, 0)
        assert (result[f"{worn}, full"]["found"], result[f"{worn}, full"]["false"]) == (count, 0)


@pytest.mark.long
def test_generated_heads_are_compared() -> None:
    result = eyes.generated(1, 4.0)
    assert set(result) == {f"{worn}, {blinks}" for worn in eyes.WORN for blinks in ("measured", "full")}
    for row in result.values():
        assert row["blinks"] >= 1 and row["correlation"] > 0.6 and max(row["gaze"]) < 10
