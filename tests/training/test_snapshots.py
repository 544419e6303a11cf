"""Validation by sampling, snapshots, the best weights, early stop, trackers, and faults of disk and loader."""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("", "training", "robustness")]

from machine_faults import small_disk, until
from small_data import Files, write_small_data
from small_head import small_head
from toy_task import CPU, ToyTask

from occlufacediff.config.loop import LoopSettings, SampledSettings
from occlufacediff.config.training import DenoiserSettings, MotionPriorSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.face_mesh import LIPS
from occlufacediff.models.checkpoint import checkpoint_info, load_denoiser, load_motion_prior
from occlufacediff.models.provenance import TrainingOrigin
from occlufacediff.stages.train import train_denoiser, train_motion_prior
from occlufacediff.storage import StorageError
from occlufacediff.training import sampled_validation
from occlufacediff.training.loop import SAMPLED, train
from occlufacediff.training.output import loader_faults, next_batch
from occlufacediff.training.sampled_validation import SampledValidation, mouth_mask
from occlufacediff.training.state import Course
from occlufacediff.training.task import Losses

pytestmark = pytest.mark.xdist_group("snapshots")

ORIGIN = TrainingOrigin(dataset="small", split_rule="lists", run="main")
QUICK = LoopSettings(max_steps=4, batch_size=4, validate_every=2, validation_windows=4, save_every=4, warmup_steps=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"))


def train_prior(files: Files, out: Path, loop: LoopSettings) -> None:
    settings = MotionPriorSettings(loop=loop)
    train_motion_prior(
        files.manifest, files.packed(), files.head, out, settings=settings, origin=ORIGIN, seed=1, device="cpu"
    )


@pytest.fixture(scope="module")
def run(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything: snapshots of both networks, sampled validation, the best weights, TensorBoard."""
    folder = tmp_path_factory.mktemp("run")
    loop = replace(QUICK, snapshots=2, keep="best", trackers=("tensorboard",))
    train_prior(files, folder / "motion_prior", loop)
    train_denoiser(
        files.manifest,
        files.packed(),
        files.packed("log_mel"),
        files.head,
        folder / "motion_prior",
        folder / "denoiser",
        settings=DenoiserSettings(loop=loop, sampled=SampledSettings(windows=3, steps=2)),
        origin=ORIGIN,
        seed=1,
        device="cpu",
    )
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_validation_samples_with_occluded_mouths(run: Path) -> None:
    found = rows(run / "denoiser")
    assert all(float(row[SAMPLED]) > 0 for row in found)
    for step in (2, 4):
        with Image.open(run / "denoiser" / "validation" / f"step_{step:06d}.png") as picture:
            assert picture.size[0] == 800
            assert len(set(picture.convert("RGB").getdata())) > 20


def test_the_best_weights_are_kept(run: Path) -> None:
    found = rows(run / "denoiser")
    best = min(found, key=lambda row: float(row[SAMPLED]))
    training = checkpoint_info(run / "denoiser").training
    assert training["best"]["by"] == SAMPLED
    assert training["best"]["step"] == int(best["step"]) == training["last"]["step"]
    # They are the weights of the snapshot of that step.
    snapshot = run / "snapshots" / f"denoiser_step_{int(best['step']):06d}" / "denoiser" / "model.safetensors"
    assert snapshot.read_bytes() == (run / "denoiser" / "model.safetensors").read_bytes()
    # A motion prior is not sampled from: its loss decides.
    assert checkpoint_info(run / "motion_prior").training["best"]["by"] == "validation_loss"


def test_snapshots_are_checkpoints(run: Path) -> None:
    names = sorted(path.name for path in (run / "snapshots").iterdir())
    assert names == [f"{name}_step_00000{step}" for name in ("denoiser", "motion_prior") for step in (2, 4)]
    folder = run / "snapshots" / "denoiser_step_000002"
    prior, _ = load_motion_prior(folder / "motion_prior")
    denoiser, info = load_denoiser(folder / "denoiser")
    assert info.training["last"]["step"] == 2
    assert denoiser.config.latent_dim == prior.config.latent_dim
    for name in ("motion_prior_step_000002", "motion_prior_step_000004"):
        early, _ = load_motion_prior(run / "snapshots" / name / "motion_prior")
        assert (early.latent_std != 1).any()


def test_tensorboard_has_the_history_and_the_pictures(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "denoiser" / "events"))
    events.Reload()
    found = rows(run / "denoiser")
    for tag, column in (("training/loss", "loss"), ("validation/sampled_lips", SAMPLED)):
        values = [event.value for event in events.Scalars(tag)]
        assert values == pytest.approx([float(row[column]) for row in found], rel=1e-4)
    assert [image.step for image in events.Images("validation/openings")] == [2, 4]


class StandInForWandb(ModuleType):
    """Records how the training uses Weights & Biases."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.started: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0

    def init(self, **options: Any) -> StandInForWandb:
        """Open a run."""
        self.started.append(options)
        return self

    def log(self, values: dict[str, Any], *, step: int) -> None:
        """Take figures."""
        self.logged.append((step, values))

    def finish(self) -> None:
        """Close the run."""
        self.finished += 1

    def Image(self, path: str) -> str:
        """A picture is its path."""
        assert Path(path).is_file()
        return path


def test_wandb_gets_the_history_and_a_resumed_training_goes_on_in_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = StandInForWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    settings = replace(QUICK, max_steps=4, validate_every=2, trackers=("wandb",))
    out = tmp_path / "main" / "denoiser"

    def trained(settings: LoopSettings, course: Course) -> None:
        train(ToyTask(4), settings=settings, out_dir=out, course=course, seed=1, device=CPU)

    trained(settings, Course({}, {}))
    trained(replace(settings, max_steps=6), Course({}, {}))
    trained(settings, Course({"other": "1"}, {}))
    assert wandb.started[0] | {"id": ""} == {
        "project": "occlufacediff", "name": f"main {ToyTask.label}", "dir": str(out), "id": "", "resume": "allow"
    }  # fmt: skip
    first, resumed, other = (options["id"] for options in wandb.started)
    assert first == resumed != other
    assert [step for step, _ in wandb.logged] == [2, 4, 6, 2, 4]
    assert all("validation_loss" in values for _, values in wandb.logged)
    assert wandb.finished == 3


def test_a_tracker_that_is_not_installed_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = replace(QUICK, trackers=("wandb",))
    with pytest.raises(
        ConfigError, match=r"loop.trackers: wandb is not installed .*pip install wandb 'protobuf<5', or remove it"
    ):
        train(ToyTask(4), settings=settings, out_dir=tmp_path, course=Course({}, {}), seed=1, device=CPU)
    assert not (tmp_path / "history.csv").exists()


def test_the_mouth_is_occluded_and_the_rest_is_not() -> None:
    """Lips between -0.2 and 0.2: the box reaches to 0.26. One landmark was not detected."""
    points = torch.rand(2, 64, 468, 2) * 1.4 - 0.7
    points[:, :, LIPS] = torch.rand(2, 64, len(LIPS), 2) * 0.4 - 0.2
    known = torch.ones(2, 64, 468)
    known[0, :, 5] = 0
    mask = mouth_mask(points, known)
    assert (mask[:, :, LIPS] == 0).all()
    assert (mask[0, :, 5] == 0).all()
    far = (points.abs().amax(-1) > 0.27) & (known > 0)
    near = points.abs().amax(-1) < 0.25
    assert (mask[far] == 1).all()
    assert (mask[near] == 0).all()


def test_samples_equal_to_the_truth_have_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure is the mean distance of lip vertices in millimetres: 0 for the truth, larger for a wider jaw."""
    torch.manual_seed(0)
    frames = (2, 64)
    windows = {
        "exp": 0.1 * torch.randn(*frames, 6),
        "jaw": 0.1 * torch.rand(*frames, 3),
        "shape": torch.zeros(2, 4),
        "lmk_2d": torch.randn(*frames, 468, 2),
        "lmk_target": torch.randn(*frames, 468, 2),
        "log_mel": torch.zeros(2, 256, 80),
    }
    motion = torch.cat([windows["exp"], windows["jaw"]], -1)
    wide = motion.clone()
    wide[..., -3] += 0.1

    def validation(sampled: Tensor) -> float:
        monkeypatch.setattr(sampled_validation, "sample_clips", lambda *a, **k: [clip[None] for clip in sampled])
        settings = SampledSettings(windows=2, steps=1)
        made = SampledValidation(
            windows, None, None, small_head(), settings=settings, seed=0, precision="float32", device=CPU
        )  # type: ignore[arg-type]
        error, openings = made()
        assert openings.truth.shape == openings.sampled.shape == frames
        return error

    assert validation(motion) == pytest.approx(0, abs=1e-4)
    assert validation(wide) > 0.05


class Worsening(ToyTask):
    """Its validation gets worse from the second one on."""

    def validate(self) -> Losses:
        self.calls = getattr(self, "calls", 0) + 1
        return {"loss": torch.tensor([3.0, 2.0, 2.5, 2.6, 2.7, 2.8][self.calls - 1])}


class Improving(ToyTask):
    """Each of its validations is better than the one before."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.values = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]

    def validate(self) -> Losses:
        return {"loss": torch.tensor(self.values.pop(0))}


def follow(task: ToyTask, out: Path, **change: object) -> dict[str, Tensor]:
    settings = LoopSettings(max_steps=12, batch_size=4, validate_every=2, save_every=100, ema_decay=0.9)
    settings = replace(settings, **change)  # type: ignore[arg-type]
    train(task, settings=settings, out_dir=out, course=Course({}, {}), seed=1, device=CPU)
    return {name: value.clone() for name, value in task.model.state_dict().items()}


def test_a_training_stops_early_and_is_extended(tmp_path: Path) -> None:
    best = follow(Worsening(4), tmp_path / "four", max_steps=4)
    early = follow(Worsening(4), tmp_path / "early", early_stop=2, keep="best")
    assert [row["step"] for row in rows(tmp_path / "early")] == ["2", "4", "6", "8"]
    for name, value in early.items():
        # The learning rate of four steps falls faster, so only what does not depend on it is compared exactly.
        assert value.shape == best[name].shape
    assert [path.name for path in (tmp_path / "early" / "resume").glob("best*")] == ["best_000004.pt"]
    stored = torch.load(tmp_path / "early" / "resume" / "best_000004.pt", weights_only=True)
    assert stored["step"] == 4
    assert all(torch.equal(value, stored["values"][name]) for name, value in early.items())
    # The same settings train no further; more patience does.
    follow(Worsening(4), tmp_path / "early", early_stop=2, keep="best")
    assert len(rows(tmp_path / "early")) == 4
    later = Worsening(4)
    later.calls = 4  # type: ignore[attr-defined]
    follow(later, tmp_path / "early", early_stop=20, keep="best")
    assert [row["step"] for row in rows(tmp_path / "early")] == ["2", "4", "6", "8", "10", "12"]


def test_keeping_the_best_leaves_the_course_of_the_weights(tmp_path: Path) -> None:
    plain = follow(ToyTask(4), tmp_path / "plain")
    kept = follow(ToyTask(4), tmp_path / "kept", early_stop=50)
    assert all(torch.equal(value, kept[name]) for name, value in plain.items())


def test_a_full_disk_in_a_snapshot_loses_nothing(files: Files, tmp_path: Path) -> None:
    loop = replace(QUICK, snapshots=2)
    whole = tmp_path / "whole" / "motion_prior"
    train_prior(files, whole, loop)
    out = tmp_path / "run" / "motion_prior"
    with small_disk(tmp_path / "run" / "snapshots", "40k"):
        with pytest.raises(StorageError, match=r"snapshots/.*: cannot be written: the disk is full; free some space"):
            train_prior(files, out, loop)
        assert not list((tmp_path / "run" / "snapshots").rglob("config.yaml"))
    train_prior(files, out, loop)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    for step in (2, 4):
        name = f"snapshots/motion_prior_step_{step:06d}/motion_prior/model.safetensors"
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_killed_loader_process_ends_the_training_with_one_message(files: Files, tmp_path: Path) -> None:
    def loaders() -> list[int]:
        own = Path(f"/proc/{os.getpid()}/task")
        return [int(pid) for path in own.glob("*/children") for pid in path.read_text().split()]

    before = set(loaders())

    def kill() -> None:
        until((tmp_path / "out" / "resume" / "state.pt").exists)
        for pid in set(loaders()) - before:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    loop = replace(QUICK, max_steps=100_000, validate_every=100_000, loader_workers=1, save_every=2)
    with pytest.raises(AssetError, match=r"motion prior: a data loader process ended at step \d+ .*run again"):
        train_prior(files, tmp_path / "out", loop)
    killer.join()


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), EOFError()])
def test_a_loader_process_that_ends_while_it_hands_over_a_batch(error: Exception) -> None:
    def batches() -> Iterator[Any]:
        raise error
        yield

    message = r"prior: a data loader process ended at step 7 \(.*(reset|EOFError)"
    with pytest.raises(AssetError, match=message), loader_faults("prior", lambda: 7):
        next_batch(batches())


def test_the_state_of_another_run_is_kept_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resume = tmp_path / "resume"

    def trained(seed: str) -> str:
        settings = LoopSettings(max_steps=12, batch_size=4, validate_every=2, save_every=100, keep="best", early_stop=9)
        course = Course({}, {"seed": seed})
        train(ToyTask(4), settings=settings, out_dir=tmp_path, course=course, seed=int(seed), device=CPU)
        return capsys.readouterr().err

    def content(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    trained("1")
    first = content(resume)
    assert len(first) == 2
    printed = trained("2")
    assert "training starts from the beginning: other seed\n" in printed
    assert "resume/replaced: keeps the state of that training; to continue it" in printed
    assert content(resume / "replaced") == first
    # Set back without moving the files: the first state is not lost by the second mistake.
    second = content(resume)
    assert "resume/replaced_2: keeps the state" in trained("1")
    assert content(resume / "replaced") == first
    assert content(resume / "replaced_2") == second
    for path in (resume / "replaced_2").iterdir():
        path.replace(resume / path.name)
    for path in set(resume.glob("best_*.pt")) - {resume / name for name in second}:
        path.unlink()
    assert "resumes from step 12 of 12" in trained("2")


def test_a_killed_training_finds_the_best_weights_of_its_state(tmp_path: Path) -> None:
    """Killed after a better validation that the state does not know; the next start validates less often."""

    class Killed(Improving):
        def prepare(self, micro_batch: int) -> None:
            if micro_batch == 7:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(Killed(4), tmp_path, save_every=4, keep="best")
    names = sorted(path.name for path in (tmp_path / "resume").glob("best*"))
    assert names == ["best_000004.pt", "best_000006.pt"]
    later = Improving(4)
    later.values = [9.0]
    kept = follow(later, tmp_path, save_every=4, keep="best", validate_every=12)
    stored = torch.load(tmp_path / "resume" / "best_000004.pt", weights_only=True)["values"]
    assert all(torch.equal(value, stored[name]) for name, value in kept.items())
    assert [path.name for path in (tmp_path / "resume").glob("best*")] == ["best_000004.pt"]


def test_snapshots_of_another_training_are_not_taken_for_its_own(files: Files, tmp_path: Path) -> None:
    loop = replace(QUICK, snapshots=2)
    train_prior(files, tmp_path / "motion_prior", loop)
    name = Path("motion_prior_step_000002") / "motion_prior" / "model.safetensors"
    first = (tmp_path / "snapshots" / name).read_bytes()
    train_prior(files, tmp_path / "motion_prior", replace(loop, learning_rate=2e-3))
    assert (tmp_path / "snapshots" / name).read_bytes() != first
    assert (tmp_path / "snapshots" / "replaced" / name).read_bytes() == first
