"""Facial motion other than speech: emotions, blinks, head motion and distractors.

Each motion is a function of continuous time (sums of sines, smooth steps), so a clip can be generated at any frame
rate. Distractors move cheeks, nose, eyes and brows at the pace of speech but independently of it. Without them, a
network could infer the occluded mouth from correlated motion of the visible face.
"""

from __future__ import annotations

import numpy as np

#: Peak facial actions of each emotion at level 3. A name that ends in `_` stands for its left and right actions.
_EMOTIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"mouthSmile_": 0.55, "cheekSquint_": 0.6, "eyeSquint_": 0.35, "browOuterUp_": 0.15},
    "angry": {"browDown_": 0.9, "noseSneer_": 0.45, "eyeSquint_": 0.3, "mouthPress_": 0.15, "mouthUpperUp_": 0.12},
    "sad": {"browInnerUp": 0.9, "mouthFrown_": 0.5, "eyeSquint_": 0.2, "mouthShrugLower": 0.2},
    "surprised": {"browInnerUp": 0.8, "browOuterUp_": 0.8, "eyeWide_": 0.7},
    "disgusted": {"noseSneer_": 0.9, "mouthUpperUp_": 0.3, "browDown_": 0.5, "eyeSquint_": 0.4, "mouthFrown_": 0.2},
    "fear": {"browInnerUp": 0.9, "browOuterUp_": 0.4, "eyeWide_": 0.8, "mouthStretch_": 0.25},
    "contempt": {"mouthSmileLeft": 0.35, "mouthDimpleLeft": 0.5, "eyeSquint_": 0.25, "browDown_": 0.15},
}
#: Intensity of an emotion at levels 1, 2 and 3.
LEVEL_INTENSITY = {1: 0.35, 2: 0.65, 3: 1.0}
#: Changes of the voice by an emotion at full intensity: pitch and pitch range (espeak-ng units), factors on the
#: speaking rate and on articulation.
VOICE_CHANGES: dict[str, tuple[float, float, float, float]] = {
    "neutral": (0, 0, 1.0, 1.0),
    "happy": (8, 18, 1.05, 1.08),
    "angry": (2, 22, 1.08, 1.16),
    "sad": (-8, -18, 0.9, 0.88),
    "surprised": (12, 26, 1.02, 1.12),
    "disgusted": (-4, 6, 0.95, 1.04),
    "fear": (10, 6, 1.1, 0.95),
    "contempt": (-4, -6, 0.96, 0.95),
}
_DISTRACTORS = {
    "cheekSquint_": 0.22,
    "noseSneer_": 0.2,
    "eyeSquint_": 0.18,
    "browDown_": 0.22,
    "browOuterUp_": 0.22,
    "browInnerUp": 0.25,
}


def _sides(name: str) -> tuple[str, ...]:
    return (name[:-1] + "Left", name[:-1] + "Right") if name.endswith("_") else (name,)


def smooth_noise(rng: np.random.Generator, times: np.ndarray, *, low: float, high: float, n: int = 12) -> np.ndarray:
    """Smooth noise (T,) of unit variance: ``n`` sines with log-uniform frequencies from ``low`` to ``high`` Hz."""
    frequency = np.exp(rng.uniform(np.log(low), np.log(high), n))
    phase = rng.uniform(0, 2 * np.pi, n)
    return np.sqrt(2.0 / n) * np.sin(2 * np.pi * times[:, None] * frequency + phase).sum(axis=1)


def add_action(actions: dict[str, np.ndarray], name: str, value: np.ndarray | float) -> None:
    """Add an activation (T,) to the action ``name`` of ``actions``, or to both sides if the name ends in ``_``."""
    for side in _sides(name):
        actions[side] = np.asarray(actions[side] + value if side in actions else value)


def emotion_actions(emotion: str, level: int, times: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Facial actions (T,) of an emotion, with an onset of half a second and a slow drift."""
    intensity = LEVEL_INTENSITY[level] * rng.uniform(0.8, 1.15)
    onset = rng.uniform(-0.4, 0.2)
    rise = np.clip((times - onset) / 0.5, 0.0, 1.0)
    curve = intensity * (0.35 + 0.65 * rise * rise * (3 - 2 * rise))
    curve = curve * (1.0 + 0.12 * smooth_noise(rng, times, low=0.15, high=0.6))
    actions: dict[str, np.ndarray] = {}
    for name, peak in _EMOTIONS[emotion].items():
        amplitude = peak * rng.uniform(0.8, 1.1)
        asymmetry = 0.1 * rng.standard_normal() if name.endswith("_") else 0.0
        for side, factor in zip(_sides(name), (1 + asymmetry, 1 - asymmetry), strict=False):
            add_action(actions, side, curve * amplitude * factor)
    return actions


def distractor_actions(times: np.ndarray, rng: np.random.Generator, strength: float) -> dict[str, np.ndarray]:
    """Facial actions (T,) of cheeks, nose, eyes and brows at the pace of speech, independent of the speech."""
    actions: dict[str, np.ndarray] = {}
    for name, size in _DISTRACTORS.items():
        common = smooth_noise(rng, times, low=0.4, high=5.0)
        for side in _sides(name):
            own = smooth_noise(rng, times, low=0.4, high=5.0)
            # Mostly symmetric; about half of the time at rest.
            drive = 0.85 * common + 0.5 * own + 0.1
            actions[side] = strength * size * np.maximum(drive, 0.0)
    return actions


def blink_curve(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lid closure (T,) in [0, 1]: a blink every 1 to 4.5 s, with 80 ms of closing and 170 ms of opening."""
    curve = np.zeros(len(times))
    moment = rng.uniform(0.2, 2.2)
    last = float(times[-1]) if len(times) else 0.0
    while moment < last + 0.3:
        depth = rng.uniform(0.85, 1.0)
        rise = np.clip((times - (moment - 0.08)) / 0.08, 0.0, 1.0)
        fall = np.clip(((moment + 0.2) - times) / 0.17, 0.0, 1.0)
        shape = np.minimum(rise, fall)
        curve = np.maximum(curve, depth * shape * shape * (3 - 2 * shape))
        moment += rng.uniform(1.0, 4.5)
    return curve


def head_pose(times: np.ndarray, rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Head rotation (T, 3), axis-angle in radians: a rest pose plus smooth motion; ``degrees`` scales the yaw."""
    scale = np.radians(degrees) * np.array([0.6, 1.0, 0.4])
    rest = 0.6 * rng.standard_normal(3)
    motion = np.stack([smooth_noise(rng, times, low=0.12, high=1.1, n=8) for _ in range(3)], axis=1)
    return scale * (np.clip(rest, -1.4, 1.4) + 0.55 * motion)
