"""A training resumes to the bit after a kill, is extended, or starts again where it is another one."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files
from small_head import small_head
from small_training import QUICK, denoiser_of, history, prior_of

from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.models.checkpoint import checkpoint_info
from occlufacediff.training import loop as training_loop
from occlufacediff.training.optimisation import learning_rate

# Fixtures are costly: all tests that use them run on one worker.
pytestmark = pytest.mark.xdist_group("training")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = training_loop.learning_rate

    def rate(now: int, settings: LoopSettings, epoch_steps: float) -> float:
        if now == step:
            raise KeyboardInterrupt
        return real(now, settings, epoch_steps)

    monkeypatch.setattr(training_loop, "learning_rate", rate)


def test_a_killed_training_goes_on_as_if_nothing_had_happened(
    files: Files, prior: Path, denoiser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DenoiserSettings(loop=QUICK)
    with monkeypatch.context() as patch:
        killed_at(10, patch)
        with pytest.raises(KeyboardInterrupt):
            denoiser_of(files, prior, tmp_path, settings)
    assert (tmp_path / "resume" / "state.pt").is_file()
    assert not (tmp_path / "model.safetensors").exists()
    denoiser_of(files, prior, tmp_path, settings)
    assert history(tmp_path) == history(denoiser)
    assert (tmp_path / "model.safetensors").read_bytes() == (denoiser / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def half_way(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a motion prior's training that was killed after its state of step 8."""
    folder = tmp_path_factory.mktemp("half_way")
    with pytest.MonkeyPatch.context() as patch:
        killed_at(9, patch)
        with pytest.raises(KeyboardInterrupt):
            prior_of(files, folder)
    return folder


def resumed(
    files: Files, half_way: Path, out: Path, settings: MotionPriorSettings, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a training prints that finds the state of another one in its folder."""
    shutil.copytree(half_way, out)
    prior_of(files, out, settings)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"loader_workers": 1},
        {"save_every": 5},
        {"validate_every": 4},
        {"max_minutes": 60.0},
    ],
)
def test_settings_that_leave_the_course_unchanged_resume(
    files: Files,
    prior: Path,
    half_way: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, float],
) -> None:
    settings = MotionPriorSettings(loop=replace(QUICK, **change))
    printed = resumed(files, half_way, tmp_path / "out", settings, capsys)
    assert "motion prior: resumes from step 8 of 12\n" in printed
    weights = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "out", prior)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"learning_rate": 2e-3}, "loop.learning_rate is 0.002, was 0.001"),
        ({"batch_size": 5}, "loop.batch_size is 5, was 4"),
        ({"ema_decay": 0.5}, "loop.ema_decay is 0.5, was 0.98"),
        ({"max_steps": 11}, "loop.max_steps is 11, was 12: only a larger number extends a training"),
    ],
)
def test_settings_that_change_the_course_start_again_and_are_named(
    files: Files,
    half_way: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, float],
    reason: str,
) -> None:
    settings = MotionPriorSettings(loop=replace(QUICK, **change))
    printed = resumed(files, half_way, tmp_path / "out", settings, capsys)
    assert f"state.pt: not used, training starts from the beginning: {reason}\n" in printed
    assert "resumes" not in printed
    assert history(tmp_path / "out")[0]["step"] == "6"


def test_other_data_and_another_head_start_again_and_are_named(
    files: Files, half_way: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(files.manifest, dtype=str, keep_default_na=False)
    table.loc[(table["subject"] == "A2") & (table["clip"] == "happy/level_1/001"), "status"] = "failed"
    table.to_csv(tmp_path / "manifest.csv", index=False)
    fewer = replace(files, manifest=tmp_path / "manifest.csv")
    settings = MotionPriorSettings(loop=QUICK)
    assert "beginning: other training clips\n" in resumed(fewer, half_way, tmp_path / "data", settings, capsys)
    small_head(seed=1).save(tmp_path / "head.npz")
    other = replace(files, head=tmp_path / "head.npz")
    assert "beginning: other head model\n" in resumed(other, half_way, tmp_path / "head", settings, capsys)


def test_a_damaged_state_starts_again(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "resume").mkdir()
    (tmp_path / "resume" / "state.pt").write_bytes(b"rubbish")
    prior_of(files, tmp_path)
    assert "cannot be read" in capsys.readouterr().err


def test_a_finished_training_is_extended(
    files: Files, prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = replace(QUICK, max_steps=18)
    printed = resumed(files, prior, tmp_path / "out", MotionPriorSettings(loop=longer), capsys)
    assert "motion prior: resumes from step 12 of 18, extended from 12\n" in printed
    rows = history(tmp_path / "out")
    assert [row["step"] for row in rows] == ["6", "12", "18"]
    assert rows[:2] == history(prior)
    # From the step of the extension on, the learning rate is that of the longer schedule.
    assert float(rows[1]["learning_rate"]) == pytest.approx(learning_rate(11, QUICK), rel=1e-5)
    assert float(rows[2]["learning_rate"]) == pytest.approx(learning_rate(17, longer), rel=1e-5)
    schedule = checkpoint_info(tmp_path / "out").training["schedule"]
    assert schedule == [{"from_step": 0, "max_steps": 12}, {"from_step": 12, "max_steps": 18}]


def test_a_finished_training_is_not_trained_twice(
    files: Files, prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(prior, tmp_path / "out")
    for name in ("model.safetensors", "config.yaml", "history.csv"):
        (tmp_path / "out" / name).unlink()
    killed_at(0, monkeypatch)
    prior_of(files, tmp_path / "out")
    for name in ("model.safetensors", "config.yaml"):
        assert (tmp_path / "out" / name).read_bytes() == (prior / name).read_bytes()
    assert history(tmp_path / "out") == history(prior)
