"""The published recipe in two processes: phases, frozen wav2vec2, BatchNorm and accumulation by DDP."""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path += [str(Path(__file__).resolve().parents[1] / name) for name in ("", "training")]

from small_data import write_small_data
from small_published import SMALL, train_small_published

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
@pytest.mark.parametrize(("dropout", "tolerance"), [(True, 0.05), (False, 1e-4)])
def test_two_processes_train_by_the_published_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dropout: bool, tolerance: float
) -> None:
    """Both processes hold the same weights to the bit; the curve is that of one process.

    With dropout, which each process draws for its windows, the losses differ by up to 5 %; without it by rounding.
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
        "dropout": dropout,
    }
    settings = DenoiserSettings(preset="published", recipe="published", wav2vec2=SMALL, loop=LOOP)
    train_small_published(tmp_path / "one", settings=settings, **given)
    two = replace(settings, loop=replace(LOOP, devices=2))
    arguments = {**given, "settings": two, "out_dir": tmp_path / "two"}
    launch(train_small_published, arguments, settings=two.loop, device=torch.device("cpu"), folder=tmp_path / "two")

    first, second = (torch.load(tmp_path / "two" / f"weights-{n}.pt", weights_only=True) for n in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    # The audio phase has begun: wav2vec2's transformer has moved from where one process left it at first.
    one = torch.load(tmp_path / "one" / "weights-0.pt", weights_only=True)
    name = next(name for name in one if "encoder.layers.0.attention.q_proj.weight" in name)
    torch.testing.assert_close(first[name], one[name], rtol=0.05, atol=5e-4)

    curves = []
    for folder in ("one", "two"):
        with (tmp_path / folder / "history.csv").open() as file:
            curves.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert curves[0] == pytest.approx(curves[1], rel=tolerance)
    assert (curves[0] == pytest.approx(curves[1], rel=1e-4)) == (not dropout)
