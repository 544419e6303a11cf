"""Settings of the adaptation of a sampled motion to the visible frames of the clip at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class AdaptationSettings:
    """What is expected of a face beside what the networks say: a Gaussian process a coefficient.

    A coefficient is ``mean + rest + gain * sampled + sound + articulation + turns of the head + visible neighbours +
    slow + fast``; every ``..._sd`` is relative to the coefficient's own spread. What the visible frames tell of rest,
    gain and the others serves the hidden ones.
    """

    #: Adapt at all; without it the sampled motion is taken as it is.
    enabled: bool = True
    #: Samples whose mean is adapted.
    samples: int = 4
    #: For networks that hear phones: hear English words too. The mean of both hearings tells more of lips than either;
    #: words take a third of the time that the sound lasts.
    words: bool = True
    #: For networks that hear phones: share, in what is adapted, of the motion by rules of what is heard.
    rules_share: float = 0.65
    #: Gain of what is adapted about its mean: expected value and standard deviation.
    gain: float = 0.75
    gain_sd: float = 0.4
    #: For networks that hear phones: how far the rest of what rules move follows, relative to the jaw's opening. What
    #: no rule moves does not follow; brows and lids do so as without sound.
    lips_share: float = 0.6
    #: Without sound, or if nothing is said: the gain, and what sound would have told of fast motion.
    unheard_gain: float = 0.35
    unheard_sd: float = 0.65
    #: How much moves a coefficient directly, in ways that only the visible frames tell: loudness and timbre; each
    #: sound of speech, while it is heard; and what jaw and lips do together in the motion that is adapted.
    sound_sd: float = 0.1
    viseme_sd: float = 0.4
    articulation_sd: float = 0.1
    #: The same of turns of the head by 10 degrees, and of other coefficients that stay visible (at their own spread).
    turned_sd: float = 0.6
    beside_sd: float = 0.15
    #: Spread of the resting face, of slow drift (with its time in seconds), and of fast motion that nothing tells.
    rest_sd: float = 1.5
    slow_sd: float = 0.4
    slow_s: float = 1.0
    fast_sd: float = 0.75
    fast_s: float = 0.1
    #: How much the spread follows how far samples, and the rules' motion, lie apart: 0 not at all, 1 as their variance.
    apart_share: float = 0.4
    #: How much the spread of a hidden mouth grows with the gap between its lips: the power of the gap and 3 mm, 1 at a
    #: gap of 7 mm. 0 for not at all.
    opening_power: float = 0.5
    #: Noise of what visible frames show.
    noise_sd: float = 0.15
    #: For networks that hear phones: sound and picture are taken to be out of step by at most so many frames, about
    #: ``offset_sd`` about ``offset``.
    max_offset: int = 8
    offset: float = 0.3
    offset_sd: float = 1.0
    #: Visible frames that a run of hidden ones is told by, on each side; the offset is told by twice as many.
    context: int = 150

    def __post_init__(self) -> None:
        for name in (
            *("gain_sd", "sound_sd", "viseme_sd", "articulation_sd", "turned_sd", "beside_sd"),
            *("rest_sd", "slow_sd", "fast_sd", "unheard_sd"),
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 0 or more")
        for name in ("gain", "unheard_gain"):
            if not 0 <= getattr(self, name) <= 3:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 0 to 3")
        if not -self.max_offset <= self.offset <= self.max_offset and self.max_offset:
            raise ValueError(
                f"offset: got {self.offset}, needs -max_offset to max_offset ({-self.max_offset} to {self.max_offset})"
            )
        for name in ("rules_share", "lips_share", "apart_share", "opening_power"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs 0 to 1")
        for name in ("slow_s", "fast_s", "noise_sd", "offset_sd"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs more than 0")
        for name, low, high in (("samples", 1, 64), ("max_offset", 0, 25), ("context", 10, 1000)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs {low} to {high}")
