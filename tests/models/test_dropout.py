"""Dropout is drawn for all processes: their parts are the result of one process."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

sys.path.append(str(Path(__file__).resolve().parents[1] / "training"))

from small_published import FEW, SMALL_SIZES

from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.dropout import ALONE, SharedDropout, attend, share_dropout

WINDOWS, FRAMES = 4, 64


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
def test_attention_is_that_of_torch_to_the_bit(kind: torch.dtype, biased: bool) -> None:
    """With dropout on a CPU, also its gradients."""
    results = []
    for shared in (False, True):
        torch.manual_seed(1)
        parts = [torch.randn(2, 8, 4, 24).to(kind).transpose(1, 2).requires_grad_() for _ in range(3)]
        bias = torch.randn(4, 8, 8) if biased else None
        torch.manual_seed(2)
        if shared:
            result = attend(*parts, bias, dropout=0.2)
        else:
            mask = None if bias is None else bias.to(kind)
            result = functional.scaled_dot_product_attention(*parts, attn_mask=mask, dropout_p=0.2)
        result.float().square().sum().backward()
        results.append([result, *(part.grad for part in parts)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize(
    "config",
    [
        # Without BatchNorm, whose statistics need the other process.
        replace(FEW, squash="fold", wav2vec2=replace(SMALL_SIZES, num_hidden_layers=6)),
        replace(FEW, squash="fold", wav2vec2=SMALL_SIZES, cross_span=1, causal=True),
        DenoiserConfig.open(),
        DenoiserConfig.compact(),
    ],
    ids=["published", "with biases", "open", "compact"],
)
def test_the_parts_of_two_processes_are_the_result_of_one(config: DenoiserConfig) -> None:
    """All dropout of a denoiser, and the layer drop of wav2vec2, for several seeds."""
    torch.manual_seed(0)
    denoiser = Denoiser(config)
    wave = torch.randn(WINDOWS, FRAMES * 640)
    audio = wave if config.audio == "wav2vec2" else torch.randn(WINDOWS, FRAMES * 4, config.mel_bands)
    points, noisy = torch.randn(WINDOWS, FRAMES, 468, 2), torch.randn(WINDOWS, FRAMES // 8, config.latent_dim)
    inputs = (noisy, torch.arange(WINDOWS), points, torch.ones(WINDOWS, FRAMES, 468), audio)

    def predicted(seed: int, rows: slice, place: tuple[int, int]) -> torch.Tensor:
        share_dropout(denoiser, place)
        torch.manual_seed(seed)
        with torch.no_grad():
            return denoiser(*(value[rows] for value in inputs))

    for seed in range(4):
        one = predicted(seed, slice(None), ALONE)
        two = torch.cat([predicted(seed, slice(0, 2), (0, 2)), predicted(seed, slice(2, 4), (1, 2))])
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(one, predicted(seed + 9, slice(None), ALONE), rtol=1e-2), "nothing is dropped"
    assert not any(type(module) is nn.Dropout for module in denoiser.modules())
    assert any(isinstance(module, SharedDropout) for module in denoiser.modules()) == (config.audio == "wav2vec2")
    denoiser.eval()
    assert torch.equal(predicted(0, slice(None), ALONE), predicted(1, slice(None), ALONE))
