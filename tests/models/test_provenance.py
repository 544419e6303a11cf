"""What a checkpoint was trained on: read back from its file, and compared with the clips of an evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from occlufacediff.config.names import NETWORKS
from occlufacediff.errors import AssetError
from occlufacediff.models.checkpoint import checkpoint_info, save_checkpoint
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.provenance import Provenance, TrainingOrigin, clips_digest
from occlufacediff.weights import open_weights

ORIGIN = TrainingOrigin(dataset="talks", split_rule="lists", run="main")
TRAINED = Provenance.of(ORIGIN, {"A/x/1": "7", "A/x/2": "8", "B/x/1": "7"}, seed=5)


def saved(folder: Path, provenance: Provenance | None) -> Path:
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(9))
    head = {"head_name": "open", "head_digest": "ab" * 32, "expression_names": [f"e{number}" for number in range(6)]}
    save_checkpoint(folder, prior, **head, provenance=provenance)
    return folder


def test_it_is_read_back(tmp_path: Path) -> None:
    assert checkpoint_info(saved(tmp_path / "a", TRAINED)).provenance == TRAINED
    assert (TRAINED.subjects, TRAINED.sentences, TRAINED.clips) == (("A", "B"), ("7", "8"), 3)
    assert TRAINED.clips_sha256 == clips_digest(["B/x/1", "A/x/2", "A/x/1"])


def test_old_and_foreign_checkpoints_have_none(tmp_path: Path) -> None:
    folder = saved(tmp_path, None)
    assert checkpoint_info(folder).provenance is None
    described = yaml.safe_load((folder / "config.yaml").read_text())
    del described["provenance"]
    (folder / "config.yaml").write_text(yaml.safe_dump(described))
    assert checkpoint_info(folder).provenance is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subjects": "A"}, "subjects: got 'A'"),
        ({"clips": "many"}, "clips: got 'many'"),
        ({"more": 1}, "needs the entries dataset, split_rule"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = saved(tmp_path, TRAINED)
    described = yaml.safe_load((folder / "config.yaml").read_text())
    described["provenance"] |= change
    (folder / "config.yaml").write_text(yaml.safe_dump(described))
    with pytest.raises(AssetError, match=rf"config\.yaml: entry 'provenance' is damaged: {message}"):
        checkpoint_info(folder)


def test_clips_of_other_subjects_were_not_trained_on() -> None:
    found = TRAINED.overlap("talks", {"C/x/1": "7", "C/x/2": "9"})
    assert (found.subjects, found.sentences, found.clips, found.total) == ((), ("7",), 0, 2)
    assert found.same_dataset
    assert not found.trained_on


def test_subject_and_sentence_decide_whatever_the_data_sets_name() -> None:
    found = TRAINED.overlap("talks_occluded", {"A/x/1": "7", "A/x/3": "9", "B/x/2": "8"})
    assert (found.subjects, found.sentences, found.clips, found.total) == (("A", "B"), ("7", "8"), 2, 3)
    assert not found.same_dataset
    assert found.trained_on


def test_without_sentences_the_subject_decides() -> None:
    assert replace(TRAINED, sentences=()).overlap("talks", {"A/x/9": "9", "C/x/1": "7"}).clips == 1
    assert TRAINED.overlap("talks", {"A/x/9": "", "C/x/1": ""}).clips == 1


def test_the_open_weights_were_trained_on_generated_clips() -> None:
    for network in NETWORKS:
        found = checkpoint_info(open_weights() / network).provenance
        assert found is not None
        assert found.dataset == "generated landmark clips"
        assert (len(found.subjects), found.clips, found.seed) == (13, 1950, 7)
        assert not found.overlap("mead", {"M003/happy/level_1/001": "1"}).trained_on
