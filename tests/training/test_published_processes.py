"""Two processes give the curve of one, with dropout: phases, frozen wav2vec2, BatchNorm, accumulation by DDP."""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("", "training")]

from small_data import Files, write_small_data
from small_published import SMALL, train_small_published
from small_training import QUICK, denoiser_of

from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.models.provenance import TrainingOrigin
from occlufacediff.stages.train import train_motion_prior
from occlufacediff.training.processes import launch

#: Ten micro-batches an epoch, so the audio phase begins with number 20, in the middle of step 7.
LOOP = LoopSettings(
    max_steps=8,
    batch_size=2,
    accumulate=3,
    learning_rate=1e-4,
    schedule="constant",
    warmup_steps=0,
    clip_norm=None,
    ema_decay=0.0,
    validate_every=4,
    validation_windows=4,
)


@pytest.mark.slow
def test_two_processes_train_by_the_published_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both processes hold the same weights to the bit; the curve is that of one process up to rounding.

    Dropout and layer drop act: without them the curve is another one.
    """
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    files = write_small_data(tmp_path / "data", frames=(70, 64))
    prior = tmp_path / "motion_prior"
    train_motion_prior(
        files.manifest,
        files.packed(),
        files.head,
        prior,
        settings=MotionPriorSettings(
            preset="published", recipe="published", fit_to_head=True, loop=replace(LOOP, max_steps=2)
        ),
        origin=TrainingOrigin(dataset="small", split_rule="lists", run="main"),
        seed=1,
        device="cpu",
    )
    given = {
        "manifest": files.manifest,
        "face": files.packed(),
        "audio": files.packed("waveform"),
        "head": files.head,
        "motion_prior_dir": prior,
    }
    settings = DenoiserSettings(preset="published", recipe="published", wav2vec2=SMALL, loop=LOOP)
    train_small_published(tmp_path / "one", settings=settings, **given)
    train_small_published(tmp_path / "without", settings=settings, dropout=False, **given)
    two = replace(settings, loop=replace(LOOP, devices=2))
    arguments = {**given, "settings": two, "out_dir": tmp_path / "two"}
    launch(train_small_published, arguments, settings=two.loop, device=torch.device("cpu"), folder=tmp_path / "two")

    first, second = (torch.load(tmp_path / "two" / f"weights-{n}.pt", weights_only=True) for n in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    # The audio phase has begun: wav2vec2's transformer has moved, as in one process.
    one = torch.load(tmp_path / "one" / "weights-0.pt", weights_only=True)
    name = next(name for name in one if "encoder.layers.0.attention.q_proj.weight" in name)
    torch.testing.assert_close(first[name], one[name], rtol=1e-3, atol=1e-5)

    alone = losses(tmp_path / "one")
    assert losses(tmp_path / "two") == pytest.approx(alone, rel=1e-4)
    assert losses(tmp_path / "without") != pytest.approx(alone, rel=1e-3)


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_two_processes_train_the_open_preset(files: Files, prior: Path, tmp_path: Path) -> None:
    """The curve is that of one process, with dropout per window and the mouth swap."""
    settings = DenoiserSettings(preset="open", loop=QUICK)
    for name, devices in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        denoiser_of(files, prior, tmp_path / name, replace(settings, loop=replace(QUICK, devices=devices)))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def losses(folder: Path) -> list[float]:
    """The curve of the training loss."""
    with (folder / "history.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]
