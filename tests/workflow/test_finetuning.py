"""A run that starts from a checkpoint: from the configuration to the report."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from small_head import small_head
from snakemake.utils import update_config
from tiny_tree import Tree

from occlufacediff.config.load import load_config
from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError
from occlufacediff.files import sha256
from occlufacediff.weights import open_weights
from occlufacediff.workflow.checkpoints import check_networks, kept_motion_prior
from occlufacediff.workflow.inputs import check_inputs
from occlufacediff.workflow.training_inputs import check_training, expressions_of

ROOT = Path(__file__).resolve().parents[2]
PRIOR = str(open_weights() / "motion_prior")


def config_of(**values: object) -> Config:
    config = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    update_config(config, values)
    return load_config(config)


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_a_finetuned_run_is_compared_with_its_checkpoint(tree: Tree):
    config = tree.override("run: {name: fine, init_from: results/tiny/runs/main}")
    assert tree.plan(config=config) == {
        "keep_motion_prior": 1,
        "train_denoiser": 1,
        "sample_motions": 1,
        "score_motions": 1,
        "write_evaluation_tables": 1,
        "make_report": 1,
    }
    result = tree.run(config=config)
    assert result.returncode == 0, result.stdout[-4000:]
    main, fine = tree.main_run, tree.results / "runs" / "fine"
    assert filecmp.cmp(main / "motion_prior" / "model.safetensors", fine / "motion_prior" / "model.safetensors", False)
    about = yaml.safe_load((fine / "denoiser" / "config.yaml").read_text())
    start = about["provenance"]["start"]
    assert start["weights_sha256"] == sha256(main / "denoiser" / "model.safetensors")
    assert start["provenance"]["run"] == "main"
    columns = ["method", "occlusion", "metric"]
    before, after = (
        pd.read_csv(folder / "evaluation" / "metrics.csv").set_index(columns)["mean"] for folder in (main, fine)
    )
    # The network before fine-tuning has the figures of its own run, and fine-tuning has changed them.
    pd.testing.assert_series_equal(after.loc["before_finetuning"], before.loc["ours"])
    assert not after.loc["ours"].equals(before.loc["ours"])
    page = (fine / "report.html").read_text()
    assert "ours, before fine-tuning" in page
    # Another checkpoint reruns the training.
    other = tree.override(f"run: {{name: fine, init_from: {fine}}}")
    assert tree.plan(config=other)["train_denoiser"] == 1


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_a_trained_motion_prior_is_used_without_training_it(tree: Tree):
    config = tree.override("run: {name: kept, motion_prior: results/tiny/runs/main/motion_prior}")
    target = "results/tiny/runs/kept/denoiser/model.safetensors"
    assert tree.plan(target, config=config) == {"keep_motion_prior": 1, "train_denoiser": 1}
    result = tree.run(target, config=config)
    assert result.returncode == 0, result.stdout[-4000:]
    main, kept = tree.main_run, tree.results / "runs" / "kept"
    for name in ("model.safetensors", "config.yaml"):
        assert filecmp.cmp(main / "motion_prior" / name, kept / "motion_prior" / name, False)
    # Same motion prior, seed and data: the denoiser is that of the main run.
    assert filecmp.cmp(main / "denoiser" / "model.safetensors", kept / "denoiser" / "model.safetensors", False)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"run": {"motion_prior": "nowhere"}}, "run.motion_prior: there is no file nowhere/model.safetensors"),
        ({"run": {"motion_prior": PRIOR, "init_from": "open"}}, "run.motion_prior: got a motion prior together with"),
        (
            {"run": {"motion_prior": PRIOR}, "denoiser": {"preset": "published"}},
            "'published' needs latents of 128 values, but the motion prior of run.motion_prior .* has 64",
        ),
        ({"run": {"motion_prior": str(Path(PRIOR).with_name("denoiser"))}}, "does not describe a motion_prior"),
        ({"run": {"init_from": "nowhere"}}, "there is no file nowhere/motion_prior/model.safetensors"),
        ({"run": {"init_from": "open"}}, "denoiser.preset: got 'compact', but the denoiser of run.init_from .* 'open'"),
        ({"denoiser": {"preset": "published"}}, "'published' needs the published motion prior"),
        ({"motion_prior": {"preset": "published"}}, "needs a head model with 100 expressions, but head is null"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_run_starts(values: dict[str, object], words: str):
    with pytest.raises(ConfigError, match=words):
        config = config_of(**values)
        kept_motion_prior(config)
        check_training(config)


def test_networks_of_another_head_model_are_refused_when_the_run_starts(tmp_path: Path):
    head = tmp_path / "small.npz"
    small_head().save(head)
    for run in ({"init_from": "open"}, {"motion_prior": PRIOR}):
        check_training(config_of(run=run, denoiser={"preset": "open"}))
        with pytest.raises(ConfigError, match=r"have 40 expressions .* but .*small\.npz has 6; give their head model"):
            check_training(config_of(run=run, denoiser={"preset": "open"}, head=str(head)))
    shutil.copytree(PRIOR, tmp_path / "prior")
    about = tmp_path / "prior" / "config.yaml"
    about.write_text(about.read_text().replace("head_name: open", "head_name: flame2020"))
    with pytest.raises(ConfigError, match="belong to the head model flame2020, but head is null"):
        check_training(config_of(run={"motion_prior": str(tmp_path / "prior")}))


def test_a_head_that_does_not_fit_the_preset(tmp_path: Path):
    path = tmp_path / "small.npz"
    small_head().save(path)
    assert expressions_of(path) == 6
    with pytest.raises(ConfigError, match=r"100 expressions, but .*small\.npz has 6; give FLAME"):
        check_training(config_of(motion_prior={"preset": "published"}, head=str(path)))
    path.write_text("no head")
    with pytest.raises(ConfigError, match=r"head: .*small\.npz is not a head model"):
        check_training(config_of(motion_prior={"preset": "published"}, head=str(path)))


def test_the_open_weights_fit_the_open_preset():
    check_training(config_of(run={"init_from": "open"}, denoiser={"preset": "open"}))
    check_training(config_of(run={"init_from": str(open_weights())}, denoiser={"preset": "open"}))


def test_networks_of_two_trainings_are_refused(tmp_path: Path):
    for network in ("motion_prior", "denoiser"):
        folder = tmp_path / network
        folder.mkdir()
        (folder / "model.safetensors").touch()
        (folder / "config.yaml").write_text(f"kind: {network}\nhead_name: open\nhead_digest: {network}\n")
    with pytest.raises(ConfigError, match="networks trained together"):
        check_training(config_of(run={"init_from": str(tmp_path)}))
    (tmp_path / "denoiser" / "config.yaml").write_text("kind: motion_prior\n")
    with pytest.raises(ConfigError, match=r"config.yaml does not describe a denoiser"):
        check_training(config_of(run={"init_from": str(tmp_path)}))


@pytest.mark.parametrize("key", ["checkpoint", "init_from"])
def test_a_denoiser_of_another_motion_prior_is_refused(tmp_path: Path, key: str):
    shutil.copytree(open_weights(), tmp_path, dirs_exist_ok=True)
    about = tmp_path / "denoiser" / "config.yaml"
    described = yaml.safe_load(about.read_text())
    described["training"]["motion_prior_sha256"] = sha256(tmp_path / "motion_prior" / "model.safetensors")
    about.write_text(yaml.safe_dump(described))
    given = {"checkpoint": str(tmp_path)} if key == "checkpoint" else {"run": {"init_from": str(tmp_path)}}
    check_networks(key, str(tmp_path))
    with (tmp_path / "motion_prior" / "model.safetensors").open("ab") as weights:
        weights.write(b"other")
    with pytest.raises(ConfigError, match=rf"{key}: the denoiser in .* was trained with another motion prior"):
        config = config_of(denoiser={"preset": "open"}, **given)
        check_inputs(config)
        check_training(config)


@pytest.mark.parametrize("name", ["a/b", "../main", "", ".hidden"])
def test_a_run_name_that_is_no_folder_is_refused(name: str):
    with pytest.raises(ConfigError, match=r"run.name: got .*needs a name of letters, digits"):
        config_of(run={"name": name})


@pytest.mark.slow
def test_the_refusal_comes_first_in_a_dry_run(bare: Tree):
    result = bare.run("--dry-run", "--config", "motion_prior={preset: published}")
    assert result.returncode == 1
    assert "needs a head model with 100 expressions" in result.stdout
    # Snakemake's own frame of an error in an input function does not appear.
    assert "Traceback" not in result.stdout and "in rule" not in result.stdout
