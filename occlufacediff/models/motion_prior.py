"""The motion prior: an autoencoder of facial motion, 8 frames a latent, with a mean and a variance.

The published size equals FLINT v2; ``published.PRIOR_NAMES`` maps our parameter names to the published ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from occlufacediff.models.layers import (
    FRAMES_PER_LATENT,
    ConvBlock,
    EncoderLayer,
    ExpandBlock,
    Squash,
    check_frames,
    distance_bias,
)


@dataclass(frozen=True)
class MotionPriorConfig:
    """Sizes of the motion prior.

    Attributes:
        motion_dim: M, values a frame: expression and 3 of the jaw.
        latent_dim: D, values a latent.
        width: channels inside.
        heads: attention heads.
        feed_forward: hidden channels of the transformer's feed-forward part.
        dropout: odds in training.
        isolated_inference: without gradients each latent or frame attends to itself alone. The published program does
            so unawares: PyTorch's fast path for inference reads the float ALiBi bias as a mask. Its numbers can only be
            had that way, so the published preset switches it on; training and our own models use the bias.
        linear: a straight path beside the network, from 8 frames to a latent and back. Started as principal components
            (``set_linear_path``) it reconstructs far better on little data than a network trained from nothing.
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
        """FLINT v2: FLAME's 100 expressions and the jaw."""
        return cls(isolated_inference=True)

    @classmethod
    def compact(cls, motion_dim: int) -> MotionPriorConfig:
        """Small enough to train within a minute on two CPU cores."""
        return cls(motion_dim=motion_dim, latent_dim=64, width=128, heads=4, feed_forward=256, linear=True)

    def to_dict(self) -> dict[str, object]:
        """Plain values for a YAML file."""
        return asdict(self)


class _BiasedLayer(EncoderLayer):
    """Encoder layer with the bias by distance, see ``MotionPriorConfig.isolated_inference``."""

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
        self.squash = Squash(config.motion_dim, config.width)
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
        self.expand = ExpandBlock(config.latent_dim, config.width)
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
    """Autoencoder of motion.

    There is ONE latent space outside of this class: the one that ``encode`` gives and ``decode`` takes. Its scale is
    set by the buffers ``latent_mean`` and ``latent_std`` (identity as built and as published), so that after training
    ``set_latent_statistics`` gives the denoiser latents of unit variance.

    Args:
        config: sizes.
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
        """Mean and log-variance, both (B, T / 8, D), of motion (B, T, M).

        Raises:
            ValueError: T is no multiple of 8.
        """
        check_frames(motion.shape[1])
        mean, logvar = self.encoder((motion - self.motion_mean) / self.motion_std)
        return (mean - self.latent_mean) / self.latent_std, logvar - 2.0 * self.latent_std.log()

    def decode(self, latents: Tensor) -> Tensor:
        """Motion (B, T, M) of latents (B, T / 8, D)."""
        motion = self.decoder(latents * self.latent_std + self.latent_mean)
        return motion * self.motion_std + self.motion_mean

    def forward(self, motion: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction (B, T, M), mean, log-variance; in training it decodes ``mean + exp(logvar / 2) * noise``."""
        mean, logvar = self.encode(motion)
        latents = mean
        if self.training:
            noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
            latents = mean + torch.exp(0.5 * logvar) * noise
        return self.decode(latents), mean, logvar

    @torch.no_grad()
    def set_motion_statistics(self, mean: Tensor, std: Tensor, *, floor: float = 1e-3) -> None:
        """Set the scale of motion, (M,) each, before training; ``floor`` keeps still values from being blown up."""
        self.motion_mean.copy_(mean)
        self.motion_std.copy_(std.clamp_min(floor))

    @torch.no_grad()
    def set_latent_statistics(self, mean: Tensor, std: Tensor, *, floor: float = 1e-3) -> None:
        """Rescale the latent space after training by ``mean``, ``std`` (D,) of latents as ``encode`` gives them now."""
        self.latent_mean.add_(mean * self.latent_std)
        self.latent_std.mul_(std.clamp_min(floor))

    @torch.no_grad()
    def set_linear_path(self, basis: Tensor, spread: Tensor) -> None:
        """Start as principal components of 8 frames of scaled motion; the network beside them then starts at nothing.

        Args:
            basis: (K, 8 * M) orthonormal components of ``(motion - motion_mean) / motion_std``, K up to D.
            spread: (K,) their standard deviations, which become 1.

        Raises:
            ValueError: built without the linear path, or components of another size.
        """
        if not self.config.linear:
            raise ValueError("linear: this motion prior was built without the linear path")
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
        # little noise on latents of unit spread
        self.encoder.logvar.bias.fill_(-4.0)
        into.weight[:count] = basis / spread[:, None]
        out.weight[:, :count] = (basis * spread[:, None]).T
