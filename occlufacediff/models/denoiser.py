"""The denoiser: predicts clean motion latents from noisy latents, visible landmarks and audio.

Terms that do not depend on the noisy latents are computed once per window, by ``condition`` and ``memory_terms``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.models.audio_encoder import LogMelEncoder, Wav2Vec2Encoder, Wav2Vec2Sizes
from occlufacediff.models.dropout import WindowDropout
from occlufacediff.models.film_layers import DecoderLayer, LayerFilm
from occlufacediff.models.layers import (
    ConvDownsample,
    EncoderLayer,
    FoldDownsample,
    causal_bias,
    check_frames,
    sinusoids,
)
from occlufacediff.models.step_decoder import StepDecoder
from occlufacediff.speech.feature_columns import N_FEATURES

_TABLE_ROWS = 5000


@dataclass(frozen=True)
class DenoiserConfig:
    """Architecture of the denoiser. Its values are stored in checkpoints (``config.yaml``).

    Attributes:
        latent_dim: D, dimension of a latent; equal to that of the motion prior.
        landmarks: L, landmarks per frame.
        landmark_width: channels of the landmark condition.
        audio: audio encoder; "wav2vec2" takes waveforms (B, T * 640), "log_mel" log-mel spectrograms
            (B, T * 4, mel_bands), "speech" spectra and phones (B, T * 4, mel_bands), see
            `occlufacediff.speech.feature_columns`.
        audio_width: channels of the audio condition; encoder width = landmark_width + audio_width.
        mel_bands: bands of log-mel, or columns of spectra and phones.
        wav2vec2: sizes of wav2vec2, used with audio = "wav2vec2".
        encoder_layers: transformer layers at the frame rate.
        encoder_heads: attention heads of the encoder.
        encoder_feed_forward: hidden channels of the encoder's feed-forward sublayers.
        decoder_width: channels at the latent rate.
        decoder_layers: transformer layers at the latent rate.
        decoder_heads: attention heads of the decoder.
        decoder_feed_forward: hidden channels of the decoder's feed-forward sublayers.
        dropout: dropout probability in training.
        window_dropout: drop channels over whole windows (compact) instead of single values and attention weights.
        norm_first: pre-norm (compact) or post-norm (published).
        squash: downsampling from frames to latents: "conv" (convolutions with pooling) or "fold" (8 concatenated
            frames).
        sees_mask: the network receives the visibility beside the landmarks, and a learned token for missing audio.
        cross_span: neighbours on either side whose memory a latent attends to; 0 = its own token only, as published.
        causal: latents attend to earlier latents only.
    """

    latent_dim: int = 128
    landmarks: int = 468
    landmark_width: int = 256
    audio: Literal["wav2vec2", "log_mel", "speech"] = "wav2vec2"
    audio_width: int = 512
    mel_bands: int = 80
    wav2vec2: Wav2Vec2Sizes = field(default_factory=Wav2Vec2Sizes)
    encoder_layers: int = 3
    encoder_heads: int = 4
    encoder_feed_forward: int = 1536
    decoder_width: int = 384
    decoder_layers: int = 6
    decoder_heads: int = 4
    decoder_feed_forward: int = 768
    dropout: float = 0.1
    window_dropout: bool = False
    norm_first: bool = False
    squash: Literal["conv", "fold"] = "conv"
    sees_mask: bool = False
    cross_span: int = 0
    causal: bool = False

    def __post_init__(self) -> None:
        if self.audio not in ("wav2vec2", "log_mel", "speech"):
            raise ValueError(f"audio: got {self.audio!r}, needs 'wav2vec2', 'log_mel' or 'speech'")
        if self.squash not in ("conv", "fold"):
            raise ValueError(f"squash: got {self.squash!r}, needs 'conv' or 'fold'")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: got {self.dropout}, needs at least 0 and less than 1")
        if self.cross_span < 0:
            raise ValueError(f"cross_span: got {self.cross_span}, needs 0 or more")
        for name, width, heads in (
            ("encoder_heads", self.encoder_width, self.encoder_heads),
            ("decoder_heads", self.decoder_width, self.decoder_heads),
        ):
            if heads < 1 or width % heads or width % 2:
                raise ValueError(f"{name}: got {heads}, needs a divisor of the (even) width {width}")

    @property
    def encoder_width(self) -> int:
        """Channels at the frame rate."""
        return self.landmark_width + self.audio_width

    @classmethod
    def published(cls) -> DenoiserConfig:
        """The published 768-d denoiser with wav2vec2-base, 128.6 M parameters."""
        return cls()

    @classmethod
    def compact(cls, latent_dim: int = 64) -> DenoiserConfig:
        """About 3 M parameters, log-mel input; can be trained on two CPU cores."""
        return cls(
            latent_dim=latent_dim,
            landmark_width=80,
            audio="log_mel",
            audio_width=112,
            encoder_layers=3,
            encoder_heads=4,
            encoder_feed_forward=384,
            decoder_width=192,
            decoder_layers=3,
            decoder_heads=4,
            decoder_feed_forward=384,
            dropout=0.1,
            window_dropout=True,
            norm_first=True,
            squash="fold",
            sees_mask=True,
        )

    @classmethod
    def open(cls, latent_dim: int = 64) -> DenoiserConfig:
        """The compact size with spectra and phones as input: the architecture of the open weights."""
        return replace(cls.compact(latent_dim), audio="speech", mel_bands=N_FEATURES)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for a YAML file."""
        values = asdict(self)
        values["wav2vec2"]["conv_dim"] = list(self.wav2vec2.conv_dim)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DenoiserConfig:
        """Create from the values of ``to_dict``.

        Raises:
            TypeError: unknown key.
            ValueError: invalid value.
        """
        sizes = dict(values["wav2vec2"])
        sizes["conv_dim"] = tuple(sizes["conv_dim"])
        return cls(**{**values, "wav2vec2": Wav2Vec2Sizes(**sizes)})


@dataclass(frozen=True)
class PreparedWindows:
    """A batch of windows, prepared for many diffusion steps.

    Attributes:
        cross: cross-attention terms of each layer, for all B windows.
        decoder: computes the rest at each step.
    """

    cross: list[tuple[Tensor, ...]]
    decoder: StepDecoder


class Denoiser(nn.Module):
    """Predicts clean latents (x0) from noisy ones.

    Args:
        config: the architecture.
    """

    landmark_mean: Tensor
    landmark_std: Tensor
    frame_positions: Tensor
    latent_positions: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        width, inner = c.encoder_width, c.decoder_width
        self.landmark_in = nn.Linear(c.landmarks * (3 if c.sees_mask else 2), c.landmark_width)
        self.audio_encoder: Wav2Vec2Encoder | LogMelEncoder
        if c.audio == "wav2vec2":
            self.audio_encoder = Wav2Vec2Encoder(c.wav2vec2)
        else:
            self.audio_encoder = LogMelEncoder(bands=c.mel_bands, width=c.audio_width)
        self.audio_in = nn.Linear(self.audio_encoder.width, c.audio_width)
        if c.sees_mask:
            self.no_audio = nn.Parameter(torch.zeros(c.audio_width))
        self.encoder = nn.ModuleList(
            EncoderLayer(
                width=width,
                heads=c.encoder_heads,
                feed_forward=c.encoder_feed_forward,
                dropout=c.dropout,
                norm_first=c.norm_first,
                window_dropout=c.window_dropout,
            )
            for _ in range(c.encoder_layers)
        )
        self.encoder_norm = nn.LayerNorm(width) if c.norm_first else nn.Identity()
        self.squash = ConvDownsample(width, inner) if c.squash == "conv" else FoldDownsample(width, inner)
        self.latent_in = nn.Linear(c.latent_dim, inner)
        self.step_in = nn.Linear(inner, inner)
        self.step_out = nn.Linear(inner, inner)
        self.decoder = nn.ModuleList(
            DecoderLayer(
                width=inner,
                heads=c.decoder_heads,
                feed_forward=c.decoder_feed_forward,
                dropout=c.dropout,
                norm_first=c.norm_first,
                window_dropout=c.window_dropout,
            )
            for _ in range(c.decoder_layers)
        )
        self.decoder_norm = nn.LayerNorm(inner) if c.norm_first else nn.Identity()
        self.out_in = nn.Linear(inner, inner // 2)
        self.out = nn.Linear(inner // 2, c.latent_dim)
        self.drop = WindowDropout(c.dropout, per_window=c.window_dropout)
        # Identity, as published; training of the compact size sets them from the data.
        self.register_buffer("landmark_mean", torch.zeros(c.landmarks, 2))
        self.register_buffer("landmark_std", torch.ones(()))
        self.register_buffer("frame_positions", sinusoids(_TABLE_ROWS, width), persistent=False)
        self.register_buffer("latent_positions", sinusoids(_TABLE_ROWS, inner), persistent=False)

    def landmark_condition(self, lmk_2d: Tensor, lmk_mask: Tensor) -> Tensor:
        """Features (B, T, landmark_width) of landmarks; occluded landmarks are multiplied by 0."""
        visible = lmk_mask.to(lmk_2d.dtype)
        points = (lmk_2d - self.landmark_mean) / self.landmark_std
        # torch.where in addition to the product, because an occluded landmark can be NaN.
        points = torch.where(visible[..., None] > 0, points * visible[..., None], torch.zeros_like(points)).flatten(2)
        if self.config.sees_mask:
            points = torch.cat([points, visible], dim=-1)
        return self.landmark_in(points)

    def audio_condition(
        self,
        audio: Tensor,
        frames: int,
        audio_keep: Tensor | None = None,
        audio_masked: Tensor | None = None,
    ) -> Tensor:
        """Features (B, T, audio_width) of audio; where ``audio_keep`` (B,) is false, of zeros or a learned token.

        ``audio_masked`` (B, T) marks the frames that SpecAugment masks; only wav2vec2 has a mask embedding.
        """
        if not self.config.sees_mask and audio_keep is not None:
            keep = audio_keep.reshape(-1, *([1] * (audio.dim() - 1)))
            audio = torch.where(keep, audio, torch.zeros_like(audio))
        if isinstance(self.audio_encoder, Wav2Vec2Encoder):
            features = self.audio_in(self.audio_encoder(audio, frames, audio_masked))
        else:
            features = self.audio_in(self.audio_encoder(audio, frames))
        if not self.config.sees_mask:
            return features
        if audio_keep is None:
            return features
        return torch.where(audio_keep[:, None, None], features, self.no_audio.to(features.dtype))

    def memory(self, landmark_features: Tensor, audio_features: Tensor) -> Tensor:
        """Memory (B, T / 8, decoder_width) of the features of both conditions at the frame rate."""
        x = torch.cat([landmark_features, audio_features], dim=-1)
        x = self.drop(x + self.frame_positions[: x.shape[1]])
        for layer in self.encoder:
            x = layer(x)
        x = self.squash(self.encoder_norm(x))
        return x + self.latent_positions[: x.shape[1]]

    def condition(
        self,
        lmk_2d: Tensor,
        lmk_mask: Tensor,
        audio: Tensor,
        audio_keep: Tensor | None = None,
        audio_masked: Tensor | None = None,
    ) -> Tensor:
        """Memory of a batch of windows; it is the same for all diffusion steps.

        Args:
            lmk_2d: (B, T, L, 2) landmarks in crop coordinates; T a multiple of 8.
            lmk_mask: (B, T, L), 1 visible, 0 occluded.
            audio: (B, T * 640) waveform or (B, T * 4, bands) log-mel, see ``DenoiserConfig.audio``.
            audio_keep: (B,) bool, false where audio is missing; None keeps all.
            audio_masked: (B, T) bool, frames that SpecAugment masks in training; None masks none.

        Returns:
            (B, T / 8, decoder_width).

        Raises:
            ValueError: shapes that do not match.
        """
        frames = lmk_2d.shape[1]
        check_frames(frames)
        if lmk_2d.shape[2] != self.config.landmarks:
            raise ValueError(f"lmk_2d: got {lmk_2d.shape[2]} landmarks, needs {self.config.landmarks}")
        per_frame = SAMPLES_PER_FRAME if self.config.audio == "wav2vec2" else MEL_ROWS_PER_FRAME
        if audio.shape[1] != frames * per_frame:
            raise ValueError(f"audio: got {audio.shape[1]} rows for {frames} frames, needs {frames * per_frame}")
        features = self.audio_condition(audio, frames, audio_keep, audio_masked)
        return self.memory(self.landmark_condition(lmk_2d, lmk_mask), features)

    def step_embedding(self, t: Tensor) -> Tensor:
        """Embedding (B, decoder_width) of original diffusion steps t (B,)."""
        return self.step_out(functional.silu(self.step_in(self.latent_positions[t])))

    def denoise(self, x: Tensor, t: Tensor, memory: Tensor) -> Tensor:
        """Predict clean latents (B, N, D) from noisy x (B, N, D) at original steps t (B,), given memory (B, N, C)."""
        step = self.step_embedding(t)
        films = [layer.film(step) for layer in self._layers()]
        return self._decode(x, self.memory_terms(memory), films)

    def step_decoder(self, steps: Tensor, dtype: torch.dtype = torch.float32) -> StepDecoder:
        """Decoder for the original ``steps`` (S,), for any memory; it copies the current weights."""
        embedding = self.step_embedding(steps)
        layers = self._layers()
        return StepDecoder(
            layers,
            [layer.film(embedding) for layer in layers],
            latent_in=self.latent_in,
            positions=self.latent_positions,
            norm=self.decoder_norm,
            out=(self.out_in, self.out),
            dtype=dtype,
        )

    def memory_terms(self, memory: Tensor) -> list[tuple[Tensor, ...]]:
        """Cross-attention terms of each layer from memory (B, N, C), the same at all steps."""
        return [layer.cross_terms(memory, self.config.cross_span) for layer in self._layers()]

    def denoise_prepared(self, x: Tensor, index: int, prepared: PreparedWindows) -> Tensor:
        """As ``denoise`` in evaluation mode, at the ``index``-th step of the decoder, for the prepared windows."""
        return prepared.decoder(x, index, prepared.cross, *self._biases(x.shape[1], x.device))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        lmk_2d: Tensor,
        lmk_mask: Tensor,
        audio: Tensor,
        audio_keep: Tensor | None = None,
        audio_masked: Tensor | None = None,
    ) -> Tensor:
        """``condition`` followed by ``denoise``, as in training."""
        return self.denoise(x, t, self.condition(lmk_2d, lmk_mask, audio, audio_keep, audio_masked))

    @torch.no_grad()
    def set_landmark_statistics(self, mean: Tensor, std: Tensor, *, floor: float = 1e-3) -> None:
        """Set the mean (L, 2) and the common standard deviation () of landmarks over the training data."""
        self.landmark_mean.copy_(mean)
        self.landmark_std.copy_(std.clamp_min(floor))

    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]

    def _biases(self, latents: int, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """Biases of self-attention (heads, N, N) and of cross-attention (N, N); None if the network has none."""
        self_bias = causal_bias(latents, self.config.decoder_heads, device) if self.config.causal else None
        if not self.config.cross_span:
            return self_bias, None
        position = torch.arange(latents, device=device)
        far = (position[:, None] - position[None, :]).abs() > self.config.cross_span
        return self_bias, torch.zeros(latents, latents, device=device).masked_fill(far, float("-inf"))

    def _decode(self, x: Tensor, cross: list[tuple[Tensor, ...]], films: list[LayerFilm]) -> Tensor:
        latents = x.shape[1]
        x = self.drop(self.latent_in(x) + self.latent_positions[:latents])
        self_bias, cross_bias = self._biases(latents, x.device)
        for layer, terms, film in zip(self._layers(), cross, films, strict=True):
            x = layer(x, terms, film, self_bias, cross_bias)
        return self.out(functional.leaky_relu(self.out_in(self.decoder_norm(x)), 0.2))
