"""Training itself: it learns, resumes to the bit after a kill, and its checkpoints can be evaluated."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files, write_small_data
from small_head import small_head

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.datasets.audio_kinds import AUDIO_OF_PRESET
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.predictions import read_motion, read_occlusion
from occlufacediff.face_mesh import LIPS
from occlufacediff.models.checkpoint import checkpoint_info, load_denoiser, load_motion_prior
from occlufacediff.models.provenance import TrainingOrigin, clips_digest
from occlufacediff.stages.evaluation_tables import Tables, write_tables
from occlufacediff.stages.sample_motions import Checkpoints, sample_subject
from occlufacediff.stages.score_motions import score_subject
from occlufacediff.stages.train import train_denoiser, train_motion_prior
from occlufacediff.training import loop as training_loop
from occlufacediff.training.loop import CLOCK_COLUMNS
from occlufacediff.training.mouth_swap import MouthSwap
from occlufacediff.training.optimisation import learning_rate

# Fixtures are costly: all tests of the file on one worker.
pytestmark = pytest.mark.xdist_group("training")

ORIGIN = TrainingOrigin(dataset="small", split_rule="lists", run="main")
QUICK = LoopSettings(max_steps=12, batch_size=4, validate_every=6, validation_windows=4, save_every=4, warmup_steps=2)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in csv.DictReader(file)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"))


def prior_of(files: Files, out: Path, settings: MotionPriorSettings | None = None, device: str = "cpu") -> None:
    settings = settings or MotionPriorSettings(loop=QUICK)
    train_motion_prior(
        files.manifest,
        files.packed(),
        files.head,
        out,
        settings=settings,
        origin=ORIGIN,
        seed=1,
        device=device,
    )


@pytest.fixture(scope="module")
def prior(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prior")
    prior_of(files, folder)
    return folder


def denoiser_of(files: Files, prior: Path, out: Path, settings: DenoiserSettings) -> None:
    train_denoiser(
        files.manifest,
        files.packed(),
        files.packed(AUDIO_OF_PRESET[settings.preset]),
        files.head,
        prior,
        out,
        settings=settings,
        origin=ORIGIN,
        seed=1,
        device="cpu",
    )


@pytest.fixture(scope="module")
def denoiser(files: Files, prior: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("denoiser")
    denoiser_of(files, prior, folder, DenoiserSettings(loop=QUICK))
    return folder


def test_the_prior_learns_and_leaves_unit_latents(files: Files, prior: Path) -> None:
    model, info = load_motion_prior(prior)
    assert info.head_name == "small"
    assert info.training["seed"] == 1
    rows = history(prior)
    assert [row["step"] for row in rows] == ["6", "12"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert torch.isfinite(model.latent_std).all()


def test_the_checkpoint_records_what_it_was_trained_on(prior: Path, denoiser: Path) -> None:
    for info in (checkpoint_info(prior), checkpoint_info(denoiser)):
        found = info.provenance
        assert found is not None
        assert (found.dataset, found.split_rule, found.run, found.seed) == ("small", "lists", "main", 1)
        assert (found.subjects, found.sentences, found.clips) == (("A1", "A2"), ("s0", "s1"), 4)
        ids = [f"{subject}/happy/level_1/00{number}" for subject in ("A2", "A1") for number in range(2)]
        assert found.clips_sha256 == clips_digest(ids)
        assert found.versions["torch"] == torch.__version__
        assert set(found.versions) == {"occlufacediff", "python", "torch"}


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


def test_dropping_sound_and_landmarks_trains_the_branches_of_guidance(
    files: Files, prior: Path, tmp_path: Path
) -> None:
    loop = replace(QUICK, max_steps=4, ema_decay=0.0)
    tokens = []
    for odds in (0.0, 1.0):
        settings = DenoiserSettings(loop=loop, audio_dropout=odds)
        denoiser_of(files, prior, tmp_path / str(odds), settings)
        tokens.append(load_denoiser(tmp_path / str(odds))[0].no_audio)
    assert (tokens[0] == 0).all()
    assert (tokens[1] != 0).any()


def evaluated(files: Files, prior: Path, denoiser: Path, out: Path, settings: EvaluationSettings) -> Tables:
    """Sample, score and write the tables of all subjects of the split, into ``out``."""
    tables = Tables(*(out / f"{item.name}.csv" for item in fields(Tables)))
    scores = []
    for clips, audio, coefficients in zip(files.clips, files.audio, files.coefficients, strict=True):
        subject = clips.stem
        motions, failed = (out / "motions" / f"{subject}.{ending}" for ending in ("h5", "csv"))
        sample_subject(
            subject,
            files.manifest,
            clips,
            audio,
            coefficients,
            files.head,
            Checkpoints(prior, denoiser),
            motions,
            failed,
            settings=settings,
            reconstruction=ReconstructionSettings(),
            seed=4,
            occlusion_seed=4,
            device="cpu",
        )
        scores.append([out / folder / f"{subject}.csv" for folder in ("scores", "failures")])
        score_subject(subject, motions, failed, clips, audio, coefficients, files.head, files.manifest, *scores[-1])
    write_tables(
        files.manifest,
        [pair[0] for pair in scores],
        [pair[1] for pair in scores],
        files.head,
        [prior, denoiser],
        {},
        tables,
        dataset="small",
        settings=settings,
        occlusion_seed=4,
    )
    return tables


def test_the_protocol_scores_every_method_and_occlusion(
    files: Files, prior: Path, denoiser: Path, tmp_path: Path
) -> None:
    picture = np.zeros((224, 224, 4), np.uint8)
    picture[112:] = 255
    Image.fromarray(picture).save(tmp_path / "half.png")
    settings = EvaluationSettings(
        occlusions=("none", "mouth", "audio_driven", "picture"),
        occlusion=OcclusionSettings(pictures=str(tmp_path / "half.png")),
        steps=2,
    )
    outputs = [evaluated(files, prior, denoiser, tmp_path / str(run), settings) for run in range(2)]
    motions = [tmp_path / str(run) / "motions" / "C1.h5" for run in range(2)]
    assert outputs[0].metrics.read_bytes() == outputs[1].metrics.read_bytes()
    assert motions[0].read_bytes() == motions[1].read_bytes()
    table = pd.read_csv(outputs[0].metrics).set_index(["method", "occlusion", "metric"])
    # Rows of the truth hold what can be measured without a prediction, such as its jitter.
    assert set(table.index.get_level_values("method")) == {*settings.methods, "truth"}
    assert (table["n"] == 2).all()
    assert table["unit"].notna().all()
    assert table.loc[("interpolation", "none", "lve"), "mean"] < 1e-3
    assert ("ours", "none", "lve_hidden") not in table.index
    hidden = table.loc[("interpolation", "audio_driven", "lve_hidden"), "mean"]
    assert hidden == pytest.approx(table.loc[("neutral", "audio_driven", "lve"), "mean"])
    exp, jaw = read_motion(motions[0], "mouth", "ours", "C1/happy/level_1/000")
    assert exp.shape == (70, 6)
    assert jaw.shape == (70, 3)
    occlusion, visible = read_occlusion(motions[0], "audio_driven", "C1/happy/level_1/000")
    assert occlusion.frames.all()
    assert not visible.any()
    occlusion, visible = read_occlusion(motions[0], "picture", "C1/happy/level_1/000")
    assert np.array_equal(occlusion.picture, picture)
    assert 0 < visible.mean() < 1
    with pytest.raises(AssetError, match="mouth/theirs"):
        read_motion(motions[0], "mouth", "theirs", "C1/happy/level_1/000")


def test_a_clip_without_the_region_fails_and_the_others_are_scored(
    files: Files, prior: Path, denoiser: Path, tmp_path: Path
) -> None:
    clips = tmp_path / "C1.h5"
    shutil.copyfile(files.clips[-1], clips)
    with h5py.File(clips, "r+") as store:
        landmarks = store["happy/level_1/001/landmarks"]
        points = landmarks[()]
        points[:, LIPS] = np.nan
        landmarks[...] = points
    settings = EvaluationSettings(occlusions=("none", "mouth", "upper"), methods=("neutral",), steps=2)
    outputs = evaluated(replace(files, clips=[*files.clips[:-1], clips]), prior, denoiser, tmp_path / "out", settings)
    counts = pd.read_csv(outputs.metrics).groupby("occlusion")["n"].max().to_dict()
    assert counts == {"none": 2, "mouth": 1, "upper": 2}
    failures = pd.read_csv(outputs.failures, dtype=str)
    assert failures[["occlusion", "subject", "clip", "reason"]].values.tolist() == [
        ["mouth", "C1", "happy/level_1/001", "no_region"]
    ]
    assert re.search("the detector gives no landmark of the .*lips.* in 50 of 50 frames", failures["message"][0])


def test_mouth_swap_moves_visible_landmarks_only_where_the_mouth_is_occluded(files: Files) -> None:
    torch.manual_seed(0)
    frames, size = 64, 4
    batch = {
        "exp": torch.rand(size, frames, 6),
        "jaw": torch.rand(size, frames, 3) * 0.2,
        "global_pose": torch.zeros(size, frames, 3),
        "cam": torch.tensor([7.0, 0.0, 0.0]).expand(size, frames, 3),
        "shape": torch.zeros(size, 4),
        "lmk_2d": torch.rand(size, frames, 468, 2),
        "lmk_mask": torch.ones(size, frames, 468),
    }
    mouth_swap = MouthSwap(small_head())
    assert (mouth_swap(batch, 1.0) == batch["lmk_2d"]).all()
    batch["lmk_mask"][:, 20:, :420] = 0
    changed = (mouth_swap(batch, 1.0) != batch["lmk_2d"]).any(-1).any(-1)
    assert not changed[:, :20].any()
    assert changed[:, 20:].float().mean() > 0.9
    assert (mouth_swap(batch, 0.0) == batch["lmk_2d"]).all()
