"""Settings of the published recipe (``recipe: published``): phases, masks, losses, and what the published loop did.

Keys that are off by default repeat what the published loop did and what is better done otherwise; docs/training.md
lists every row of the published recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from occlufacediff.config.constraints import Count, CountOrZero, Fraction, Limits, NotNegative, Positive, Section

#: How a network is trained.
Recipe = Literal["ours", "published"]
#: ``wav2vec2.weights`` of an encoder that starts from random numbers.
RANDOM = "random"
#: Message about the preset ``published`` without initial weights.
NO_WAV2VEC2_WEIGHTS = (
    "denoiser.wav2vec2.weights: got null, needs weights of wav2vec2 because denoiser.preset is 'published': the path "
    "of wav2vec2-base-960h (its file or folder; docs/training.md says where to get it), or 'random' to train without"
)


@dataclass(frozen=True)
class Wav2Vec2Settings(Section):
    """Audio encoder of the preset ``published``: its initial weights and its sizes, by default wav2vec2-base."""

    #: Initial weights: a file (``model.safetensors`` or ``pytorch_model.bin``) or a folder that holds one, or
    #: ``random``. Training with the preset ``published`` needs one of them.
    weights: Annotated[str, Limits(min_length=1)] | None = None
    #: Channels of the transformer.
    hidden_size: Count = 768
    #: Layers of the transformer.
    num_hidden_layers: Count = 12
    #: Attention heads of each layer.
    num_attention_heads: Count = 12
    #: Hidden channels of the feed-forward sublayers.
    intermediate_size: Count = 3072
    #: Channels of the seven convolutions on the waveform, which are never trained.
    conv_dim: Annotated[tuple[Count, ...], Limits(min_length=7)] = (512, 512, 512, 512, 512, 512, 512)
    #: Kernel size of the positional convolution.
    num_conv_pos_embeddings: Count = 128
    #: Groups of the positional convolution.
    num_conv_pos_embedding_groups: Count = 16

    def __post_init__(self) -> None:
        if len(self.conv_dim) != 7:
            raise ValueError(f"conv_dim: got {len(self.conv_dim)} numbers, needs 7, one per convolution")
        for name in ("num_attention_heads", "num_conv_pos_embedding_groups"):
            if self.hidden_size % getattr(self, name):
                raise ValueError(f"{name}: got {getattr(self, name)}, needs a divisor of hidden_size")


@dataclass(frozen=True)
class PublishedPriorSettings(Section):
    """The published training of the motion prior (``recipe: published``)."""

    #: Frames of a training window.
    window: Annotated[int, Limits(ge=8, multiple_of=8)] = 32
    #: Weight of the mean squared error of vertex coordinates, in square metres.
    vertex_weight: NotNegative = 1e6
    #: Weight of the Kullback-Leibler divergence to the unit normal distribution: a sum over a latent's values.
    kl_weight: NotNegative = 0.001
    #: Vertices of the loss: all, or those of the landmark triangles, which needs a fraction of the time.
    vertices: Literal["all", "landmarks"] = "all"
    #: After training, scale latents to mean 0 and standard deviation 1, as our recipe does.
    standardise_latents: bool = False
    #: Published: the last window of a clip is never drawn.
    skip_last_start: bool = False
    #: Published: validation draws latents instead of using their means.
    sampled_validation: bool = False


@dataclass(frozen=True)
class PublishedMaskOdds(Section):
    """Random occlusion of a training window in one phase of the published recipe.

    ``whole`` and ``frames`` exclude each other; otherwise there is a span. In it each region is drawn in the order of
    the keys, and the first of ``all``, ``eyes``, ``left`` and ``right`` ends the draw.
    """

    #: Probability that all landmarks of all frames are occluded.
    whole: Fraction = 0.15
    #: Probability that all landmarks are occluded in frames that are drawn with repetition, half as many draws as
    #: frames: about 40 % of the frames.
    frames: Fraction = 0.15
    #: Probability that all landmarks are occluded during the span.
    all: Fraction = 0.3
    #: Probability of boxes around both eyes.
    eyes: Fraction = 0.3
    #: Probability of the left half of the picture.
    left: Fraction = 0.3
    #: Probability of the right half of the picture.
    right: Fraction = 0.3
    #: Probability of a box around the mouth.
    mouth: Fraction = 0.2
    #: Probability of a box around a random landmark.
    random: Fraction = 0.4
    #: Probability of everything outside a box around lips and eyes.
    contour: Fraction = 0.4
    #: Shortest span, in frames.
    min_frames: Count = 30
    #: Minimum half extent of boxes around a point, in half crops.
    half_min: Positive = 0.25
    #: Maximum half extent of boxes around a point, in half crops.
    half_max: float = 0.75
    #: Minimum scale of the contour's inner box.
    contour_min: Positive = 1.0
    #: Maximum scale of the contour's inner box.
    contour_max: float = 1.6

    def __post_init__(self) -> None:
        if self.whole + self.frames > 1:
            raise ValueError(f"whole: got a sum of {self.whole + self.frames:g} with frames, needs at most 1")
        for low, high in (("half_min", "half_max"), ("contour_min", "contour_max")):
            least, most = getattr(self, low), getattr(self, high)
            if least > most:
                raise ValueError(f"{low}: got {least}, needs at most {high} ({most})")


def audio_phase_odds() -> PublishedMaskOdds:
    """The published odds of epochs in which the audio encoder is trained."""
    return PublishedMaskOdds(
        whole=0.3, frames=0.2, all=0.2, eyes=0.0, left=0.1, right=0.1, mouth=0.5, random=0.0, contour=0.3
    )


@dataclass(frozen=True)
class PublishedLossSettings(Section):
    """Weights of the published losses of the denoiser; distances are in metres."""

    #: Mean squared error of the latents.
    latents: NotNegative = 1.0
    #: Mean distance of all vertices.
    vertices: NotNegative = 100.0
    #: Mean distance of the landmarks.
    landmarks_3d: NotNegative = 0.5
    #: Mean L1 distance of projected and detected landmarks, in half crops; hidden landmarks count too.
    landmarks_2d: NotNegative = 0.5
    #: Mean difference of the gaps between paired lip landmarks, projected and detected, in half crops.
    mouth_closure: NotNegative = 0.01
    #: Mean squared error of expression.
    expression: NotNegative = 0.0
    #: Mean squared error of the jaw's axis-angle.
    jaw: NotNegative = 0.0


@dataclass(frozen=True)
class PublishedDenoiserSettings(Section):
    """The published training of the denoiser (``recipe: published``)."""

    losses: PublishedLossSettings = field(default_factory=PublishedLossSettings)
    #: Vertices of the loss: all, or those of the landmark triangles, which needs a fraction of the time.
    vertices: Literal["all", "landmarks"] = "all"
    #: Number of windows drawn from each clip per epoch.
    windows_per_clip: Count = 5
    #: Epochs of a cycle of phases. Epochs count from 1; an epoch is visual if its remainder is below
    #: ``visual_epochs``, otherwise the audio encoder is trained.
    cycle_epochs: Count = 6
    #: Remainders that are visual: 3 makes epochs 1-2, 6-8, 12-14 and so on visual.
    visual_epochs: CountOrZero = 3
    #: Occlusion in visual phases, in which the audio encoder is frozen.
    visual_masks: PublishedMaskOdds = field(default_factory=PublishedMaskOdds)
    #: Occlusion in audio phases, in which the audio encoder is trained.
    audio_masks: PublishedMaskOdds = field(default_factory=audio_phase_odds)
    #: SpecAugment: number of spans of the audio features that the learned mask embedding replaces; 0: none.
    spec_augment_spans: CountOrZero = 2
    #: SpecAugment: length of a span, in video frames.
    spec_augment_frames: Count = 10
    #: Published: all windows of a batch have the mask of the first one.
    mask_per_batch: bool = False
    #: Published: targets are drawn from the motion prior's distribution instead of its mean.
    sampled_targets: bool = False
    #: Published: the last window of a clip is never drawn.
    skip_last_start: bool = False
    #: Published: SpecAugment masks as many frames in each window as in the window of the batch with the fewest.
    spec_augment_thinned: bool = False
    #: Published: the optimizer continues to move the frozen audio encoder in visual phases.
    frozen_drift: bool = False
    #: Published: validation draws diffusion steps, targets and masks of the current phase at random.
    random_validation: bool = False
