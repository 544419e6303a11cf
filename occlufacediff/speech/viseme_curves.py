"""Lips and jaw from timed visemes: dominance functions for co-articulation, and closures that come through.

Each segment k pulls channel c towards its target with dominance ``D = w exp(-((t - m) / (0.42 d + tau_c))^2)``, m its
middle and d its length; the channel is ``sum D * target / sum D``. Lip closure and lip-to-teeth contact are laid over
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occlufacediff.speech.visemes import CHANNELS, Segments

#: Overlap of a channel in seconds: rounding spreads widest, the jaw is slower than the lips.
_TAU = np.array([0.034, 0.048, 0.048, 0.034, 0.04, 0.03, 0.03, 0.03])
_ROUNDING = np.array([name in ("funnel", "pucker") for name in CHANNELS])
_CONTACT_RAMP = 0.055  # seconds from open lips to contact
#: Jaw angle in radians whose opening the action `mouthClose` at 1 makes good (the open head's `jawOpen` at 1).
JAW_FULL = 0.408


@dataclass(frozen=True)
class Style:
    """Habits of articulation: factors about 1, but for those that say otherwise."""

    opening: float
    """Jaw angle of the most open vowel in radians."""
    lips: float
    rounding: float
    closure: float
    """Completeness of p, b, m: 1 closes the lips fully."""
    stress: float
    """How much more stressed vowels open."""
    overlap: float
    """Co-articulation: factor on the time that neighbours overlap."""
    asymmetry: float
    """Left minus right over their mean, in [-0.25, 0.25]."""
    jaw_side: float
    """Jaw yaw a radian of opening."""


def speech_channels(segments: Segments, times: np.ndarray, *, overlap: float) -> np.ndarray:
    """Channels (T, N_CHANNELS) at ``times`` (T,) in seconds of the utterance's own clock."""
    middle = 0.5 * (segments.start + segments.end)
    length = segments.end - segments.start
    distance = np.abs(times[:, None] - middle)
    # A long rest or vowel holds its target over most of its length instead of fading from its middle.
    plateau = np.maximum(0.0, 0.5 * length - 0.08)
    distance = np.maximum(0.0, distance - plateau)
    length = np.minimum(length, 0.16)
    width = 0.42 * length[:, None] + overlap * _TAU  # (K, C)
    weight = np.where(_ROUNDING, segments.rounding_weight[:, None], segments.weight[:, None])
    pull = weight * np.exp(-((distance[:, :, None] / width) ** 2)) + 1e-9
    return (pull * segments.targets).sum(axis=1) / pull.sum(axis=1)


def contact(segments: Segments, strength: np.ndarray, times: np.ndarray) -> np.ndarray:
    """How closed (0 to 1) at ``times``: full inside segments of that ``strength``, with smooth ramps outside."""
    held = strength > 0
    if not held.any():
        return np.zeros(len(times))
    # The contact is fullest a little inside the segment, so that the ramps reach over its edges.
    start = segments.start[held] + 0.012
    end = np.maximum(segments.end[held] - 0.012, start)
    outside = np.maximum(np.maximum(start - times[:, None], times[:, None] - end), 0.0) / _CONTACT_RAMP
    bump = 0.5 + 0.5 * np.cos(np.pi * np.minimum(outside, 1.0))
    return (bump * strength[held]).max(axis=1)


def speech_actions(segments: Segments, times: np.ndarray, style: Style, strength: float) -> dict[str, np.ndarray]:
    """Facial actions (T,) by ARKit name in [0, 1], and ``jaw`` (T, 3) axis-angle, of speech alone.

    Args:
        strength: liveliness of the clip's articulation, about 1.
    """
    channel = dict(zip(CHANNELS, speech_channels(segments, times, overlap=style.overlap).T, strict=True))
    closed = style.closure * contact(segments, segments.closure, times)
    bitten = contact(segments, segments.bite, times) * (1.0 - closed)

    opening = style.opening * strength * channel["jaw"] * (1.0 - 0.45 * closed) * (1.0 - 0.35 * bitten)
    free = 1.0 - closed
    lips = style.lips * strength
    rounding = style.rounding * np.sqrt(strength)
    left, right = 1.0 + style.asymmetry, 1.0 - style.asymmetry
    result: dict[str, np.ndarray] = {
        "mouthClose": np.minimum(closed * opening / JAW_FULL, 1.0),
        "mouthFunnel": channel["funnel"] * rounding * (0.3 + 0.7 * free),
        "mouthPucker": channel["pucker"] * rounding * (0.4 + 0.6 * free),
        "mouthRollLower": 0.22 * closed + 0.55 * bitten,
        "mouthRollUpper": 0.18 * closed,
        "mouthShrugLower": channel["shrug"] * lips + 0.12 * bitten,
    }
    for name, value in (
        ("mouthStretch", channel["stretch"] * lips * (0.5 + 0.5 * free)),
        ("mouthSmile", channel["smile"] * lips),
        ("mouthUpperUp", channel["upper_up"] * lips * free),
        ("mouthLowerDown", channel["lower_down"] * lips * free * (1.0 - 0.8 * bitten)),
        ("mouthPress", 0.3 * closed),
    ):
        result[f"{name}Left"] = value * left
        result[f"{name}Right"] = value * right
    result = {name: np.clip(value, 0.0, 1.0) for name, value in result.items()}
    result["jaw"] = np.stack([opening, style.jaw_side * opening, np.zeros_like(opening)], axis=1)
    return result
