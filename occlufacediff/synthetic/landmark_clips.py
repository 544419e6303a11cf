"""Landmark clips: generated landmarks, audio and coefficients without images, about ten clips per second.

Each clip has its own speaker. Landmarks are projected from the head through its landmark embedding and cropped like
detected ones. Speaking styles vary widely, and a part of the mouth motion is independent of the audio, so that a
network learns how well audio predicts the mouth. Cheeks, nose and eyes move as distractors
(`behaviour.distractor_actions`), so that they do not predict the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pocketsphinx
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.config.open_weights import LandmarkClipSettings
from occlufacediff.config.synthetic import KNOWN_EMOTIONS, SyntheticSettings
from occlufacediff.face_mesh import MESH_POINTS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import project_numpy, rotation_matrices
from occlufacediff.landmarks.normalise import CROP_PX, CROP_SCALE, crop_boxes, to_crop
from occlufacediff.media.rates import FPS, MEL_RATE, MEL_ROWS_PER_FRAME, SAMPLE_RATE
from occlufacediff.speech.coarticulation import SpeakingStyle, speech_actions
from occlufacediff.speech.features import speech_features
from occlufacediff.speech.visemes import Segments, has_visemes, phoneme_segments
from occlufacediff.synthetic import sentences
from occlufacediff.synthetic.behaviour import (
    add_action,
    blink_curve,
    distractor_actions,
    emotion_actions,
    head_pose,
    smooth_noise,
)
from occlufacediff.synthetic.plan import LEVELS, PlannedClip
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import ACCENTS, FEMALE, MALE, Speaker
from occlufacediff.synthetic.speech import Speech, resample, synthesise_speech

Float = NDArray[np.float32]

#: Half the width of the assumed source image in pixels.
_HALF_IMAGE_PX = 400.0
_FUNCTION_WORDS = (
    "the", "a", "of", "and", "to", "in", "is", "was", "for", "with", "you", "we", "they", "my", "our", "that",
)  # fmt: skip
#: Mouth actions with motion that is independent of the audio, and the relative amplitude of each.
_IDLE_ACTIONS = {
    "mouthSmile_": 0.8, "mouthStretch_": 0.9, "mouthPress_": 1.0, "mouthLowerDown_": 0.8, "mouthUpperUp_": 0.7,
    "mouthFrown_": 0.9, "mouthDimple_": 0.8, "mouthFunnel": 0.7, "mouthPucker": 1.2, "mouthRollLower": 0.9,
    "mouthRollUpper": 0.9, "mouthShrugLower": 1.0, "mouthShrugUpper": 0.9, "mouthLeft": 0.8, "mouthRight": 0.8,
    "jawForward": 1.0, "mouthClose": 0.4,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LandmarkClip:
    """One clip of T frames at 25 fps, all float32; units and frames as in docs/architecture.md.

    Attributes:
        exp: (T, E) expression.
        jaw, global_pose: (T, 3) axis-angle, radians.
        cam: (T, 3) camera ``[s, tx, ty]`` of the crop.
        shape: (S,) identity.
        lmk_2d: (T, 468, 2) landmarks in crop coordinates, NaN for landmarks that the head does not embed.
        audio: (4 T, 60) speech features.
    """

    exp: Float
    jaw: Float
    global_pose: Float
    cam: Float
    shape: Float
    lmk_2d: Float
    audio: Float

    def arrays(self) -> dict[str, Float]:
        """All arrays by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def generate_landmark_clip(
    number: int, settings: LandmarkClipSettings, seed: int, asset: HeadAsset, basis: LandmarkBasis
) -> LandmarkClip:
    """Generate clip ``number``. The result depends on the arguments only."""
    rng = rng_for(seed, "unrendered", str(number))
    speaker = _random_speaker(number, rng, settings)
    plan = PlannedClip(
        subject=speaker.name,
        emotion=str(rng.choice(KNOWN_EMOTIONS)),
        level=int(rng.choice(LEVELS)),
        number=number,
        sentence_id=number,
        text="",
    )
    voice = SyntheticSettings(
        min_seconds=settings.min_seconds,
        max_seconds=settings.max_seconds,
        noise_snr_db=settings.noise_snr_db,
        reverberation=settings.reverberation,
    )
    speech = _synthesise_speech(plan, speaker, voice, seed, rng)
    frames = int(speech.seconds * FPS + 1e-6)
    times = np.arange(frames) / FPS
    actions = _mouth_actions(speech, times, speaker.style, settings, rng)
    jaw = actions.pop("jaw")
    for name, value in emotion_actions(plan.emotion, plan.level, times, rng).items():
        add_action(actions, name, rng.uniform(0.3, 1.0) * value)
    for name, value in distractor_actions(times, rng, float(rng.uniform(0.5, 1.8))).items():
        add_action(actions, name, value)
    add_action(actions, "eyeBlink_", blink_curve(times, rng))
    exp = np.zeros((frames, asset.n_exp), dtype=np.float32)
    for name, value in actions.items():
        if name in asset.expression_names:
            exp[:, asset.expression_names.index(name)] = np.clip(value, -0.1, 1.0)
    degrees = settings.head_motion_degrees * 2 ** rng.uniform(-1, 1)
    pose = head_pose(times, rng, degrees) + np.radians(rng.normal(0, (4, 12, 4)))
    shape = _identity(asset, rng)
    lmk_2d, cam = _project(basis, shape, exp, jaw, pose, times, rng)
    lag = rng.uniform(-1, 1) * settings.offset_frames / FPS
    return LandmarkClip(
        exp=exp,
        jaw=jaw.astype(np.float32),
        global_pose=pose.astype(np.float32),
        cam=cam,
        shape=shape,
        lmk_2d=lmk_2d,
        audio=_audio_features(speech, frames, lag),
    )


def _random_speaker(number: int, rng: np.random.Generator, settings: LandmarkClipSettings) -> Speaker:
    woman = bool(rng.random() < 0.5)

    def style_value(centre: float) -> float:
        return float(centre * np.exp(settings.style_spread * np.clip(rng.standard_normal(), -2.5, 2.5)))

    style = SpeakingStyle(
        opening=style_value(settings.jaw_opening),
        lips=style_value(settings.lip_amplitude),
        rounding=style_value(settings.lip_amplitude),
        closure=float(rng.uniform(settings.min_closure, 1.0)),
        stress=float(rng.uniform(0.0, 0.35)),
        overlap=float(rng.uniform(0.8, 1.7)),
        asymmetry=float(np.clip(0.12 * rng.standard_normal(), -0.3, 0.3)),
        jaw_side=float(0.06 * rng.standard_normal()),
    )
    return Speaker(
        name=f"{'W' if woman else 'M'}{number:06d}",
        sex="female" if woman else "male",
        age="adult",
        voice=f"{rng.choice(ACCENTS)}+{rng.choice(FEMALE if woman else MALE)}",
        pitch=round(rng.uniform(25, 75)),
        pitch_range=round(rng.uniform(25, 80)),
        words_per_minute=round(rng.uniform(125, 225)),
        style=style,
    )


@cache
def _words() -> tuple[str, ...]:
    """Words of 3 to 9 letters from the dictionary of PocketSphinx."""
    table = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    words = {line.split(" ", 1)[0] for line in table.read_text(encoding="utf-8").splitlines()}
    return tuple(sorted(word for word in words if word.isascii() and word.isalpha() and 3 <= len(word) <= 9))


def _synthesise_speech(
    plan: PlannedClip, speaker: Speaker, voice: SyntheticSettings, seed: int, rng: np.random.Generator
) -> Speech:
    """Synthesise random sentences until one has English phonemes only; some names in the dictionary have others."""
    while True:
        speech = synthesise_speech(replace(plan, text=random_text(plan.number, rng)), speaker, voice, seed)
        if all(has_visemes(phoneme) for phoneme in speech.utterance.phonemes):
            return speech


def random_text(number: int, rng: np.random.Generator) -> str:
    """A composed sentence, or a sequence of random words and function words."""
    if rng.random() < 0.3:
        return sentences.composed_sentence(number * 7919 % sentences.N_COMPOSED)
    words = _words()
    text: list[str] = []
    for _ in range(int(rng.integers(4, 7))):
        if rng.random() < 0.5:
            text.append(str(rng.choice(_FUNCTION_WORDS)))
        text.append(words[int(rng.integers(len(words)))])
    return " ".join(text) + "."


def _mouth_actions(
    speech: Speech,
    times: NDArray[np.float64],
    style: SpeakingStyle,
    settings: LandmarkClipSettings,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Mouth actions (T,) and ``jaw`` (T, 3): speech, a rest position and motion that is independent of the audio."""
    neutral = phoneme_segments(
        speech.utterance.phonemes, speech.utterance.starts, speech.end - speech.lead, stress=style.stress
    )
    segments = _vary_targets(neutral, settings, rng)
    strength = speech.articulation * np.exp(0.25 * smooth_noise(rng, times, low=0.2, high=1.0))
    strength *= (0.15 + _loudness(speech, times)) ** settings.loudness_exponent
    actions = speech_actions(segments, times - speech.lead, style, 1.0)
    jaw = actions.pop("jaw") * strength[:, None]
    actions = {
        name: value * (strength if not name.startswith(("mouthClose", "mouthRoll", "mouthPress")) else 1.0)
        for name, value in actions.items()
    }
    not_closed = 1.0 - np.clip(actions["mouthPressLeft"] + actions["mouthPressRight"], 0.0, 0.6) / 0.6
    amount = rng.uniform(0.3, 1.5)
    for name, share in _IDLE_ACTIONS.items():
        idle = settings.idle_motion * share * amount * smooth_noise(rng, times, low=0.3, high=4.0)
        rest = settings.rest_spread * share * rng.standard_normal()
        for side in (name[:-1] + "Left", name[:-1] + "Right") if name.endswith("_") else (name,):
            one_sided = 0.4 * settings.idle_motion * share * amount * smooth_noise(rng, times, low=0.3, high=4.0)
            # Most actions have no opposite, so that negative values are limited.
            add_action(actions, side, np.maximum(idle + one_sided + rest, -0.1))
    idle = settings.idle_jaw * amount * smooth_noise(rng, times, low=0.3, high=4.0)
    rest = abs(settings.rest_jaw_spread * rng.standard_normal()) * rng.choice((0.3, 1.0))
    # Closed lips stay closed: independent jaw motion is suppressed there.
    jaw[:, 0] = np.maximum(jaw[:, 0] + not_closed * (idle + rest), -0.02)
    jaw[:, 1] += 0.006 * smooth_noise(rng, times, low=0.3, high=3.0)
    return actions | {"jaw": jaw}


def _vary_targets(segments: Segments, settings: LandmarkClipSettings, rng: np.random.Generator) -> Segments:
    """Vary the targets by speaker (per viseme) and by segment, and the times, weights and closures by segment."""
    visemes = {name: number for number, name in enumerate(dict.fromkeys(segments.names))}
    viseme = np.array([visemes[name] for name in segments.names])
    shape = segments.targets.shape
    per_viseme = np.exp(settings.viseme_spread * rng.standard_normal((len(visemes), shape[1])))[viseme]
    per_segment = np.exp(settings.segment_spread * rng.standard_normal(shape))
    added = 0.05 * rng.standard_normal((len(visemes), shape[1]))[viseme] * (np.array(segments.names) != "rest")[:, None]
    shift = 0.018 * rng.standard_normal(len(viseme))
    closure = segments.closure * np.clip(rng.normal(0.95, 0.15, len(viseme)), 0.3, 1.0)
    return replace(
        segments,
        start=segments.start + shift,
        end=segments.end + shift,
        targets=np.clip(segments.targets * per_viseme * per_segment + added, 0.0, 1.5),
        weight=segments.weight * np.exp(0.25 * rng.standard_normal(len(viseme))),
        closure=closure,
    )


def _loudness(speech: Speech, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loudness (T,) of the clean utterance relative to its loud parts, from 0 to about 1."""
    samples, rate = speech.utterance.samples, speech.utterance.rate
    hop = rate // 100
    power = (samples[: len(samples) // hop * hop].astype(np.float64) ** 2).reshape(-1, hop).mean(axis=1)
    loud = np.sqrt(gaussian_filter1d(power, 5.0))
    loud /= np.quantile(loud, 0.9) + 1e-9
    return np.interp(times - speech.lead, (np.arange(len(loud)) + 0.5) / 100, loud, left=0.0, right=0.0)


def _identity(asset: HeadAsset, rng: np.random.Generator) -> Float:
    """Random identity (S,): principal components with unit variance, details with less."""
    shape = rng.standard_normal(asset.n_shape)
    shape[asset.n_principal :] *= 0.6
    return np.clip(shape, -2.5, 2.5).astype(np.float32)


def _project(
    basis: LandmarkBasis,
    shape: Float,
    exp: Float,
    jaw: NDArray[np.floating],
    pose: NDArray[np.floating],
    times: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[Float, Float]:
    """Landmarks (T, 468, 2) in crop coordinates and cameras (T, 3) of the crops."""
    local = basis.local(shape.astype(np.float64), exp.astype(np.float64), jaw.astype(np.float64))
    root = basis.root.base + basis.root.shape @ shape
    points = (local - root) @ rotation_matrices(pose).transpose(0, 2, 1) + root
    drift = np.stack([smooth_noise(rng, times, low=0.1, high=0.7, n=8) for _ in range(3)], axis=1)
    camera = np.column_stack([7.0 * (1 + 0.02 * drift[:, 0]), 0.004 * drift[:, 1:]])
    image = (project_numpy(points, camera) + 1) * _HALF_IMAGE_PX
    boxes = crop_boxes(image, CROP_SCALE)
    full = np.full((len(exp), MESH_POINTS, 2), np.nan, dtype=np.float32)
    full[:, basis.indices] = to_crop(image, boxes)
    # p = s (X + t) is mapped to the crop by v = (400 (p + 1) - corner) * 2 * 223 / (224 size) - 1, with y down.
    zoom = 2 * (CROP_PX - 1) / (CROP_PX * boxes[:, 2])
    scale = camera[:, 0] * _HALF_IMAGE_PX * zoom
    shift = ((_HALF_IMAGE_PX - boxes[:, :2]) * zoom[:, None] - 1) / scale[:, None]
    cam = np.column_stack([scale, camera[:, 1] + shift[:, 0], camera[:, 2] - shift[:, 1]])
    return full, cam.astype(np.float32)


def _audio_features(speech: Speech, frames: int, lag: float) -> Float:
    """Speech features (4 T, 60) of the clip's audio, which lags by ``lag`` seconds."""
    waveform = resample(speech.samples, speech.rate, SAMPLE_RATE)
    features = speech_features(waveform)
    rows = np.clip(np.arange(MEL_ROWS_PER_FRAME * frames) - round(lag * MEL_RATE), 0, len(features) - 1)
    return features[rows]
