"""Layers shared by motion prior and denoiser: positions, attention, down- and upsampling over time.

All tensors are batch-first, ``(B, T, C)``. Names of parameters (``grow``, ``squash``, ...) are the names of entries in
checkpoints and must not change.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from occlufacediff.models.dropout import ALONE, WindowDropout, attend

#: Frames per latent, in all models.
FRAMES_PER_LATENT = 8


def sinusoids(length: int, width: int) -> Tensor:
    """Sinusoidal position table (length, width): sine on even channels, cosine on odd channels, base 10000."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate[: width // 2])
    return table


def distance_bias(frames: int, heads: int, device: torch.device | None = None) -> Tensor:
    """ALiBi bias (heads, frames, frames) of the motion prior: ``-2^-(h+1) * |i - j|``."""
    position = torch.arange(frames, device=device, dtype=torch.float32)
    slopes = 2.0 ** -torch.arange(1, heads + 1, device=device, dtype=torch.float32)
    return -slopes[:, None, None] * (position[:, None] - position[None, :]).abs()


def causal_bias(frames: int, heads: int, device: torch.device | None = None) -> Tensor:
    """Causal bias (heads, frames, frames): ``-2^(-8(h+1)/heads) * floor((i - j) / 2)``, -inf for j > i."""
    position = torch.arange(frames, device=device)
    lag = position[:, None] - position[None, :]
    slopes = 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1, device=device, dtype=torch.float32))
    bias = -slopes[:, None, None] * torch.div(lag, 2, rounding_mode="floor").float()
    return bias.masked_fill(lag < 0, float("-inf"))


class Attention(nn.Module):
    """Multi-head attention with one joint projection for queries, keys and values.

    Args:
        width: channels C of queries, keys and values.
        heads: number of heads; must divide ``width``.
        dropout: probability of dropping an attention weight in training.

    Attributes:
        place: of this process among those that train together, see `models.dropout`.
    """

    def __init__(self, *, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: got {heads}, needs a divisor of the width {width}")
        self.heads = heads
        self.dropout = dropout
        self.place = ALONE
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Self-attention over x (B, T, C); ``bias`` (heads, T, T) is added to the logits."""
        queries, keys, values = (self._split(part) for part in self.qkv(x).chunk(3, dim=-1))
        return self._attend(queries, keys, values, bias)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, S, C / heads) of memory (B, S, C)."""
        width = memory.shape[-1]
        both = functional.linear(memory, self.qkv.weight[width:], self.qkv.bias[width:])
        keys, values = both.chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def cross(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """Cross-attention of x (B, T, C) to the ``keys_values`` of a memory; ``bias`` (T, S) is added to the logits."""
        width = x.shape[-1]
        queries = functional.linear(x, self.qkv.weight[:width], self.qkv.bias[:width])
        return self._attend(self._split(queries), keys, values, bias)

    def own_token(self, memory: Tensor) -> Tensor:
        """Cross-attention where each query attends to its own memory token only; independent of the queries."""
        width = memory.shape[-1]
        return self.out(functional.linear(memory, self.qkv.weight[2 * width :], self.qkv.bias[2 * width :]))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        attended = attend(queries, keys, values, bias, dropout=dropout, place=self.place)
        return self.out(attended.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Transformer encoder layer with GELU.

    Args:
        width: channels.
        heads: attention heads.
        feed_forward: hidden channels of the feed-forward sublayer.
        dropout: dropout probability in training.
        norm_first: pre-norm, otherwise post-norm (published).
        window_dropout: drop channels over whole windows instead of single values and attention weights.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        feed_forward: int,
        dropout: float = 0.0,
        norm_first: bool = False,
        window_dropout: bool = False,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = Attention(width=width, heads=heads, dropout=0.0 if window_dropout else dropout)
        self.grow = nn.Linear(width, feed_forward)
        self.shrink = nn.Linear(feed_forward, width)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.drop = WindowDropout(dropout, per_window=window_dropout)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x (B, T, C) to (B, T, C); ``bias`` (heads, T, T) is added to the attention logits."""
        if self.norm_first:
            x = x + self.drop(self.attention(self.norm_attention(x), bias))
            return x + self._feed_forward(self.norm_feed_forward(x))
        x = self.norm_attention(x + self.drop(self.attention(x, bias)))
        return self.norm_feed_forward(x + self._feed_forward(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.drop(self.shrink(self.drop(functional.gelu(self.grow(x)))))


class ConvBlock(nn.Module):
    """Convolution over time (kernel 5, replicate padding), LeakyReLU 0.2, BatchNorm; channels first, (B, C, T).

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: 2 halves the number of frames.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 5, stride=stride, padding=2, padding_mode="replicate")
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, inputs, T) to (B, outputs, T / stride)."""
        return self.norm(functional.leaky_relu(self.conv(x), 0.2))


class UpsampleBlock(nn.Module):
    """Transposed convolution by 2 over time (kernel 5, zero padding), LeakyReLU 0.2, BatchNorm; channels first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, inputs, T) to (B, outputs, 2 T)."""
        return self.norm(functional.leaky_relu(self.conv(x), 0.2))


class ConvDownsample(nn.Module):
    """Downsampling by 8 over time: a strided convolution block, then two blocks with max-pooling by 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [ConvBlock(inputs, outputs, stride=2), ConvBlock(outputs, outputs), ConvBlock(outputs, outputs)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, inputs) to (B, T / 8, outputs); T must be a multiple of 8."""
        x = self.blocks[0](x.transpose(1, 2))
        for block in list(self.blocks)[1:]:
            x = functional.max_pool1d(block(x), 2)
        return x.transpose(1, 2)


class FoldDownsample(nn.Module):
    """Downsampling by 8 over time without pooling: a small network on the 8 concatenated frames of each latent.

    Without max-pooling no values are discarded; on little data it learns much faster than ``ConvDownsample``.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.grow = nn.Linear(FRAMES_PER_LATENT * inputs, outputs)
        self.out = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, inputs) to (B, T / 8, outputs); T must be a multiple of 8."""
        folded = x.unflatten(1, (-1, FRAMES_PER_LATENT)).flatten(2)
        return self.out(functional.gelu(self.grow(folded)))


def check_frames(frames: int) -> int:
    """The number of latents of ``frames`` frames.

    Raises:
        ValueError: ``frames`` is not a positive multiple of 8.
    """
    if frames < FRAMES_PER_LATENT or frames % FRAMES_PER_LATENT:
        raise ValueError(f"frames: got {frames}, needs a positive multiple of {FRAMES_PER_LATENT}")
    return frames // FRAMES_PER_LATENT
