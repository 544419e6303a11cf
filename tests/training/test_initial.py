"""Training that starts from a checkpoint: what must fit, and what is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_head import small_head

from occlufacediff.config.training import DenoiserSettings
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.training_overlap import seen_in_training
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import PRIOR_OF_DENOISER, load_denoiser, load_networks, save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.provenance import Provenance, StartingPoint, TrainingOrigin, trainings
from occlufacediff.training.initial import initial_denoiser


def provenance(*clips: str, start: StartingPoint | None = None) -> Provenance:
    origin = TrainingOrigin(dataset="first", split_rule="lists", run="main")
    return Provenance.of(origin, dict.fromkeys(clips, "1"), 3, start)


@pytest.fixture(scope="module")
def asset() -> HeadAsset:
    return small_head()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, asset: HeadAsset) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(asset.n_exp + 3))
    about = {"head_name": asset.name, "head_digest": asset.digest, "expression_names": asset.expression_names}
    save_checkpoint(folder / "motion_prior", prior, **about)
    denoiser = Denoiser(DenoiserConfig.compact(prior.config.latent_dim))
    save_checkpoint(folder / "denoiser", denoiser, provenance=provenance("A/sad/level_1/001"), **about)
    return folder


def prior_of(asset: HeadAsset) -> MotionPrior:
    torch.manual_seed(0)
    return MotionPrior(MotionPriorConfig.compact(asset.n_exp + 3))


def test_weights_and_provenance_of_the_checkpoint(checkpoint: Path, asset: HeadAsset):
    denoiser, start = initial_denoiser(checkpoint, asset, prior_of(asset), DenoiserSettings())
    known = load_denoiser(checkpoint / "denoiser")[0].state_dict()
    assert all(torch.equal(tensor, known[name]) for name, tensor in denoiser.state_dict().items())
    assert start.provenance is not None and start.provenance.subjects == ("A",)
    assert len(start.weights_sha256) == 64


def test_what_does_not_fit_is_refused(checkpoint: Path, asset: HeadAsset):
    prior = prior_of(asset)
    with pytest.raises(AssetError, match=r"its network has audio 'log_mel'|its network has landmark_width"):
        initial_denoiser(checkpoint, asset, prior, DenoiserSettings(preset="open"))
    with pytest.raises(AssetError, match="trained with the head model"):
        initial_denoiser(checkpoint, small_head(seed=1), prior, DenoiserSettings())
    prior.latent_mean += 1
    with pytest.raises(AssetError, match="other weights or latent statistics; use the checkpoint's motion prior"):
        initial_denoiser(checkpoint, asset, prior, DenoiserSettings())


def test_provenance_keeps_all_trainings():
    first = provenance("A/sad/level_1/001")
    second = provenance("B/sad/level_1/001", start=StartingPoint("0" * 64, first))
    assert Provenance.from_dict(second.to_dict()) == second
    assert "start" not in first.to_dict()
    assert trainings(second) == [second, first]
    clips = {"A/sad/level_1/001": "1"}
    assert seen_in_training([second], "first", clips) == "clips"
    assert seen_in_training([provenance("B/sad/level_1/001")], "first", clips) == "sentences"
    unknown = provenance("B/sad/level_1/001", start=StartingPoint("0" * 64, None))
    assert seen_in_training([unknown], "first", clips) == "unknown"
    with pytest.raises(ValueError, match="start: needs the entries"):
        Provenance.from_dict(second.to_dict() | {"start": {"weights": 1}})


def test_a_denoiser_of_another_run_is_refused(tmp_path: Path, asset: HeadAsset):
    about = {"head_name": asset.name, "head_digest": asset.digest, "expression_names": asset.expression_names}
    prior = prior_of(asset)
    for run in ("one", "two"):
        save_checkpoint(tmp_path / run / "motion_prior", prior, **about)
        training = {PRIOR_OF_DENOISER: sha256(tmp_path / run / "motion_prior" / "model.safetensors")}
        denoiser = Denoiser(DenoiserConfig.compact(prior.config.latent_dim))
        save_checkpoint(tmp_path / run / "denoiser", denoiser, training=training, **about)
        prior.latent_mean += 1
    load_networks(tmp_path / "one" / "motion_prior", tmp_path / "one" / "denoiser", asset)
    with pytest.raises(AssetError, match=r"trained with another motion prior than .*/two/motion_prior"):
        load_networks(tmp_path / "two" / "motion_prior", tmp_path / "one" / "denoiser", asset)
