"""What is said about scored clips that networks were trained on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from occlufacediff.evaluation.training_overlap import seen_in_training
from occlufacediff.models.provenance import Provenance, TrainingOrigin


def trained(*clips: tuple[str, str], dataset: str = "d") -> Provenance:
    """The provenance of a training on clips ``(id, sentence)``."""
    return Provenance.of(TrainingOrigin(dataset, "lists", "main"), dict(clips), seed=1)


BASE = (("A/x/1", "7"), ("B/x/1", "8"))


@pytest.mark.parametrize(
    ("clips", "dataset", "expected"),
    [
        ([("C/x/1", "9")], "d", "no"),
        ([("C/x/1", "9")], "other", "no_subjects"),
        ([("C/x/1", "")], "d", "no_subjects"),
        ([("C/x/1", "7")], "d", "sentences"),
        ([("A/x/9", "9")], "d", "subjects"),
        ([("A/x/9", "8")], "d", "clips"),
        ([("A/x/9", "9"), ("C/x/1", "7")], "d", "subjects_and_sentences"),
        ([("C/x/1", "9"), ("A/x/9", "7")], "d", "clips"),
        ([("A/x/1", "7")], "other", "clips"),
    ],
)
def test_overlap_of_scored_and_trained_clips(clips: Sequence[tuple[str, str]], dataset: str, expected: str) -> None:
    assert seen_in_training([trained(*BASE)], dataset, dict(clips)) == expected
    # The most that any network used.
    assert seen_in_training([trained(("Z/x/1", "99")), trained(*BASE)], dataset, dict(clips)) == expected


def test_unknown_provenance_is_never_taken_as_unseen() -> None:
    clips = {"C/x/1": "9"}
    assert seen_in_training([None, trained(*BASE)], "d", clips) == "unknown"
    assert seen_in_training([None, trained(*BASE)], "d", {"A/x/1": "7"}) == "clips"
