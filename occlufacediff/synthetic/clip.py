"""Motion and audio of one synthetic clip, before rendering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.speech.coarticulation import speech_actions
from occlufacediff.speech.visemes import phoneme_segments
from occlufacediff.synthetic.behaviour import add_action, blink_curve, distractor_actions, emotion_actions, head_pose
from occlufacediff.synthetic.plan import PlannedClip
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import make_speaker
from occlufacediff.synthetic.speech import resample, synthesise_speech


@dataclass(frozen=True)
class SyntheticClip:
    """Motion and audio of T frames at ``fps``; frame i is at i / fps seconds.

    Attributes:
        exp: (T, E) float32 in [0, 1], columns in the order of ``expression_names``.
        jaw, global_pose: (T, 3) axis-angle, radians.
        waveform: (N,) float32 mono at ``sample_rate`` Hz, as long as the video.
        phonemes, phoneme_starts: (K,) espeak-ng phonemes and their starts, seconds.
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


def generate_clip(
    clip: PlannedClip, settings: SyntheticSettings, seed: int, *, fps: int = 30, sample_rate: int = 48_000
) -> SyntheticClip:
    """Generate motion and audio of one planned clip. The result depends on the arguments only.

    The audio offset is 0. Another ``fps`` samples the same motion at other times.
    """
    who = make_speaker(clip.subject, seed, spread=settings.articulation_spread)
    speech = synthesise_speech(clip, who, settings, seed)
    times = np.arange(int(speech.seconds * fps + 1e-6)) / fps

    segments = phoneme_segments(
        speech.utterance.phonemes, speech.utterance.starts, speech.end - speech.lead, stress=who.style.stress
    )
    actions = speech_actions(segments, times - speech.lead, who.style, speech.articulation)
    jaw = actions.pop("jaw")
    for name, value in emotion_actions(clip.emotion, clip.level, times, rng_for(seed, clip.clip_id, "emotion")).items():
        # Emotions that raise the upper lip do not open closed lips.
        add_action(actions, name, value * (1.0 - _lip_closure(actions)) if name.startswith("mouthUpperUp") else value)
    distractors = distractor_actions(times, rng_for(seed, clip.clip_id, "decoys"), settings.distractor_strength)
    for name, value in distractors.items():
        add_action(actions, name, value)
    add_action(actions, "eyeBlink_", blink_curve(times, rng_for(seed, clip.clip_id, "blinks")))
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
        waveform=resample(speech.samples, speech.rate, sample_rate),
        sample_rate=sample_rate,
        fps=fps,
        expression_names=EXPRESSION_NAMES,
        phonemes=speech.utterance.phonemes,
        phoneme_starts=speech.utterance.starts + speech.lead,
    )


def _lip_closure(actions: dict[str, np.ndarray]) -> np.ndarray:
    """Lip closure (T,) in [0, 1], from the lip press actions."""
    return np.clip((actions["mouthPressLeft"] + actions["mouthPressRight"]) / 0.6, 0.0, 1.0)
