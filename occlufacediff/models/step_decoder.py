"""The part of the denoiser that runs at every diffusion step, laid out for speed; for inference only.

The same sums as ``Denoiser.denoise``, so equal but for rounding. What differs: weights lie transposed, since a CPU
multiplies few rows by them a third faster; each FiLM is folded into the norm before it; attention over a window's few
latents is written out, since the fused kernels are made for long rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from occlufacediff.models.film_layers import DecoderLayer, LayerFilm


class _Product:
    """A linear layer on rows (R, in), in a number format of its own."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._weight = layer.weight.detach().to(dtype).t().contiguous()
        self._bias = layer.bias.detach().to(dtype)

    def __call__(self, rows: Tensor) -> Tensor:
        return torch.addmm(self._bias, rows.to(self._dtype), self._weight)


@dataclass(frozen=True)
class _Layer:
    """Products of a layer and, for each step, scale and shift (C,) of its three norms."""

    heads: int
    whole: DecoderLayer
    qkv: _Product
    attended: _Product
    grow: _Product
    shrink: _Product
    norms: list[list[tuple[Tensor, Tensor]]]


def _folded(norm: nn.LayerNorm, scale: Tensor, shift: Tensor) -> list[tuple[Tensor, Tensor]]:
    """``scale * norm(x) + shift`` (S, 1, C) as a norm with weight and bias (C,) of its own for each step."""
    weight, bias = scale * norm.weight, scale * norm.bias + shift
    return list(zip(weight.float().squeeze(1), bias.float().squeeze(1), strict=True))


class StepDecoder:
    """Clean latents from noisy ones at any of the prepared steps.

    Args:
        layers: the decoder's layers.
        films: each layer's scales and shifts at all S steps, (S, 1, C) each.
        latent_in: from latents to the decoder's width.
        positions: (most latents, C).
        norm: after the layers; identity where they end in norms.
        out: the two layers to the latents.
        dtype: of products; norms and sums stay in float32.
    """

    def __init__(
        self,
        layers: Sequence[DecoderLayer],
        films: Sequence[LayerFilm],
        *,
        latent_in: nn.Linear,
        positions: Tensor,
        norm: nn.Module,
        out: tuple[nn.Linear, nn.Linear],
        dtype: torch.dtype,
    ) -> None:
        self._latent_in = _Product(latent_in, dtype)
        self._positions = positions
        self._norm = norm
        self._out = [_Product(layer, dtype) for layer in out]
        self._norm_first = layers[0].norm_first
        self._layers = []
        for layer, film in zip(layers, films, strict=True):
            by_part = [
                _folded(one, *terms)
                for one, terms in zip(layer.norms, film, strict=True)
                if isinstance(one, nn.LayerNorm)
            ]
            self._layers.append(
                _Layer(
                    heads=layer.self_attention.heads,
                    whole=layer,
                    qkv=_Product(layer.self_attention.qkv, dtype),
                    attended=_Product(layer.self_attention.out, dtype),
                    grow=_Product(layer.grow, dtype),
                    shrink=_Product(layer.shrink, dtype),
                    norms=[list(parts) for parts in zip(*by_part, strict=True)],
                )
            )

    def __call__(
        self,
        x: Tensor,
        index: int,
        cross: Sequence[tuple[Tensor, ...]],
        self_bias: Tensor | None,
        cross_bias: Tensor | None,
    ) -> Tensor:
        """x (B, N, D) at the ``index``-th step to (B, N, D) float32; ``cross`` and biases as ``DecoderLayer`` has."""
        batch, latents, _ = x.shape
        rows = self._latent_in(x.flatten(0, 1)).float().unflatten(0, (batch, latents))
        rows = (rows + self._positions[:latents]).flatten(0, 1)
        for layer, terms in zip(self._layers, cross, strict=True):
            norms = layer.norms[index]

            def attended(y: Tensor, layer: _Layer = layer) -> Tensor:
                return _attend(layer, y, latents, self_bias)

            def crossed(y: Tensor, layer: _Layer = layer, terms: tuple[Tensor, ...] = terms) -> Tensor:
                if len(terms) == 1:
                    return terms[0].flatten(0, 1)
                seen = y.unflatten(0, (batch, latents))
                return layer.whole.cross_attention.cross(seen, terms[0], terms[1], cross_bias).flatten(0, 1)

            def fed(y: Tensor, layer: _Layer = layer) -> Tensor:
                return layer.shrink(functional.gelu(layer.grow(y)))

            for part, (weight, bias) in zip((attended, crossed, fed), norms, strict=True):
                width = weight.shape
                if self._norm_first:
                    rows = rows + part(functional.layer_norm(rows, width, weight, bias))
                else:
                    rows = functional.layer_norm(rows + part(rows), width, weight, bias)
        rows = self._out[0](self._norm(rows))
        return self._out[1](functional.leaky_relu(rows, 0.2)).float().unflatten(0, (batch, latents))


def _attend(layer: _Layer, rows: Tensor, latents: int, bias: Tensor | None) -> Tensor:
    """Self-attention of rows (B * N, C) within each window."""
    width = rows.shape[1] // layer.heads
    # (3, B, heads, N, width)
    split = layer.qkv(rows).view(-1, latents, 3, layer.heads, width).permute(2, 0, 3, 1, 4)
    queries, keys, values = split.unbind(0)
    logits = queries @ (keys * width**-0.5).transpose(-1, -2)
    if bias is not None:
        logits = logits + bias.to(logits.dtype)
    mixed = logits.softmax(dim=-1).to(values.dtype) @ values
    return layer.attended(mixed.transpose(1, 2).reshape(-1, layer.heads * width))
