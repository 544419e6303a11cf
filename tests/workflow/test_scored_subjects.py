"""Which subjects, checkpoints and phones an evaluation needs, as the workflow determines it before any job runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from occlufacediff.config.load import load_config
from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError
from occlufacediff.weights import open_weights
from occlufacediff.workflow.audio_kind import evaluation_needs_phones
from occlufacediff.workflow.checkpoints import compared_runs, evaluated_checkpoints
from occlufacediff.workflow.inputs import scored_subjects, split_settings, subjects

ROOT = Path(__file__).resolve().parents[2]


def config_of(**values: object) -> Config:
    config = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    update_config(config, values)
    return load_config(config)


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_subjects_of_the_evaluated_split_are_scored(split: str) -> None:
    config = config_of(evaluation={"split": split})
    assert scored_subjects(config) == getattr(split_settings(config), split).subjects
    assert 0 < len(scored_subjects(config)) < len(subjects(config))


def test_all_subjects_are_scored_by_rules_that_name_none() -> None:
    config = config_of(split={"rule": "all_test"})
    assert scored_subjects(config) == subjects(config)


def test_the_published_split_scores_its_test_subjects(tmp_path: Path) -> None:
    names = ["M003", "M011", "W011", "X999"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "video.tar").touch()
    config = config_of(source="local", archives=str(tmp_path), split={"rule": "mead"})
    assert scored_subjects(config) == ["M003", "W011"]
    validation = config_of(
        source="local",
        archives=str(tmp_path),
        split={"rule": "mead", "validation_is_test": True},
        evaluation={"split": "validation"},
    )
    assert scored_subjects(validation) == ["M003", "W011"]


def test_checkpoints_are_folders_runs_or_the_open_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("results/synthetic/runs/seed2")
    for network in ("motion_prior", "denoiser"):
        (run / network).mkdir(parents=True)
        for name in ("model.safetensors", "config.yaml"):
            (run / network / name).touch()
    given = {"one": "seed2", "two": str(tmp_path / run), "three": "open"}
    found = evaluated_checkpoints(config_of(evaluation={"checkpoints": given}))
    assert found == {"one": str(run), "two": str(tmp_path / run), "three": str(open_weights())}
    with pytest.raises(ConfigError, match=r"checkpoints\.other: there is no file results/synthetic/runs/seed3/motion"):
        evaluated_checkpoints(config_of(evaluation={"checkpoints": {"other": "seed3"}}))


@pytest.mark.parametrize("name", ["ours", "truth", "occlusion", "before_finetuning", "a b", "a/b"])
def test_names_of_checkpoints_are_no_other_names(name: str) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.checkpoints: got the name"):
        config_of(evaluation={"checkpoints": {name: "main"}})


def test_phones_are_recognised_where_a_network_or_method_needs_them() -> None:
    assert not evaluation_needs_phones(config_of(), {})
    assert evaluation_needs_phones(config_of(evaluation={"methods": ["phone_rules"]}), {})
    # The open weights read speech features.
    assert evaluation_needs_phones(config_of(), {"open": str(open_weights())})


def test_runs_to_compare_must_be_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of(report={"compare": ["seed2"]})
    with pytest.raises(
        ConfigError, match=r"report\.compare: there is no file .*seed2.evaluation.metrics\.csv; evaluate"
    ):
        compared_runs(config)
    metrics = Path("results", config.dataset, "runs", "seed2", "evaluation", "metrics.csv")
    metrics.parent.mkdir(parents=True)
    metrics.write_text("method\n")
    assert [(name, size) for name, size, _ in compared_runs(config)] == [(str(metrics), 7)]
    with pytest.raises(ConfigError, match=r"report\.compare: got 'main', needs other runs"):
        config_of(report={"compare": ["main"]})
