"""Phases of the published recipe: which epochs are visual, and what is frozen in them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from occlufacediff.models.audio_encoder import LogMelEncoder, Wav2Vec2Encoder, Wav2Vec2Sizes
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.training.phases import Phases, audio_parameters, enter_phase

SIZES = Wav2Vec2Sizes(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=(8,) * 7,
    num_conv_pos_embeddings=4,
    num_conv_pos_embedding_groups=2,
)


def published() -> Denoiser:
    """The published architecture with few channels."""
    torch.manual_seed(0)
    return Denoiser(
        replace(
            DenoiserConfig.published(),
            latent_dim=8,
            landmark_width=8,
            audio_width=24,
            encoder_layers=1,
            encoder_feed_forward=16,
            decoder_width=16,
            decoder_layers=1,
            decoder_feed_forward=16,
            wav2vec2=SIZES,
        )
    )


def step(model: Denoiser, optimizer: torch.optim.Optimizer, *, none: bool = True) -> None:
    """One step on random numbers, with masked audio frames."""
    masked = torch.zeros(2, 64, dtype=torch.bool)
    masked[:, 5:15] = True
    if none:
        optimizer.zero_grad(set_to_none=True)
    out = model(
        torch.randn(2, 8, 8),
        torch.tensor([1, 500]),
        torch.randn(2, 64, 468, 2),
        torch.ones(2, 64, 468),
        torch.randn(2, 64 * 640),
        audio_masked=masked,
    )
    out.square().mean().backward()
    optimizer.step()


def test_the_phase_of_each_of_the_50_epochs() -> None:
    visual = {1, 2, *range(6, 9), *range(12, 15), *range(18, 21), *range(24, 27), *range(30, 33), *range(36, 39)}
    visual |= {*range(42, 45), *range(48, 51)}
    phases = Phases()
    assert {epoch for epoch in range(1, 51) if phases.of_epoch(epoch) == "visual"} == visual
    assert {epoch for epoch in range(1, 51) if phases.of_epoch(epoch) == "audio"} == set(range(1, 51)) - visual
    assert phases.first_audio_epoch() == 3
    assert Phases(4, 2).of_epoch(5) == "visual"
    assert Phases(6, 6).first_audio_epoch() is None
    with pytest.raises(ValueError, match="epoch: got 0"):
        phases.of_epoch(0)


def test_modes_and_gradients_of_both_phases() -> None:
    model = published().train()
    encoder = model.audio_encoder
    assert isinstance(encoder, Wav2Vec2Encoder)
    parts = (encoder.model.feature_projection, encoder.model.encoder)
    for phase, trained in (("visual", False), ("audio", True), ("visual", False)):
        model.train()
        enter_phase(model, phase)
        for part in parts:
            assert all(module.training == trained for module in part.modules())
            assert all(parameter.requires_grad == trained for parameter in part.parameters())
        assert encoder.model.masked_spec_embed.requires_grad == trained
        assert not any(p.requires_grad for p in encoder.model.feature_extractor.parameters())
        others = [module for name, module in model.named_modules() if not name.startswith("audio_encoder")]
        assert all(module.training for module in others)
        norms = [module for module in others if isinstance(module, nn.BatchNorm1d)]
        assert len(norms) == 3
        frozen = {id(p) for p in audio_parameters(model)} | {
            id(p) for p in encoder.model.feature_extractor.parameters()
        }
        assert all(p.requires_grad for p in model.parameters() if id(p) not in frozen)


def test_a_visual_phase_leaves_frozen_tensors_as_they_are() -> None:
    model = published()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(3):
        model.train()
        enter_phase(model, "visual")
        step(model, optimizer)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("audio_encoder.") for name in moved)
    assert {"audio_in.weight", "landmark_in.weight", "squash.blocks.0.norm.running_mean", "out.bias"} <= moved
    enter_phase(model.train(), "audio")
    step(model, optimizer)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"audio_encoder.model.masked_spec_embed", "audio_encoder.model.encoder.layer_norm.weight"} <= moved
    assert not any(name.startswith("audio_encoder.model.feature_extractor") for name in moved)


@pytest.mark.parametrize("drift", [False, True])
def test_only_the_published_optimizer_moves_frozen_tensors_after_an_audio_phase(drift: bool) -> None:
    model = published()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    enter_phase(model.train(), "audio")
    step(model, optimizer)
    before = [parameter.detach().clone() for parameter in audio_parameters(model)]
    optimizer.zero_grad(set_to_none=True)
    enter_phase(model.train(), "visual", drift=drift)
    step(model, optimizer, none=False)
    moved = [not torch.equal(p, old) for p, old in zip(audio_parameters(model), before, strict=True)]
    assert all(moved) if drift else not any(moved)


def test_an_accumulated_group_that_straddles_phases_keeps_the_gradient_of_the_audio_phase() -> None:
    model = published()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    enter_phase(model.train(), "audio")
    model(*inputs()).square().mean().backward()
    gradient = model.audio_encoder.get_parameter("model.encoder.layer_norm.weight").grad
    assert gradient is not None
    gradient = gradient.clone()
    enter_phase(model.train(), "visual", drift=True)
    model(*inputs()).square().mean().backward()
    after = model.audio_encoder.get_parameter("model.encoder.layer_norm.weight").grad
    assert after is not None
    assert torch.equal(after, gradient)
    optimizer.step()


def inputs() -> tuple[torch.Tensor, ...]:
    return (
        torch.randn(2, 8, 8),
        torch.tensor([1, 500]),
        torch.randn(2, 64, 468, 2),
        torch.ones(2, 64, 468),
        torch.randn(2, 64 * 640),
    )


def test_our_audio_encoder_is_frozen_as_a_whole() -> None:
    model = Denoiser(DenoiserConfig.compact(8)).train()
    assert isinstance(model.audio_encoder, LogMelEncoder)
    enter_phase(model, "visual")
    assert not any(p.requires_grad for p in model.audio_encoder.parameters())
    assert all(p.requires_grad for name, p in model.named_parameters() if not name.startswith("audio_encoder."))
