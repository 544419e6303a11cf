"""Coarticulation: the motion of lips and jaw from timed visemes, by dominance functions.

Segment k with centre m, duration d and weight w has the dominance ``D = w exp(-((t - m) / (0.42 d + tau_c))^2)`` over
channel c. The value of the channel is ``sum(D * target) / sum(D)``, after Cohen and Massaro, "Modeling coarticulation
in synthetic visual speech" (1993). Lip closure and lip-to-teeth contact are applied on top, so that they are reached
even in fast speech.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occlufacediff.speech.visemes import CHANNELS, Segments

#: tau_c in seconds, the overlap of neighbouring segments: larger for the slow jaw than for most lip channels.
_TAU = np.array([0.034, 0.048, 0.048, 0.034, 0.04, 0.03, 0.03, 0.03])
_ROUNDING = np.array([name in ("funnel", "pucker") for name in CHANNELS])
_CONTACT_RAMP_S = 0.055  # from open lips to contact
#: Jaw angle in radians that the action `mouthClose` at 1 compensates (`jawOpen` at 1 of the open head).
JAW_FULL = 0.408


@dataclass(frozen=True)
class SpeakingStyle:
    """Speaking style of one person. Attributes are factors around 1 unless documented otherwise."""

    opening: float
    """Jaw angle of the most open vowel, radians."""
    lips: float
    """Amplitude of lip actions other than rounding."""
    rounding: float
    """Amplitude of lip rounding."""
    closure: float
    """Lip closure of p, b and m in [0, 1]; 1 closes the lips completely."""
    stress: float
    """Additional jaw opening of stressed vowels, as a share."""
    overlap: float
    """Factor on the overlap of neighbouring segments."""
    asymmetry: float
    """(left - right) / (left + right) of lip actions, in [-0.25, 0.25]."""
    jaw_side: float
    """Jaw yaw per radian of opening."""


def speech_channels(segments: Segments, times: np.ndarray, *, overlap: float) -> np.ndarray:
    """Channels (T, N_CHANNELS) at ``times`` (T,), in seconds from the start of the utterance."""
    middle = 0.5 * (segments.start + segments.end)
    length = segments.end - segments.start
    distance = np.abs(times[:, None] - middle)
    # Long segments hold their target over most of their duration.
    plateau = np.maximum(0.0, 0.5 * length - 0.08)
    distance = np.maximum(0.0, distance - plateau)
    length = np.minimum(length, 0.16)
    width = 0.42 * length[:, None] + overlap * _TAU  # (K, C)
    weight = np.where(_ROUNDING, segments.rounding_weight[:, None], segments.weight[:, None])
    dominance = weight * np.exp(-((distance[:, :, None] / width) ** 2)) + 1e-9
    return (dominance * segments.targets).sum(axis=1) / dominance.sum(axis=1)


def contact_curve(segments: Segments, strength: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Contact (T,) in [0, 1] at ``times``: ``strength`` (K,) inside its segment, with smooth ramps on both sides."""
    has_contact = strength > 0
    if not has_contact.any():
        return np.zeros(len(times))
    # Full contact starts 12 ms inside the segment, so that the ramps overlap its edges.
    start = segments.start[has_contact] + 0.012
    end = np.maximum(segments.end[has_contact] - 0.012, start)
    outside = np.maximum(np.maximum(start - times[:, None], times[:, None] - end), 0.0) / _CONTACT_RAMP_S
    contact = 0.5 + 0.5 * np.cos(np.pi * np.minimum(outside, 1.0))
    return (contact * strength[has_contact]).max(axis=1)


def speech_actions(
    segments: Segments, times: np.ndarray, style: SpeakingStyle, strength: float
) -> dict[str, np.ndarray]:
    """Facial actions (T,) of speech by ARKit name, in [0, 1], and ``jaw`` (T, 3), axis-angle.

    Args:
        strength: factor on jaw and lip motion of the clip, about 1.
    """
    channel = dict(zip(CHANNELS, speech_channels(segments, times, overlap=style.overlap).T, strict=True))
    closed = style.closure * contact_curve(segments, segments.closure, times)
    bitten = contact_curve(segments, segments.bite, times) * (1.0 - closed)

    opening = style.opening * strength * channel["jaw"] * (1.0 - 0.45 * closed) * (1.0 - 0.35 * bitten)
    not_closed = 1.0 - closed
    lips = style.lips * strength
    rounding = style.rounding * np.sqrt(strength)
    left, right = 1.0 + style.asymmetry, 1.0 - style.asymmetry
    result: dict[str, np.ndarray] = {
        "mouthClose": np.minimum(closed * opening / JAW_FULL, 1.0),
        "mouthFunnel": channel["funnel"] * rounding * (0.3 + 0.7 * not_closed),
        "mouthPucker": channel["pucker"] * rounding * (0.4 + 0.6 * not_closed),
        "mouthRollLower": 0.22 * closed + 0.55 * bitten,
        "mouthRollUpper": 0.18 * closed,
        "mouthShrugLower": channel["shrug"] * lips + 0.12 * bitten,
    }
    for name, value in (
        ("mouthStretch", channel["stretch"] * lips * (0.5 + 0.5 * not_closed)),
        ("mouthSmile", channel["smile"] * lips),
        ("mouthUpperUp", channel["upper_up"] * lips * not_closed),
        ("mouthLowerDown", channel["lower_down"] * lips * not_closed * (1.0 - 0.8 * bitten)),
        ("mouthPress", 0.3 * closed),
    ):
        result[f"{name}Left"] = value * left
        result[f"{name}Right"] = value * right
    result = {name: np.clip(value, 0.0, 1.0) for name, value in result.items()}
    result["jaw"] = np.stack([opening, style.jaw_side * opening, np.zeros_like(opening)], axis=1)
    return result
