"""Found visibility on a few real recordings, against their labels; benchmarks/visibility.py measures all of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.media.probe import probe
from occlufacediff.prediction.observation import observe
from occlufacediff.prediction.progress import no_progress
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.visibility.regions import hidden_regions

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "real"
LABELS = Path(__file__).with_name("labels.csv")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("visibility_found"),
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not here"),
]


@pytest.mark.parametrize("clip", ["occluded/hand_smell_gesture1.mp4", "occluded/clear_wife.mp4"])
def test_the_mouth_is_found_hidden_and_visible(clip: str):
    seen = observe(
        probe(RECORDINGS / clip),
        landmarks=LandmarkSettings(),
        crop=CropSettings(),
        min_seconds=0.2,
        progress=no_progress,
        finder=OcclusionFinder(),
    )
    assert seen.seen is not None
    mouth = hidden_regions(seen.seen.hidden)["mouth"]
    with LABELS.open(newline="", encoding="utf-8") as file:
        labels = {int(row["frame"]): row["mouth"] for row in csv.DictReader(file) if row["clip"] == clip}
    hidden = [bool(mouth[frame]) for frame, label in labels.items() if label == "hidden"]
    visible = [bool(mouth[frame]) for frame, label in labels.items() if label == "visible"]
    assert len(visible) >= 10 and not any(visible)
    assert all(hidden)
    # One beginning and one end.
    assert (mouth[1:] != mouth[:-1]).sum() == (2 if hidden else 0)
