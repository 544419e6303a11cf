"""Motion prior and denoiser against the parity numbers, with weights filled by the rule of the goldens."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_rule import fill, ruled

from occlufacediff.models.audio_encoder import Wav2Vec2Sizes
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig, PreparedWindows
from occlufacediff.models.layers import causal_bias, distance_bias
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.published_names import (
    COMPUTED,
    OURS_ONLY,
    old_weight_norm_name,
    published_denoiser_name,
    published_prior_name,
)

Arrays = dict[str, torch.Tensor]


def arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> None:
    assert got.shape == want.shape
    assert (got - want).abs().max().item() <= tolerance


def small_config(goldens: Path, **changes: object) -> DenoiserConfig:
    sizes = json.loads((goldens / "wav2vec2_configs.json").read_text())["small"]
    sizes.pop("feat_proj_dropout")
    sizes["conv_dim"] = tuple(sizes["conv_dim"])
    return dataclasses.replace(DenoiserConfig.published(), wav2vec2=Wav2Vec2Sizes(**sizes), **changes)


@pytest.fixture(scope="module")
def inputs(goldens: Path) -> Arrays:
    read = arrays(goldens / "denoiser_inputs.npz")
    read["lmk_mask"] = torch.from_numpy(np.unpackbits(read["lmk_mask"].numpy(), axis=-1)[..., :468]).float()
    return read


@pytest.fixture(scope="module")
def small(goldens: Path) -> Denoiser:
    denoiser = Denoiser(small_config(goldens))
    fill(denoiser, published_denoiser_name)
    return denoiser


def test_fill_rule(goldens: Path) -> None:
    probes = json.loads((goldens / "rule_probes.json").read_text())["probes_first3"]
    shapes = json.loads((goldens / "state_dict_denoiser.json").read_text())
    shapes |= json.loads((goldens / "state_dict_flint.json").read_text())
    by_old_name = {old_weight_norm_name(name): entry["shape"] for name, entry in shapes.items()}
    for name, want in probes.items():
        np.testing.assert_allclose(ruled(name, tuple(by_old_name[name])).ravel()[:3], want, rtol=1e-12)


@pytest.mark.parametrize("kind", ["prior", "denoiser"])
def test_entries_map_to_the_published_names(goldens: Path, kind: str) -> None:
    if kind == "prior":
        want = json.loads((goldens / "state_dict_flint.json").read_text())
        state, rename = MotionPrior(MotionPriorConfig.published()).state_dict(), published_prior_name
        computed: frozenset[str] = frozenset()
    else:
        want = json.loads((goldens / "state_dict_denoiser.json").read_text())
        with torch.device("meta"):
            state = Denoiser(DenoiserConfig.published()).state_dict()
        rename, computed = published_denoiser_name, COMPUTED
    have = {rename(name): list(tensor.shape) for name, tensor in state.items() if name not in OURS_ONLY}
    assert have == {name: entry["shape"] for name, entry in want.items() if name not in computed}
    for name, entry in want.items():
        assert old_weight_norm_name(name) == entry.get("legacy_name", name)


@torch.no_grad()
def test_motion_prior(goldens: Path) -> None:
    want = arrays(goldens / "flint.npz")
    prior = MotionPrior(MotionPriorConfig.published())
    fill(prior, published_prior_name)
    for frames in ("T64", "T16"):
        mean, logvar = prior.encode(want[f"enc_in_{frames}"])
        close(mean, want[f"enc_mean_{frames}"], 1e-5)
        close(logvar, want[f"enc_logvar_{frames}"], 1e-5)
        close(prior.decode(want[f"dec_in_{frames}"]), want[f"dec_out_{frames}"], 1e-5)
    close(prior.decode(prior.encode(want["rt_in"])[0]), want["rt_out"], 1e-5)
    close(distance_bias(8, 8), want["alibi_mask_T8"], 1e-7)


@torch.no_grad()
def test_small_denoiser_and_its_parts(goldens: Path, small: Denoiser, inputs: Arrays) -> None:
    want = arrays(goldens / "denoiser_768_smallw2v.npz")
    lmk, mask, audio = inputs["lmk_2d"], inputs["lmk_mask"], inputs["audio_input"]
    close(small.audio_encoder.front(audio), want["tap_audio_feat_conv"], 2e-5)
    close(small.audio_encoder(audio, 64)[0], want["tap_audio_emb_b0"], 2e-5)
    landmark_features = small.landmark_condition(lmk, mask)
    audio_features = small.audio_condition(audio, 64)
    close(landmark_features.transpose(0, 1), want["tap_vis_cond"], 2e-5)
    close(audio_features.transpose(0, 1), want["tap_audio_cond"], 2e-5)
    memory = small.condition(lmk, mask, audio)
    # The parity value was taken before positions are added.
    close((memory - small.latent_positions[:8]).transpose(1, 2), want["tap_memory"], 2e-5)
    close(small.step_embedding(inputs["timesteps"])[None], want["tap_ts_emb"], 2e-5)
    close(small.denoise(inputs["x"], inputs["timesteps"], memory), want["out"], 2e-5)
    close(small(inputs["x"], inputs["timesteps"], lmk, mask, audio), want["out"], 2e-5)


@torch.no_grad()
def test_small_denoiser_without_conditions(goldens: Path, small: Denoiser, inputs: Arrays) -> None:
    want = arrays(goldens / "denoiser_768_smallw2v.npz")
    x, t = inputs["x"], inputs["timesteps"]
    lmk, mask, audio = inputs["lmk_2d"], inputs["lmk_mask"], inputs["audio_input"]
    no_visible = torch.zeros_like(mask)
    no_audio = torch.zeros(2, dtype=torch.bool)
    full = small(x, t, lmk, mask, audio)
    no_landmarks = small(x, t, lmk, no_visible, audio)
    nothing = small(x, t, lmk, no_visible, audio, no_audio)
    close(no_landmarks, want["out_uncond_lmk"], 2e-5)
    close(nothing, want["out_uncond_all"], 2e-5)
    zeroed = small.memory(torch.zeros(2, 64, 256), torch.zeros(2, 64, 512))
    close(small.denoise(x, t, zeroed), want["out_force_mask"], 2e-5)
    close(small(x[:, :4], t, lmk[:, :32], mask[:, :32], audio[:, : 32 * 640]), want["out_n32"], 2e-5)
    s_all, s_audio = (want[name][:, None, None] for name in ("cfg_scale_all", "cfg_scale_audio"))
    close((1 - s_all - s_audio) * nothing + s_all * full + s_audio * no_landmarks, want["out_cfg"], 4e-5)


@torch.no_grad()
def test_causal_variant(goldens: Path, small: Denoiser, inputs: Arrays) -> None:
    want = arrays(goldens / "denoiser_768_smallw2v.npz")
    causal = Denoiser(small_config(goldens, causal=True)).eval()
    causal.load_state_dict(small.state_dict())
    assert torch.equal(causal_bias(8, 4), want["tgt_mask_T8"])
    got = causal(inputs["x"], inputs["timesteps"], inputs["lmk_2d"], inputs["lmk_mask"], inputs["audio_input"])
    close(got, want["out_use_mask"], 2e-5)


@torch.no_grad()
@pytest.mark.slow
def test_full_denoiser(goldens: Path, inputs: Arrays) -> None:
    want = arrays(goldens / "denoiser_768_fullw2v.npz")
    with torch.device("meta"):
        denoiser = Denoiser(DenoiserConfig.published())
    denoiser = denoiser.to_empty(device="cpu")
    fresh = Denoiser(dataclasses.replace(small_config(goldens)))
    denoiser.frame_positions.copy_(fresh.frame_positions)
    denoiser.latent_positions.copy_(fresh.latent_positions)
    denoiser.landmark_mean.zero_()
    denoiser.landmark_std.fill_(1.0)
    fill(denoiser, published_denoiser_name)
    close(denoiser.audio_encoder.front(inputs["audio_input"][:1])[0, :, ::4], want["tap_audio_feat_conv_b0"], 1e-4)
    close(denoiser.audio_encoder(inputs["audio_input"], 64)[0], want["tap_audio_emb_b0"], 1e-4)
    memory = denoiser.condition(inputs["lmk_2d"], inputs["lmk_mask"], inputs["audio_input"])
    close((memory - denoiser.latent_positions[:8]).transpose(1, 2), want["tap_memory"], 1e-4)
    close(denoiser.denoise(inputs["x"], inputs["timesteps"], memory), want["out"], 1e-4)


@torch.no_grad()
@pytest.mark.parametrize("span", [0, 1])
def test_prepared_steps_equal_denoise(span: int) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(DenoiserConfig.compact(), cross_span=span)
    denoiser = Denoiser(config).eval()
    memory, x = torch.randn(3, 8, config.decoder_width), torch.randn(3, 8, config.latent_dim)
    steps = torch.tensor([0, 500, 999])
    prepared = PreparedWindows(cross=denoiser.memory_terms(memory), decoder=denoiser.step_decoder(steps))
    for index, step in enumerate(steps):
        close(denoiser.denoise_prepared(x, index, prepared), denoiser.denoise(x, step.expand(3), memory), 1e-5)
