"""Configurations that leave a needed split empty are refused before any clip is processed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from occlufacediff.config.load import load_config
from occlufacediff.config.schema import Config
from occlufacediff.config.split import (
    MEAD_TEST_SUBJECTS,
    MEAD_TRAIN_SUBJECTS,
    SPLITS,
    SplitPart,
)
from occlufacediff.datasets.splits import subjects_of
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.inputs import check_splits

ROOT = Path(__file__).resolve().parents[2]


def _local(folder: Path, subjects: list[str], split: dict[str, Any]) -> Config:
    for name in subjects:
        (folder / name).mkdir()
        (folder / name / "video.tar").touch()
    config = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    update_config(config, {"dataset": "one", "source": "local", "archives": str(folder), "split": split})
    return load_config(config)


def test_the_synthetic_data_set_has_all_splits():
    check_splits(Config(), SPLITS)


@pytest.mark.parametrize(
    ("subjects", "split", "needed", "words"),
    [
        (["M003", "M039"], {"rule": "mead"}, "validation", "none of its subjects .'M040', 'W040'. is in the data set"),
        (["M039"], {"rule": "mead", "validation_is_test": True}, "validation", "split.test: none of its subjects"),
        (["A"], {"rule": "speakers", "train": {"subjects": ["A"]}}, "test", "split.test: no subject is listed"),
        (["M003"], {"rule": "mead"}, "train", "split.train: none of its subjects"),
        (["M040"], {"rule": "mead"}, "test", "split.test: none of its subjects .* but evaluation needs test clips"),
        (["M040"], {"rule": "mead", "validation": {"subjects": ["M040"], "sentences": ["28"]}}, "train", "has .'M040'"),
        (["M040"], {"rule": "mead", "validation": {"subjects": ["M040"]}}, "validation", "no sentence is listed"),
        (["A"], {"rule": "all_test"}, "train", "the rule 'all_test' makes every clip a test clip"),
        (["A"], {"rule": "all_train"}, "validation", "the rule 'all_train' makes every clip a train clip"),
        (["A"], {"rule": "lists"}, "train", "no subject is listed"),
        (["A"], {"test": {"subjects": ["B"], "sentences": ["1"]}}, "test", r"\['B'\] is in the data set"),
    ],
)
def test_an_empty_split_is_refused(tmp_path: Path, subjects: list[str], split: dict[str, Any], needed: str, words: str):
    use = "evaluation" if needed == "test" else "training"
    config = _local(tmp_path, subjects, split)
    with pytest.raises(ConfigError, match=words):
        check_splits(config, [needed], use)


@pytest.mark.parametrize(
    ("split", "needed"),
    [
        ({"rule": "all_test"}, ["test"]),
        ({"rule": "mead"}, SPLITS),
        ({"rule": "mead", "validation_is_test": True}, SPLITS),
        ({"rule": "speakers"}, SPLITS),
        ({"rule": "mead", "validation": {"subjects": ["M039"], "sentences": ["28"]}}, SPLITS),
        ({"validation": {"subjects": ["M003"], "sentences": ["1"]}}, ["validation"]),
    ],
)
def test_splits_with_clips_are_accepted(tmp_path: Path, split: dict[str, Any], needed: list[str]):
    check_splits(_local(tmp_path, ["M003", "M039", "M040"], split), needed)


def test_the_mead_configuration_has_all_splits(tmp_path: Path):
    given = yaml.safe_load((ROOT / "config" / "mead.yaml").read_text())
    config = _local(tmp_path, [*MEAD_TRAIN_SUBJECTS, *MEAD_TEST_SUBJECTS], given["split"])
    check_splits(config, SPLITS)
    assert config.split.validation == SplitPart()
    assert subjects_of("validation", config.split) < set(MEAD_TRAIN_SUBJECTS)


def test_the_table_of_transcripts_is_checked_before_any_clip_is_processed(tmp_path: Path):
    table = tmp_path / "table.txt"
    archives = tmp_path / "archives"
    archives.mkdir()
    table.write_text("M003_level_1_sad_001 One\n")
    config = _local(archives, ["M003", "M012", "M040"], {"rule": "mead", "transcripts": str(table)})
    check_splits(config, ["test"], "evaluation")
    with pytest.raises(ConfigError, match=r"split.train: .*table.txt has no sentence of this split for the subjects"):
        check_splits(config, ["train"])
    table.write_text("M003_level_1_sad_001 One\nM003_level_1_sad_001 Two\n")
    with pytest.raises(ConfigError, match=r"split.transcripts: .*table.txt, line 2: gives"):
        check_splits(config, ["test"], "evaluation")
