"""One clip as numbers, without a picture: facial coefficients in step with a waveform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.speech.coarticulation import speech_actions
from occlufacediff.speech.visemes import phoneme_segments
from occlufacediff.synthetic.behaviour import add, blink_curve, distractor_actions, emotion_actions, head_pose
from occlufacediff.synthetic.plan import PlanClip
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import speaker
from occlufacediff.synthetic.speech import resampled, speech_of


@dataclass(frozen=True)
class SyntheticClip:
    """A clip before any picture: T frames at ``fps``, frame i at i / fps seconds.

    ``exp`` (T, E) float32 in [0, 1] in the order of ``expression_names``; ``jaw`` and ``global_pose`` (T, 3) axis-angle
    radians; ``waveform`` (N,) float32 mono at ``sample_rate`` Hz, as long as the picture; ``phonemes`` and their
    ``phoneme_starts`` in seconds of the clip.
    """

    clip_id: str
    text: str
    exp: np.ndarray
    jaw: np.ndarray
    global_pose: np.ndarray
    waveform: np.ndarray
    sample_rate: int
    fps: int
    expression_names: tuple[str, ...]
    phonemes: tuple[str, ...]
    phoneme_starts: np.ndarray


def draw_clip(
    clip: PlanClip, settings: SyntheticSettings, seed: int, *, fps: int = 30, sample_rate: int = 48_000
) -> SyntheticClip:
    """Draw motion and sound of one planned clip; depends on nothing but its arguments.

    Sound and picture are exactly in step: no offset is added. The same clip drawn at another ``fps`` is the same
    motion at other times.
    """
    who = speaker(clip.subject, seed, spread=settings.articulation_spread)
    speech = speech_of(clip, who, settings, seed)
    times = np.arange(int(speech.seconds * fps + 1e-6)) / fps

    segments = phoneme_segments(
        speech.spoken.phonemes, speech.spoken.starts, speech.end - speech.lead, stress=who.style.stress
    )
    actions = speech_actions(segments, times - speech.lead, who.style, speech.liveliness)
    jaw = actions.pop("jaw")
    for name, value in emotion_actions(clip.emotion, clip.level, times, rng_for(seed, clip.clip_id, "emotion")).items():
        # Closed lips stay closed under an emotion that bares the teeth.
        add(actions, name, value * (1.0 - _closing(actions)) if name.startswith("mouthUpperUp") else value)
    decoys = distractor_actions(times, rng_for(seed, clip.clip_id, "decoys"), settings.distractor_strength)
    for name, value in decoys.items():
        add(actions, name, value)
    add(actions, "eyeBlink_", blink_curve(times, rng_for(seed, clip.clip_id, "blinks")))
    exp = np.zeros((len(times), len(EXPRESSION_NAMES)), dtype=np.float32)
    for name, value in actions.items():
        exp[:, EXPRESSION_NAMES.index(name)] = np.clip(value, 0.0, 1.0)
    return SyntheticClip(
        clip_id=clip.clip_id,
        text=clip.text,
        exp=exp,
        jaw=jaw.astype(np.float32),
        global_pose=head_pose(times, rng_for(seed, clip.clip_id, "head"), settings.head_motion_degrees).astype(
            np.float32
        ),
        waveform=resampled(speech.samples, speech.rate, sample_rate),
        sample_rate=sample_rate,
        fps=fps,
        expression_names=EXPRESSION_NAMES,
        phonemes=speech.spoken.phonemes,
        phoneme_starts=speech.spoken.starts + speech.lead,
    )


def _closing(actions: dict[str, np.ndarray]) -> np.ndarray:
    """How closed (T,) the lips are, 0 to 1, read off the pressing of the lips."""
    return np.clip((actions["mouthPressLeft"] + actions["mouthPressRight"]) / 0.6, 0.0, 1.0)
