"""Clips without a picture: landmarks, sound and coefficients, each of a speaker of its own, some ten a second.

Landmarks are projected from the head through its embedding and cropped like detected ones. What a speaker does with the
mouth is drawn widely, and partly has nothing to do with the sound, so that a network learns how far sound is to be
trusted. Cheeks, nose and eyes carry decoys (`behaviour.distractor_actions`): they must not tell of the mouth.
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
    add,
    blink_curve,
    distractor_actions,
    emotion_actions,
    head_pose,
    smooth_noise,
)
from occlufacediff.synthetic.plan import LEVELS, PlanClip
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import ACCENTS, FEMALE, MALE, Speaker
from occlufacediff.synthetic.speech import Speech, resampled, speech_of

Float = NDArray[np.float32]

#: Pixels of the picture that landmarks are taken to come from, a unit of crop coordinates.
_PICTURE_PX = 400.0
_FUNCTION_WORDS = (
    "the", "a", "of", "and", "to", "in", "is", "was", "for", "with", "you", "we", "they", "my", "our", "that",
)  # fmt: skip
#: Facial actions of the mouth that stir without sound: most of them, each with its share of the spread.
_RESTLESS = {
    "mouthSmile_": 0.8, "mouthStretch_": 0.9, "mouthPress_": 1.0, "mouthLowerDown_": 0.8, "mouthUpperUp_": 0.7,
    "mouthFrown_": 0.9, "mouthDimple_": 0.8, "mouthFunnel": 0.7, "mouthPucker": 1.2, "mouthRollLower": 0.9,
    "mouthRollUpper": 0.9, "mouthShrugLower": 1.0, "mouthShrugUpper": 0.9, "mouthLeft": 0.8, "mouthRight": 0.8,
    "jawForward": 1.0, "mouthClose": 0.4,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LandmarkClip:
    """T frames at 25 fps, shapes as in docs/architecture.md: ``exp`` (T, E), ``jaw``, ``global_pose``, ``cam`` (T, 3),
    ``shape`` (S,), ``lmk_2d`` (T, 468, 2) with NaN where the head has no such landmark, ``sound`` (4 T, 60)."""

    exp: Float
    jaw: Float
    global_pose: Float
    cam: Float
    shape: Float
    lmk_2d: Float
    sound: Float

    def arrays(self) -> dict[str, Float]:
        """All arrays by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def draw_landmark_clips(
    number: int, settings: LandmarkClipSettings, seed: int, asset: HeadAsset, basis: LandmarkBasis
) -> LandmarkClip:
    """Draw clip ``number``; depends on nothing but its arguments."""
    rng = rng_for(seed, "unrendered", str(number))
    who = _speaker(number, rng, settings)
    plan = PlanClip(
        subject=who.name,
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
    speech = _spoken(plan, who, voice, seed, rng)
    frames = int(speech.seconds * FPS + 1e-6)
    times = np.arange(frames) / FPS
    actions = _mouth(speech, times, who.style, settings, rng)
    jaw = actions.pop("jaw")
    for name, value in emotion_actions(plan.emotion, plan.level, times, rng).items():
        add(actions, name, rng.uniform(0.3, 1.0) * value)
    for name, value in distractor_actions(times, rng, float(rng.uniform(0.5, 1.8))).items():
        add(actions, name, value)
    add(actions, "eyeBlink_", blink_curve(times, rng))
    exp = np.zeros((frames, asset.n_exp), dtype=np.float32)
    for name, value in actions.items():
        if name in asset.expression_names:
            exp[:, asset.expression_names.index(name)] = np.clip(value, -0.1, 1.0)
    degrees = settings.head_motion_degrees * 2 ** rng.uniform(-1, 1)
    pose = head_pose(times, rng, degrees) + np.radians(rng.normal(0, (4, 12, 4)))
    shape = _identity(asset, rng)
    lmk_2d, cam = _filmed(basis, shape, exp, jaw, pose, times, rng)
    lag = rng.uniform(-1, 1) * settings.offset_frames / FPS
    return LandmarkClip(
        exp=exp,
        jaw=jaw.astype(np.float32),
        global_pose=pose.astype(np.float32),
        cam=cam,
        shape=shape,
        lmk_2d=lmk_2d,
        sound=_heard(speech, frames, lag),
    )


def _speaker(number: int, rng: np.random.Generator, settings: LandmarkClipSettings) -> Speaker:
    woman = bool(rng.random() < 0.5)

    def habit(centre: float) -> float:
        return float(centre * np.exp(settings.habit * np.clip(rng.standard_normal(), -2.5, 2.5)))

    style = SpeakingStyle(
        opening=habit(settings.opening),
        lips=habit(settings.lips),
        rounding=habit(settings.lips),
        closure=float(rng.uniform(settings.least_closure, 1.0)),
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
    """Plain words of the recogniser's dictionary."""
    table = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    words = {line.split(" ", 1)[0] for line in table.read_text(encoding="utf-8").splitlines()}
    return tuple(sorted(word for word in words if word.isascii() and word.isalpha() and 3 <= len(word) <= 9))


def _spoken(plan: PlanClip, who: Speaker, voice: SyntheticSettings, seed: int, rng: np.random.Generator) -> Speech:
    """A sentence of English sounds: some names in the dictionary are spoken with foreign ones, which are left out."""
    while True:
        speech = speech_of(replace(plan, text=_text(plan.number, rng)), who, voice, seed)
        if all(has_visemes(phoneme) for phoneme in speech.spoken.phonemes):
            return speech


def _text(number: int, rng: np.random.Generator) -> str:
    """A sentence: a composed one, or words at random with small words between."""
    if rng.random() < 0.3:
        return sentences.composed(number * 7919 % sentences.N_COMPOSED)
    words = _words()
    text: list[str] = []
    for _ in range(int(rng.integers(4, 7))):
        if rng.random() < 0.5:
            text.append(str(rng.choice(_FUNCTION_WORDS)))
        text.append(words[int(rng.integers(len(words)))])
    return " ".join(text) + "."


def _mouth(
    speech: Speech,
    times: NDArray[np.float64],
    style: SpeakingStyle,
    settings: LandmarkClipSettings,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Facial actions (T,) and jaw (T, 3) of a mouth that speaks, rests and stirs."""
    spoken = phoneme_segments(
        speech.spoken.phonemes, speech.spoken.starts, speech.end - speech.lead, stress=style.stress
    )
    segments = _own_targets(spoken, settings, rng)
    lively = speech.liveliness * np.exp(0.25 * smooth_noise(rng, times, low=0.2, high=1.0))
    lively *= (0.15 + _loudness(speech, times)) ** settings.loudness
    actions = speech_actions(segments, times - speech.lead, style, 1.0)
    jaw = actions.pop("jaw") * lively[:, None]
    actions = {
        name: value * (lively if not name.startswith(("mouthClose", "mouthRoll", "mouthPress")) else 1.0)
        for name, value in actions.items()
    }
    free = 1.0 - np.clip(actions["mouthPressLeft"] + actions["mouthPressRight"], 0.0, 0.6) / 0.6
    activity = rng.uniform(0.3, 1.5)
    for name, share in _RESTLESS.items():
        stir = settings.restless * share * activity * smooth_noise(rng, times, low=0.3, high=4.0)
        rest = settings.resting * share * rng.standard_normal()
        for side in (name[:-1] + "Left", name[:-1] + "Right") if name.endswith("_") else (name,):
            own = 0.4 * settings.restless * share * activity * smooth_noise(rng, times, low=0.3, high=4.0)
            # Below rest there is nothing: most actions pull one way only.
            add(actions, side, np.maximum(stir + own + rest, -0.1))
    stir = settings.restless_jaw * activity * smooth_noise(rng, times, low=0.3, high=4.0)
    rest = abs(settings.resting_jaw * rng.standard_normal()) * rng.choice((0.3, 1.0))
    # Lips that meet stay met: what stirs the jaw holds back.
    jaw[:, 0] = np.maximum(jaw[:, 0] + free * (stir + rest), -0.02)
    jaw[:, 1] += 0.006 * smooth_noise(rng, times, low=0.3, high=3.0)
    return actions | {"jaw": jaw}


def _own_targets(segments: Segments, settings: LandmarkClipSettings, rng: np.random.Generator) -> Segments:
    """Segments with the speaker's own targets for each viseme, and each sound a little different."""
    kinds = {name: number for number, name in enumerate(dict.fromkeys(segments.names))}
    kind = np.array([kinds[name] for name in segments.names])
    shape = segments.targets.shape
    own = np.exp(settings.targets * rng.standard_normal((len(kinds), shape[1])))[kind]
    token = np.exp(settings.tokens * rng.standard_normal(shape))
    added = 0.05 * rng.standard_normal((len(kinds), shape[1]))[kind] * (np.array(segments.names) != "rest")[:, None]
    moved = 0.018 * rng.standard_normal(len(kind))
    closure = segments.closure * np.clip(rng.normal(0.95, 0.15, len(kind)), 0.3, 1.0)
    return replace(
        segments,
        start=segments.start + moved,
        end=segments.end + moved,
        targets=np.clip(segments.targets * own * token + added, 0.0, 1.5),
        weight=segments.weight * np.exp(0.25 * rng.standard_normal(len(kind))),
        closure=closure,
    )


def _loudness(speech: Speech, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loudness (T,) of the clean voice relative to its loud parts, 0 to about 1."""
    samples, rate = speech.spoken.samples, speech.spoken.rate
    hop = rate // 100
    power = (samples[: len(samples) // hop * hop].astype(np.float64) ** 2).reshape(-1, hop).mean(axis=1)
    loud = np.sqrt(gaussian_filter1d(power, 5.0))
    loud /= np.quantile(loud, 0.9) + 1e-9
    return np.interp(times - speech.lead, (np.arange(len(loud)) + 0.5) / 100, loud, left=0.0, right=0.0)


def _identity(asset: HeadAsset, rng: np.random.Generator) -> Float:
    """Identity (S,): principal components at about their spread, details at less."""
    shape = rng.standard_normal(asset.n_shape)
    shape[asset.n_principal :] *= 0.6
    return np.clip(shape, -2.5, 2.5).astype(np.float32)


def _filmed(
    basis: LandmarkBasis,
    shape: Float,
    exp: Float,
    jaw: NDArray[np.floating],
    pose: NDArray[np.floating],
    times: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[Float, Float]:
    """Landmarks (T, 468, 2) in crop coordinates and the cameras (T, 3) of the crops."""
    wide = np.float64
    local = basis.local(shape.astype(wide), exp.astype(wide), jaw.astype(wide))
    root = basis.root.base + basis.root.shape @ shape
    points = (local - root) @ rotation_matrices(pose).transpose(0, 2, 1) + root
    drift = np.stack([smooth_noise(rng, times, low=0.1, high=0.7, n=8) for _ in range(3)], axis=1)
    camera = np.column_stack([7.0 * (1 + 0.02 * drift[:, 0]), 0.004 * drift[:, 1:]])
    picture = (project_numpy(points, camera) + 1) * _PICTURE_PX
    boxes = crop_boxes(picture, CROP_SCALE)
    full = np.full((len(exp), MESH_POINTS, 2), np.nan, dtype=np.float32)
    full[:, basis.indices] = to_crop(picture, boxes)
    # p = s (X + t), then to the crop: v = (400 (p + 1) - corner) * 2 * 223 / (224 size) - 1, with y down.
    zoom = 2 * (CROP_PX - 1) / (CROP_PX * boxes[:, 2])
    scale = camera[:, 0] * _PICTURE_PX * zoom
    shift = ((_PICTURE_PX - boxes[:, :2]) * zoom[:, None] - 1) / scale[:, None]
    cam = np.column_stack([scale, camera[:, 1] + shift[:, 0], camera[:, 2] - shift[:, 1]])
    return full, cam.astype(np.float32)


def _heard(speech: Speech, frames: int, lag: float) -> Float:
    """Features (4 T, 60) of the clip's sound, ``lag`` seconds late."""
    waveform = resampled(speech.samples, speech.rate, SAMPLE_RATE)
    sound = speech_features(waveform)
    rows = np.clip(np.arange(MEL_ROWS_PER_FRAME * frames) - round(lag * MEL_RATE), 0, len(sound) - 1)
    return sound[rows]
