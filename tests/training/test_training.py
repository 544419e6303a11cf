"""Training itself: it learns, and its checkpoints describe it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files
from small_training import QUICK, denoiser_of, history

from occlufacediff.config.training import DenoiserSettings
from occlufacediff.models.checkpoint import checkpoint_info, load_denoiser, load_motion_prior
from occlufacediff.models.provenance import clips_digest

# Fixtures are costly: all tests that use them run on one worker.
pytestmark = pytest.mark.xdist_group("training")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


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
