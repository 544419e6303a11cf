"""Settings of adaptation: the correction of sampled motion by the visible frames of the same clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from occlufacediff.config.constraints import Fraction, Limits, NotNegative, Positive, Section

Gain = Annotated[float, Limits(0, 3)]


@dataclass(frozen=True)
class AdaptationSettings(Section):
    """Prior of the adaptation: one Gaussian process per coefficient.

    A coefficient is ``mean + rest + gain * sampled + audio + articulation + head turns + visible neighbours + slow +
    fast``. Every ``..._sd`` is relative to the coefficient's own standard deviation. The terms are estimated on the
    visible frames and applied to the occluded ones.
    """

    #: Whether to adapt; if false, the sampled motion is used unchanged.
    enabled: bool = True
    #: Number of samples; their mean is adapted.
    samples: Annotated[int, Limits(1, 64)] = 4
    #: Recognise English words too, for networks with phones as input. The mean of phones and words predicts the lips
    #: better than either; words take a quarter of the audio's duration.
    words: bool = True
    #: Weight of the viseme rules in the motion to adapt, for networks with phones as input.
    rules_share: Fraction = 0.65
    #: Expected gain of the sampled motion about its mean.
    gain: Gain = 0.75
    #: SD of the gain.
    gain_sd: NotNegative = 0.4
    #: Gain of the viseme rules' other coefficients relative to the jaw opening, for networks with phones as input.
    #: Coefficients that no rule moves, brows and eyelids use ``without_audio_gain``.
    lips_share: Fraction = 0.6
    #: Gain without audio or without speech.
    without_audio_gain: Gain = 0.35
    #: Without audio or without speech: SD of additional fast motion.
    without_audio_sd: NotNegative = 0.65
    #: SD of the direct effect of loudness and timbre on a coefficient.
    audio_sd: NotNegative = 0.1
    #: SD of the direct effect of each phone while it lasts.
    viseme_sd: NotNegative = 0.4
    #: SD of the direct effect of the joint motion of jaw and lips.
    articulation_sd: NotNegative = 0.1
    #: SD of the direct effect of a head turn by 10 degrees.
    head_turn_sd: NotNegative = 0.6
    #: SD of the effect of other, visible coefficients when they move by one standard deviation.
    visible_sd: NotNegative = 0.15
    #: SD of the resting face.
    rest_sd: NotNegative = 1.5
    #: SD of slow drift.
    slow_sd: NotNegative = 0.4
    #: Time constant of slow drift.
    slow_s: Positive = 1.0
    #: SD of unexplained fast motion.
    fast_sd: NotNegative = 0.75
    #: Time constant of fast motion.
    fast_s: Positive = 0.1
    #: How much the spread follows the disagreement of samples and rules: 0 not at all, 1 as much as their variance.
    disagreement_share: Fraction = 0.4
    #: Growth of an occluded mouth's spread with the lip gap: exponent of (gap + 3 mm) / 10 mm; 0: none.
    opening_power: Fraction = 0.5
    #: SD of the measurement noise of visible frames.
    noise_sd: Positive = 0.15
    #: Largest audio offset considered, in frames, for networks with phones as input; 0: do not estimate it.
    max_offset: Annotated[int, Limits(0, 25)] = 8
    #: Expected audio offset, in frames.
    offset: float = 0.3
    #: SD of the audio offset, in frames.
    offset_sd: Positive = 1.0
    #: Number of visible frames used on each side of an occluded stretch; twice as many for the audio offset.
    context: Annotated[int, Limits(10, 1000)] = 150

    def __post_init__(self) -> None:
        if self.max_offset and abs(self.offset) > self.max_offset:
            raise ValueError(
                f"offset: got {self.offset}, needs -max_offset to max_offset ({-self.max_offset} to {self.max_offset})"
            )
