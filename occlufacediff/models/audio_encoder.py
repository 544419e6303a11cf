"""Audio encoders with features at the video's frame rate: wav2vec2 (published), or a small network (compact)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from occlufacediff.models.dropout import ALONE, attend

#: Name of `_wav2vec2_attention` in transformers.
_ATTENTION = "occlufacediff"


@dataclass(frozen=True)
class Wav2Vec2Sizes:
    """Sizes of wav2vec2; the defaults are wav2vec2-base.

    Attributes:
        hidden_size: channels of the transformer.
        num_hidden_layers: layers of the transformer.
        num_attention_heads: attention heads of each layer.
        intermediate_size: hidden channels of the feed-forward sublayers.
        conv_dim: channels of the seven convolutions on the waveform.
        num_conv_pos_embeddings: kernel size of the positional convolution.
        num_conv_pos_embedding_groups: groups of the positional convolution.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    conv_dim: tuple[int, ...] = (512,) * 7
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16


class Wav2Vec2Encoder(nn.Module):
    """wav2vec2 with features resampled to the video's frames; built from its sizes, without a download.

    The convolutions on the waveform are never trained and run without gradients. Unlike the original, the encoder draws
    no masks itself: training passes them to `forward`, see `models.spec_augment`.

    Args:
        sizes: sizes of the architecture.
    """

    def __init__(self, sizes: Wav2Vec2Sizes) -> None:
        super().__init__()
        # transformers takes seconds to import, and only this encoder needs it.
        from transformers import AttentionInterface, Wav2Vec2Config, Wav2Vec2Model
        from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Attention

        AttentionInterface.register(_ATTENTION, _wav2vec2_attention)
        self.width = sizes.hidden_size
        config = Wav2Vec2Config(
            hidden_size=sizes.hidden_size,
            num_hidden_layers=sizes.num_hidden_layers,
            num_attention_heads=sizes.num_attention_heads,
            intermediate_size=sizes.intermediate_size,
            conv_dim=tuple(sizes.conv_dim),
            num_conv_pos_embeddings=sizes.num_conv_pos_embeddings,
            num_conv_pos_embedding_groups=sizes.num_conv_pos_embedding_groups,
            feat_proj_dropout=0.1,
        )
        self.model = Wav2Vec2Model(config)
        self.model.set_attn_implementation(_ATTENTION)
        for module in self.model.modules():
            if isinstance(module, Wav2Vec2Attention):
                setattr(module, "place", ALONE)  # noqa: B010  (a class of transformers)
        self.model.freeze_feature_encoder()

    @torch.no_grad()
    def front(self, waveform: Tensor) -> Tensor:
        """Features (B, C, L) of the convolutions on a waveform (B, N), without gradients; L is about N / 320."""
        return self.model.feature_extractor(waveform)

    def forward(self, waveform: Tensor, frames: int, masked: Tensor | None = None) -> Tensor:
        """Features (B, frames, hidden_size) of a waveform (B, frames * 640), normalised over its clip.

        Args:
            waveform: (B, frames * 640).
            frames: number of video frames.
            masked: (B, frames) bool, frames whose features the learned mask embedding replaces (SpecAugment); None:
                none.
        """
        features = functional.interpolate(self.front(waveform), size=frames, mode="linear", align_corners=True)
        hidden, _ = self.model.feature_projection(features.transpose(1, 2))
        if masked is not None:
            embedding = self.model.masked_spec_embed.to(hidden.dtype)
            hidden = torch.where(masked[..., None], embedding, hidden)
        return self.model.encoder(hidden).last_hidden_state


def _wav2vec2_attention(
    module: nn.Module,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    *,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """`attend` as a function of transformers: (B, heads, T, C) to (B, T, heads, C)."""
    attended = attend(queries, keys, values, mask, dropout=dropout, place=module.place)  # type: ignore[arg-type]
    return attended.transpose(1, 2), None


class _DilatedBlock(nn.Module):
    """Residual block over time at the frame rate: GroupNorm, dilated convolution, GELU, pointwise convolution."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.conv = nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.point(functional.gelu(self.conv(self.norm(x))))


class LogMelEncoder(nn.Module):
    """Encodes log-mel at 100 Hz to features at 25 Hz: two strided convolutions, then dilated residual blocks.

    The receptive field of the blocks is 1 + 2 + 4 + 8 = 15 frames (0.6 s) on either side.

    Args:
        bands: mel bands.
        width: output channels.
        dilations: dilation of each residual block.
    """

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, *, bands: int = 80, width: int = 128, dilations: tuple[int, ...] = (1, 2, 4, 8)) -> None:
        super().__init__()
        self.width = width
        self.stem = nn.Conv1d(bands, width, 5, stride=2, padding=2)
        self.down = nn.Conv1d(width, width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(_DilatedBlock(width, dilation) for dilation in dilations)
        self.register_buffer("mel_mean", torch.zeros(bands))
        self.register_buffer("mel_std", torch.ones(bands))

    def forward(self, log_mel: Tensor, frames: int) -> Tensor:
        """Features (B, frames, width) of log-mel (B, 4 * frames, bands)."""
        x = ((log_mel - self.mel_mean) / self.mel_std).transpose(1, 2)
        x = functional.gelu(self.down(functional.gelu(self.stem(x))))
        for block in self.blocks:
            x = block(x)
        return x.transpose(1, 2)

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, std: Tensor, *, floor: float = 1e-2) -> None:
        """Set mean and standard deviation (bands,) of log-mel over the training data."""
        self.mel_mean.copy_(mean)
        self.mel_std.copy_(std.clamp_min(floor))
