"""Generated clips for the training of the readers: motion with the letters of its frames and its emotion.

Speakers and sentences are not those of the synthetic data set: names are in another range, and sentences are drawn from
a dictionary. A speaker's style, the distractors and the strength of an emotion vary more widely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.synthetic import KNOWN_EMOTIONS, SyntheticSettings
from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.media.rates import FPS, SAMPLE_RATE
from occlufacediff.readers.viseme_letters import frame_letters
from occlufacediff.speech.visemes import has_visemes
from occlufacediff.synthetic.clip import SyntheticClip, generate_clip
from occlufacediff.synthetic.landmark_clips import random_text
from occlufacediff.synthetic.plan import LEVELS, PlannedClip, subject_clips
from occlufacediff.synthetic.seeding import rng_for

#: Number of the first speaker; the synthetic data set numbers its speakers from 101.
FIRST_SPEAKER = 500_000


@dataclass(frozen=True, eq=False)
class Example:
    """One generated clip of T frames at 25 fps.

    Attributes:
        motion: (T, E + 3).
        letters: (T,) numbers in `viseme_letters.LETTERS`.
        emotion: number in `KNOWN_EMOTIONS`.
    """

    motion: NDArray[np.float32]
    letters: NDArray[np.int64]
    emotion: int


def generate_example(number: int, seed: int, asset: HeadAsset) -> Example:
    """Generate example ``number``. Each has its own speaker; emotions and levels take turns.

    Raises:
        AssetError: the head lacks a facial action that the clip uses.
    """
    rng = rng_for(seed, "reader", str(number))
    emotion = number % len(KNOWN_EMOTIONS)
    settings = SyntheticSettings(
        articulation_spread=float(rng.uniform(0.5, 2.0)), distractor_strength=float(rng.uniform(0.3, 1.5))
    )
    speaker = f"{'MW'[int(rng.integers(2))]}{FIRST_SPEAKER + number}"
    plan = PlannedClip(speaker, KNOWN_EMOTIONS[emotion], int(rng.choice(LEVELS)), 1, number, "")
    while True:
        clip = generate_clip(
            replace(plan, text=random_text(number, rng)), settings, seed, fps=FPS, sample_rate=SAMPLE_RATE
        )
        # Some names in the dictionary have phonemes of other languages.
        if all(has_visemes(phoneme) for phoneme in clip.phonemes):
            break
    motion = np.concatenate([_expression(clip, asset), clip.jaw], axis=1)
    return Example(motion, _letters(clip, len(motion)), emotion)


def fitted_examples(
    coefficients: Sequence[Path], settings: SyntheticSettings, seed: int, asset: HeadAsset
) -> list[tuple[Example, Example]]:
    """Clips of the synthetic data set with their true motion, and with the motion that was fitted to their videos.

    Args:
        coefficients: fitted coefficients, one file per subject.
        settings: of the synthetic data set.
        seed: of the synthetic data set.
        asset: the head model.

    Raises:
        AssetError: the coefficients belong to another head model, or a subject is not in the plan.
    """
    pairs = []
    for path in coefficients:
        with _opened(path) as file:
            require_head(path, dict(file.attrs), asset, "fit the coefficients again with this head model")
            for plan in subject_clips(path.stem, settings):
                if plan.clip not in file:
                    continue
                fitted = np.concatenate([file[plan.clip]["exp"][()], file[plan.clip]["jaw"][()]], axis=1)
                clip = generate_clip(plan, settings, seed, fps=FPS, sample_rate=SAMPLE_RATE)
                frames = min(len(fitted), len(clip.exp))
                emotion = KNOWN_EMOTIONS.index(plan.emotion)
                letters = _letters(clip, frames)
                true = np.concatenate([_expression(clip, asset), clip.jaw], axis=1)
                pairs.append((Example(true[:frames], letters, emotion), Example(fitted[:frames], letters, emotion)))
    return pairs


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise AssetError(f"{path}: coefficients cannot be read ({error}); fit them again") from error


def _letters(clip: SyntheticClip, frames: int) -> NDArray[np.int64]:
    seconds = len(clip.waveform) / clip.sample_rate
    return frame_letters(clip.phonemes, clip.phoneme_starts, seconds, frames)


def _expression(clip: SyntheticClip, asset: HeadAsset) -> NDArray[np.float32]:
    """Expression (T, E) of a clip in the order of the head's actions."""
    place = {name: column for column, name in enumerate(clip.expression_names)}
    missing = [name for name in place if clip.exp[:, place[name]].any() and name not in asset.expression_names]
    if missing:
        raise AssetError(
            f"head model {asset.name!r} has no action {missing[0]!r}: readers are trained for heads with facial "
            "actions only; set `head` to null"
        )
    return np.stack([clip.exp[:, place[name]] for name in asset.expression_names], axis=1)
