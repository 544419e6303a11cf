"""Packing of the open weights: rounding, model card, and the files in the package."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_head import N_EXP, small_head

from occlufacediff import weights
from occlufacediff.config.open_weights import OpenWeightsSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior, rounded, save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.stages import open_weights as stage
from occlufacediff.stages.open_weights import change_by_rounding, measured, pack_open_weights

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 40


@dataclass(frozen=True)
class Trained:
    """Files that go in."""

    motion_prior: Path
    denoiser: Path
    head: Path
    shard: Path

    def pack(self, out: Path, figures: Path | None = None) -> str:
        """The card of the packed weights."""
        settings = OpenWeightsSettings()
        pack_open_weights(
            self.motion_prior, self.denoiser, self.head, self.shard, out, settings=settings, seed=3, figures=figures
        )
        return (out / "MODEL_CARD.md").read_text()


def save(folder: Path, model: MotionPrior | Denoiser) -> Path:
    head = small_head()
    training = {"settings": {"preset": "open"}, "seed": 3, "device": "cpu", "last": {"step": 9, "loss": 1 / 3}}
    names = head.expression_names
    save_checkpoint(
        folder, model, head_name=head.name, head_digest=head.digest, expression_names=names, training=training
    )
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Untrained networks of the right sizes, on a small head, and a shard of noise."""
    folder = tmp_path_factory.mktemp("trained")
    small_head().save(folder / "head.npz")
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    denoiser = Denoiser(DenoiserConfig.open(prior.config.latent_dim))
    rng = np.random.default_rng(0)
    with h5py.File(folder / "shard.h5", "w") as file:
        for number in range(2):
            group = file.create_group(f"clip_{number:06d}")
            group["landmarks"] = rng.uniform(-0.8, 0.8, (FRAMES, 468, 2)).astype(np.float32)
            group["speech"] = rng.standard_normal((4 * FRAMES, 60)).astype(np.float32)
    return Trained(
        save(folder / "prior", prior), save(folder / "denoiser", denoiser), folder / "head.npz", folder / "shard.h5"
    )


def test_half_the_size_and_the_same_motion(trained, tmp_path):
    text = trained.pack(tmp_path)
    for name, source in (("motion_prior", trained.motion_prior), ("denoiser", trained.denoiser)):
        packed = tmp_path / name / "model.safetensors"
        assert packed.stat().st_size < 0.52 * (source / "model.safetensors").stat().st_size
        assert sha256(packed) in text
        kinds = {tensor.dtype for tensor in load_file(packed).values() if tensor.ndim >= 2}
        assert kinds == {torch.float16}
    prior, info = load_motion_prior(tmp_path / "motion_prior")
    denoiser, _ = load_denoiser(tmp_path / "denoiser")
    for model in (prior, denoiser):
        assert {tensor.dtype for tensor in model.state_dict().values()} <= {torch.float32, torch.int64}
    assert info.training["last"]["step"] == 9
    before = (load_denoiser(trained.denoiser)[0], load_motion_prior(trained.motion_prior)[0])
    change = change_by_rounding(*before, small_head(), trained.shard, seed=3)
    assert 0 < change.mean < 0.01
    # What was rounded does not change when it is rounded again.
    assert change_by_rounding(denoiser, prior, small_head(), trained.shard, seed=3).largest == 0


def test_the_same_networks_give_the_same_bytes(trained, tmp_path):
    cards = [trained.pack(tmp_path / name) for name in ("a", "b")]
    assert cards[0] == cards[1]
    first = (tmp_path / "a/denoiser/model.safetensors").read_bytes()
    assert first == (tmp_path / "b/denoiser/model.safetensors").read_bytes()


def test_what_rounding_would_move_stays_as_it_is(trained, tmp_path):
    prior, _ = load_motion_prior(trained.motion_prior)
    with torch.no_grad():
        prior.motion_std *= 1000
    text = replace(trained, motion_prior=save(tmp_path / "wild", prior)).pack(tmp_path / "out")
    assert "float32." in text and "matrices in float16" not in text
    assert {tensor.dtype for tensor in load_file(tmp_path / "out/denoiser/model.safetensors").values()} == {
        torch.float32
    }


def test_a_value_that_half_precision_cannot_hold_is_named():
    with pytest.raises(ValueError, match="'wide'"):
        rounded({"wide": torch.full((2, 2), 1e6)})
    kept = rounded({"narrow": torch.full((2,), 1e-9), "count": torch.ones((2, 2), dtype=torch.int64)})
    assert kept["narrow"].dtype == torch.float32 and kept["count"].dtype == torch.int64


def test_weights_too_large_for_a_package_are_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "LARGEST_BYTES", 1_000_000)
    with pytest.raises(AssetError, match=r"the limit is 1 MB; choose smaller presets in open_weights"):
        trained.pack(tmp_path)
    assert not (tmp_path / "MODEL_CARD.md").exists()


def test_a_shard_that_is_none_is_refused(trained, tmp_path):
    (tmp_path / "shard.h5").write_bytes(b"no shard")
    with pytest.raises(AssetError, match=r"shard\.h5: not a readable shard"):
        replace(trained, shard=tmp_path / "shard.h5").pack(tmp_path / "out")


def test_the_card_shows_figures_of_these_weights_only(trained, tmp_path):
    trained.pack(tmp_path / "out")
    digest = sha256(tmp_path / "out/denoiser/model.safetensors")
    figures = tmp_path / "real_clips.csv"
    figures.write_text(
        "denoiser_sha256,part,hidden,frames,lips\n"
        f"{digest[:16]},held out,mouth,all,-12 %\n{'0' * 64},open,mouth,all,-99 %\n"
    )
    text = trained.pack(tmp_path / "out", figures)
    assert "| part | hidden | frames | lips |" in text and "| held out | mouth | all | -12 % |" in text
    assert "-99" not in text
    figures.write_text("denoiser_sha256,hidden,frames\nabc,mouth,all\n")
    with pytest.raises(AssetError, match="at least twelve digits"):
        measured(figures, digest)
    figures.write_text("hidden,frames\nmouth,all\n")
    with pytest.raises(AssetError, match="column denoiser_sha256 is missing; "):
        measured(figures, digest)
    # The card explains these two.
    figures.write_text(f"denoiser_sha256,lips\n{digest},-12 %\n")
    with pytest.raises(AssetError, match="column hidden, frames is missing; scores for the card need denoiser"):
        measured(figures, digest)


def test_the_card_names_seed_settings_last_figures_and_every_ingredient(trained, tmp_path):
    text = trained.pack(tmp_path)
    for word in (
        "seed 3",
        "`open_weights.clips.idle_motion` | 0.1",
        "| step | loss |",
        "| 9 | 0.3333 |",
        "None were measured",
    ):
        assert word in text
    for word in ("CC0", "eSpeak NG", "GPL", "PocketSphinx", "BSD", "MediaPipe", "Apache-2.0", "dictionary"):
        assert word in text.split("## Licence")[1], word
    assert "{{" not in text and "{%" not in text


def test_a_build_without_weights_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(AssetError, match=r"motion_prior/model\.safetensors is missing.*snakemake open_weights"):
        weights.open_weights()
    for network in weights.NETWORKS:
        (tmp_path / network).mkdir()
        for name in weights.FILES:
            (tmp_path / network / name).touch()
    assert weights.open_weights() == tmp_path


def test_a_wheel_takes_the_weights_along():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["occlufacediff.weights"]
    files = [stage.CARD, *(f"{network}/{name}" for network in weights.NETWORKS for name in weights.FILES)]
    for name in files:
        assert any(Path(name).match(pattern) for pattern in patterns), name
