"""The motion prior: a variational autoencoder of facial motion with 8 frames per latent.

The published size equals FLINT v2; `published_names.published_prior_name` maps parameter names to the published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from occlufacediff.models.layers import (
    FRAMES_PER_LATENT,
    ConvBlock,
    ConvDownsample,
    EncoderLayer,
    UpsampleBlock,
    check_frames,
    distance_bias,
)


@dataclass(frozen=True)
class MotionPriorConfig:
    """Architecture of the motion prior. Its values are stored in checkpoints (``config.yaml``).

    Attributes:
        motion_dim: M, values per frame: expression and 3 of the jaw.
        latent_dim: D, dimension of a latent.
        width: hidden channels.
        heads: attention heads.
        feed_forward: hidden channels of the transformer's feed-forward sublayer.
        dropout: dropout probability in training.
        isolated_inference: without gradients, each latent or frame attends to itself only. In the published code,
            PyTorch's fast path for inference interprets the float ALiBi bias as a mask, with this effect. Published
            numbers can only be reproduced in this way, so the published preset sets it. Training and other models
            use the bias.
        linear: a linear path in parallel to the network, from 8 frames to a latent and back. Initialised with
            principal components (``set_linear_path``), it improves the reconstruction on little data considerably.
    """

    motion_dim: int = 103
    latent_dim: int = 128
    width: int = 128
    heads: int = 8
    feed_forward: int = 384
    dropout: float = 0.0
    isolated_inference: bool = False
    linear: bool = False

    def __post_init__(self) -> None:
        for name in ("motion_dim", "latent_dim", "width", "heads", "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs at least 1")
        if self.width % self.heads:
            raise ValueError(f"heads: got {self.heads}, needs a divisor of width {self.width}")

    @classmethod
    def published(cls) -> MotionPriorConfig:
        """FLINT v2: 100 expressions of FLAME and the jaw."""
        return cls(isolated_inference=True)

    @classmethod
    def compact(cls, motion_dim: int) -> MotionPriorConfig:
        """Can be trained within a minute on two CPU cores."""
        return cls(motion_dim=motion_dim, latent_dim=64, width=128, heads=4, feed_forward=256, linear=True)

    def to_dict(self) -> dict[str, object]:
        """Convert to plain values for a YAML file."""
        return asdict(self)


class _BiasedLayer(EncoderLayer):
    """Encoder layer with the ALiBi distance bias, see ``MotionPriorConfig.isolated_inference``."""

    def __init__(self, config: MotionPriorConfig) -> None:
        super().__init__(
            width=config.width, heads=config.heads, feed_forward=config.feed_forward, dropout=config.dropout
        )
        self.isolated_inference = config.isolated_inference

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        if self.isolated_inference and not self.training and not torch.is_grad_enabled():
            frames = x.shape[1]
            return super().forward(x.reshape(-1, 1, x.shape[2])).unflatten(0, (-1, frames)).squeeze(2)
        return super().forward(x, distance_bias(x.shape[1], self.attention.heads, x.device))


class _Encoder(nn.Module):
    def __init__(self, config: MotionPriorConfig) -> None:
        super().__init__()
        self.squash = ConvDownsample(config.motion_dim, config.width)
        self.embed = nn.Linear(config.width, config.width)
        self.layer = _BiasedLayer(config)
        self.mean = nn.Linear(config.width, config.latent_dim)
        self.logvar = nn.Linear(config.width, config.latent_dim)
        if config.linear:
            self.straight = nn.Linear(FRAMES_PER_LATENT * config.motion_dim, config.latent_dim)

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layer(self.embed(self.squash(motion)))
        mean = self.mean(x)
        if hasattr(self, "straight"):
            mean = mean + self.straight(motion.unflatten(1, (-1, FRAMES_PER_LATENT)).flatten(2))
        return mean, self.logvar(x)


class _Decoder(nn.Module):
    def __init__(self, config: MotionPriorConfig) -> None:
        super().__init__()
        self.expand = UpsampleBlock(config.latent_dim, config.width)
        self.blocks = nn.ModuleList([ConvBlock(config.width, config.width), ConvBlock(config.width, config.width)])
        self.embed = nn.Linear(config.width, config.width)
        self.layer = _BiasedLayer(config)
        self.after = nn.Linear(config.width, config.width)
        self.smooth = nn.Conv1d(config.width, config.motion_dim, 5, padding=2)
        if config.linear:
            self.straight = nn.Linear(config.latent_dim, FRAMES_PER_LATENT * config.motion_dim)

    def forward(self, latents: Tensor) -> Tensor:
        x = self.expand(latents.transpose(1, 2))
        for block in self.blocks:
            x = block(x).repeat_interleave(2, dim=2)
        x = self.layer(self.embed(x.transpose(1, 2)))
        motion = self.smooth(self.after(x).transpose(1, 2)).transpose(1, 2)
        if hasattr(self, "straight"):
            motion = motion + self.straight(latents).unflatten(2, (FRAMES_PER_LATENT, -1)).flatten(1, 2)
        return motion


class MotionPrior(nn.Module):
    """Variational autoencoder of motion.

    ``encode`` returns and ``decode`` expects standardised latents: the buffers ``latent_mean`` and ``latent_std``
    (identity initially and as published) are set after training by ``set_latent_statistics``, so that the denoiser
    gets latents of unit variance.

    Args:
        config: the architecture.
    """

    motion_mean: Tensor
    motion_std: Tensor
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: MotionPriorConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _Encoder(config)
        self.decoder = _Decoder(config)
        self.register_buffer("motion_mean", torch.zeros(config.motion_dim))
        self.register_buffer("motion_std", torch.ones(config.motion_dim))
        self.register_buffer("latent_mean", torch.zeros(config.latent_dim))
        self.register_buffer("latent_std", torch.ones(config.latent_dim))

    def encode(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Encode motion (B, T, M) to mean and log-variance, both (B, T / 8, D).

        Raises:
            ValueError: T is not a multiple of 8.
        """
        check_frames(motion.shape[1])
        mean, logvar = self.encoder((motion - self.motion_mean) / self.motion_std)
        return (mean - self.latent_mean) / self.latent_std, logvar - 2.0 * self.latent_std.log()

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, T / 8, D) to motion (B, T, M)."""
        motion = self.decoder(latents * self.latent_std + self.latent_mean)
        return motion * self.motion_std + self.motion_mean

    def forward(
        self, motion: Tensor, randn_like: Callable[[Tensor], Tensor] = torch.randn_like
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction (B, T, M), mean, log-variance; in training it decodes ``mean + exp(logvar / 2) * noise``.

        Args:
            motion: (B, T, M).
            randn_like: draws the noise, of the shape of the mean.
        """
        mean, logvar = self.encode(motion)
        latents = mean
        if self.training:
            latents = mean + torch.exp(0.5 * logvar) * randn_like(mean)
        return self.decode(latents), mean, logvar

    @torch.no_grad()
    def set_motion_statistics(self, mean: Tensor, std: Tensor, *, floor: float = 1e-3) -> None:
        """Set mean and standard deviation (M,) of motion before training; ``floor`` limits the scaling of constants."""
        self.motion_mean.copy_(mean)
        self.motion_std.copy_(std.clamp_min(floor))

    @torch.no_grad()
    def set_latent_statistics(self, mean: Tensor, std: Tensor, *, floor: float = 1e-3) -> None:
        """Standardise latents after training by ``mean`` and ``std`` (D,) of the latents that ``encode`` returns."""
        self.latent_mean.add_(mean * self.latent_std)
        self.latent_std.mul_(std.clamp_min(floor))

    @torch.no_grad()
    def set_linear_path(self, basis: Tensor, spread: Tensor) -> None:
        """Initialise the linear path with principal components of 8 frames, and the network's output with zero.

        Args:
            basis: (K, 8 * M) orthonormal components of ``(motion - motion_mean) / motion_std``, K up to D.
            spread: (K,) standard deviations of the components; latents are scaled to 1.

        Raises:
            ValueError: the motion prior has no linear path, or the components are of another size.
        """
        if not self.config.linear:
            raise ValueError("linear: this motion prior has no linear path")
        count, size = basis.shape
        if count > self.config.latent_dim or size != FRAMES_PER_LATENT * self.config.motion_dim:
            raise ValueError(
                f"basis: got shape {tuple(basis.shape)}, needs at most {self.config.latent_dim} rows of "
                f"{FRAMES_PER_LATENT * self.config.motion_dim}"
            )
        into, out = self.encoder.straight, self.decoder.straight
        for layer in (into, out, self.encoder.mean, self.decoder.smooth, self.encoder.logvar):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        # A small variance: latents have a standard deviation of 1.
        self.encoder.logvar.bias.fill_(-4.0)
        into.weight[:count] = basis / spread[:, None]
        out.weight[:, :count] = (basis * spread[:, None]).T
