"""The denoiser: from noisy motion latents, visible landmarks and sound to clean latents.

All that does not depend on the noisy latents or the diffusion step lives in ``condition`` and, for sampling,
``prepare``: it is computed once a window, not once a step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.models.audio_encoder import LogMelEncoder, Wav2Vec2Encoder, Wav2Vec2Sizes
from occlufacediff.models.film_layers import DecoderLayer, LayerFilm
from occlufacediff.models.layers import (
    Drop,
    EncoderLayer,
    Fold,
    Squash,
    causal_bias,
    check_frames,
    sinusoids,
)
from occlufacediff.models.step_decoder import StepDecoder
from occlufacediff.speech.feature_columns import N_FEATURES

_TABLE_ROWS = 5000


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes and choices of the denoiser.

    Attributes:
        latent_dim: D, values a latent; equals the motion prior's.
        landmarks: L, landmarks a frame.
        landmark_width: channels of the landmark condition.
        audio: sound encoder; "wav2vec2" takes waveforms (B, T * 640), "log_mel" log-mel (B, T * 4, mel_bands), "speech"
            spectrum and phones (B, T * 4, mel_bands), see `occlufacediff.speech.feature_columns`.
        audio_width: channels of the sound condition; encoder width = landmark_width + audio_width.
        mel_bands: bands of log-mel, or columns of spectrum and phones.
        wav2vec2: sizes of wav2vec2, used with audio = "wav2vec2".
        encoder_layers: layers at the frame rate.
        encoder_heads: their heads.
        encoder_feed_forward: their hidden channels.
        decoder_width: channels at the latents' rate.
        decoder_layers: layers at the latents' rate.
        decoder_heads: their heads.
        decoder_feed_forward: their hidden channels.
        dropout: odds in training.
        window_dropout: drop channels over whole windows (compact) instead of single values and attention weights.
        norm_first: norm before each part of a layer (compact) or after it (published).
        squash: from frames to latents' rate: convolutions with pooling, or 8 frames side by side.
        sees_mask: the network gets the visibility beside the landmarks, and a learned token for absent sound.
        cross_span: neighbours to either side whose memory a latent sees; 0 = its own token only, as published.
        causal: latents see earlier latents only.
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
            raise ValueError(f"dropout: got {self.dropout}, needs 0 up to below 1")
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
        """About 3 M parameters on log-mel; trains on two CPU cores."""
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
        """The compact size on spectrum and phones, as the weights that come with the program."""
        return replace(cls.compact(latent_dim), audio="speech", mel_bands=N_FEATURES)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a YAML file."""
        values = asdict(self)
        values["wav2vec2"]["conv_dim"] = list(self.wav2vec2.conv_dim)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DenoiserConfig:
        """Back from ``to_dict``; unknown keys raise TypeError, wrong values ValueError."""
        sizes = dict(values["wav2vec2"])
        sizes["conv_dim"] = tuple(sizes["conv_dim"])
        return cls(**{**values, "wav2vec2": Wav2Vec2Sizes(**sizes)})


@dataclass(frozen=True)
class Prepared:
    """A window batch ready for many diffusion steps: all terms that depend on memory or step alone.

    Attributes:
        cross: a layer's cross-attention terms, for all B windows.
        decoder: what remains to be done at a step.
    """

    cross: list[tuple[Tensor, ...]]
    decoder: StepDecoder


class Denoiser(nn.Module):
    """Predicts clean latents (x0) from noisy ones.

    Args:
        config: sizes and choices.
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
        self.squash = Squash(width, inner) if c.squash == "conv" else Fold(width, inner)
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
        self.drop = Drop(c.dropout, whole_window=c.window_dropout)
        # identity as published; the compact size sets them from its training data
        self.register_buffer("landmark_mean", torch.zeros(c.landmarks, 2))
        self.register_buffer("landmark_std", torch.ones(()))
        self.register_buffer("frame_positions", sinusoids(_TABLE_ROWS, width), persistent=False)
        self.register_buffer("latent_positions", sinusoids(_TABLE_ROWS, inner), persistent=False)

    def landmark_condition(self, lmk_2d: Tensor, lmk_mask: Tensor) -> Tensor:
        """Features (B, T, landmark_width); hidden landmarks are multiplied by 0."""
        visible = lmk_mask.to(lmk_2d.dtype)
        points = (lmk_2d - self.landmark_mean) / self.landmark_std
        # where, not a product alone: a hidden landmark may be NaN
        points = torch.where(visible[..., None] > 0, points * visible[..., None], torch.zeros_like(points)).flatten(2)
        if self.config.sees_mask:
            points = torch.cat([points, visible], dim=-1)
        return self.landmark_in(points)

    def audio_condition(self, audio: Tensor, frames: int, audio_keep: Tensor | None = None) -> Tensor:
        """Features (B, T, audio_width); without ``audio_keep`` (B,) of zeroed sound (published) or a learned token."""
        if not self.config.sees_mask:
            if audio_keep is not None:
                keep = audio_keep.reshape(-1, *([1] * (audio.dim() - 1)))
                audio = torch.where(keep, audio, torch.zeros_like(audio))
            return self.audio_in(self.audio_encoder(audio, frames))
        features = self.audio_in(self.audio_encoder(audio, frames))
        if audio_keep is None:
            return features
        return torch.where(audio_keep[:, None, None], features, self.no_audio.to(features.dtype))

    def memory(self, landmark_features: Tensor, audio_features: Tensor) -> Tensor:
        """Memory (B, T / 8, decoder_width) of both conditions at the frame rate."""
        x = torch.cat([landmark_features, audio_features], dim=-1)
        x = self.drop(x + self.frame_positions[: x.shape[1]])
        for layer in self.encoder:
            x = layer(x)
        x = self.squash(self.encoder_norm(x))
        return x + self.latent_positions[: x.shape[1]]

    def condition(self, lmk_2d: Tensor, lmk_mask: Tensor, audio: Tensor, audio_keep: Tensor | None = None) -> Tensor:
        """Memory of a batch of windows; needed once a window, whatever the number of diffusion steps.

        Args:
            lmk_2d: (B, T, L, 2) landmarks in crop coordinates; T a multiple of 8.
            lmk_mask: (B, T, L), 1 visible, 0 hidden.
            audio: (B, T * 640) waveform or (B, T * 4, bands) log-mel, see ``DenoiserConfig.audio``.
            audio_keep: (B,) bool, false where there is no sound; None keeps all.

        Returns:
            (B, T / 8, decoder_width).

        Raises:
            ValueError: shapes that do not fit together.
        """
        frames = lmk_2d.shape[1]
        check_frames(frames)
        if lmk_2d.shape[2] != self.config.landmarks:
            raise ValueError(f"lmk_2d: got {lmk_2d.shape[2]} landmarks, needs {self.config.landmarks}")
        per_frame = SAMPLES_PER_FRAME if self.config.audio == "wav2vec2" else MEL_ROWS_PER_FRAME
        if audio.shape[1] != frames * per_frame:
            raise ValueError(f"audio: got {audio.shape[1]} rows for {frames} frames, needs {frames * per_frame}")
        return self.memory(self.landmark_condition(lmk_2d, lmk_mask), self.audio_condition(audio, frames, audio_keep))

    def step_embedding(self, t: Tensor) -> Tensor:
        """Embedding (B, decoder_width) of original diffusion steps t (B,)."""
        return self.step_out(functional.silu(self.step_in(self.latent_positions[t])))

    def denoise(self, x: Tensor, t: Tensor, memory: Tensor) -> Tensor:
        """Clean latents (B, N, D) predicted from noisy x (B, N, D) at original steps t (B,), given memory (B, N, C)."""
        step = self.step_embedding(t)
        films = [layer.film(step) for layer in self._layers()]
        return self._decode(x, self.memory_terms(memory), films)

    def step_decoder(self, steps: Tensor, dtype: torch.dtype = torch.float32) -> StepDecoder:
        """What is done at each of the original ``steps`` (S,), the same for all memories; a copy of today's weights."""
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
        """A layer's cross-attention terms of memory (B, N, C), the same at all steps."""
        return [layer.cross_terms(memory, self.config.cross_span) for layer in self._layers()]

    def prepare(self, memory: Tensor, steps: Tensor) -> Prepared:
        """All terms of memory (B, N, C) and of the original ``steps`` (S,) that ``denoise_prepared`` will need."""
        return Prepared(cross=self.memory_terms(memory), decoder=self.step_decoder(steps))

    def denoise_prepared(self, x: Tensor, index: int, prepared: Prepared) -> Tensor:
        """As ``denoise`` in evaluation mode at the ``index``-th prepared step, for the prepared memory's windows."""
        return prepared.decoder(x, index, prepared.cross, *self._biases(x.shape[1], x.device))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        lmk_2d: Tensor,
        lmk_mask: Tensor,
        audio: Tensor,
        audio_keep: Tensor | None = None,
    ) -> Tensor:
        """``condition`` and ``denoise`` in one, as in training."""
        return self.denoise(x, t, self.condition(lmk_2d, lmk_mask, audio, audio_keep))

    @torch.no_grad()
    def set_landmark_statistics(self, mean: Tensor, std: Tensor, *, floor: float = 1e-3) -> None:
        """Set the mean face (L, 2) and one standard deviation () of landmarks over the training data."""
        self.landmark_mean.copy_(mean)
        self.landmark_std.copy_(std.clamp_min(floor))

    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]

    def _biases(self, latents: int, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """Biases of self-attention (heads, N, N) and of cross-attention (N, N), where the network has them."""
        self_bias = causal_bias(latents, self.config.decoder_heads, device) if self.config.causal else None
        if not self.config.cross_span:
            return self_bias, None
        place = torch.arange(latents, device=device)
        far = (place[:, None] - place[None, :]).abs() > self.config.cross_span
        return self_bias, torch.zeros(latents, latents, device=device).masked_fill(far, float("-inf"))

    def _decode(self, x: Tensor, cross: list[tuple[Tensor, ...]], films: list[LayerFilm]) -> Tensor:
        latents = x.shape[1]
        x = self.drop(self.latent_in(x) + self.latent_positions[:latents])
        self_bias, cross_bias = self._biases(latents, x.device)
        for layer, terms, film in zip(self._layers(), cross, films, strict=True):
            x = layer(x, terms, film, self_bias, cross_bias)
        return self.out(functional.leaky_relu(self.out_in(self.decoder_norm(x)), 0.2))
