"""Transformer decoder layers with FiLM: the diffusion step scales and shifts the channels of each sublayer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from occlufacediff.models.dropout import WindowDropout
from occlufacediff.models.layers import Attention


class _Film(nn.Module):
    """Scale and shift of the channels from the step embedding: ``[scale, shift] = Linear(mish(step))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)
        nn.init.normal_(self.linear.weight, std=0.02)
        with torch.no_grad():
            self.linear.bias.zero_()
            self.linear.bias[:width] = 1.0

    def forward(self, step: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.linear(functional.mish(step)).chunk(2, dim=-1)
        return scale, shift


#: Scale and shift of the three sublayers of a layer, each (B, 1, C).
LayerFilm = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


class DecoderLayer(nn.Module):
    """Transformer decoder layer with FiLM at self-attention, cross-attention and feed-forward.

    Post-norm: ``x = film(norm(x + sublayer(x)))`` (published). Pre-norm: ``x = x + sublayer(film(norm(x)))``.
    """

    def __init__(
        self, *, width: int, heads: int, feed_forward: int, dropout: float, norm_first: bool, window_dropout: bool
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        attention_dropout = 0.0 if window_dropout else dropout
        self.self_attention = Attention(width=width, heads=heads, dropout=attention_dropout)
        self.cross_attention = Attention(width=width, heads=heads, dropout=attention_dropout)
        self.grow = nn.Linear(width, feed_forward)
        self.shrink = nn.Linear(feed_forward, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.films = nn.ModuleList(_Film(width) for _ in range(3))
        self.drop = WindowDropout(dropout, per_window=window_dropout)

    def film(self, step: Tensor) -> LayerFilm:
        """Scales and shifts of all sublayers from step embeddings (B, C)."""
        first, second, third = (film(step[:, None]) for film in self.films)
        return first, second, third

    def cross_terms(self, memory: Tensor, span: int) -> tuple[Tensor, ...]:
        """The terms of cross-attention that depend on memory (B, N, C) only.

        With span 0 this is the complete result (B, N, C), otherwise keys and values.
        """
        if span == 0:
            return (self.cross_attention.own_token(memory),)
        return self.cross_attention.keys_values(memory)

    def forward(
        self, x: Tensor, cross: tuple[Tensor, ...], film: LayerFilm, self_bias: Tensor | None, cross_bias: Tensor | None
    ) -> Tensor:
        """x (B, N, C) to (B, N, C)."""

        def self_attention(y: Tensor) -> Tensor:
            return self.self_attention(y, self_bias)

        def cross_attention(y: Tensor) -> Tensor:
            return cross[0] if len(cross) == 1 else self.cross_attention.cross(y, cross[0], cross[1], cross_bias)

        def feed_forward(y: Tensor) -> Tensor:
            return self.shrink(self.drop(functional.gelu(self.grow(y))))

        sublayers = (self_attention, cross_attention, feed_forward)
        for sublayer, norm, (scale, shift) in zip(sublayers, self.norms, film, strict=True):
            if self.norm_first:
                x = x + self.drop(sublayer(scale * norm(x) + shift))
            else:
                x = scale * norm(x + self.drop(sublayer(x))) + shift
        return x
