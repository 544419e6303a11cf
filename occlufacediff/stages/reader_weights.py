"""Stage: train the viseme reader and the emotion reader on generated clips, with a card of their figures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from occlufacediff import __version__
from occlufacediff.config.readers import ReaderSettings
from occlufacediff.config.synthetic import KNOWN_EMOTIONS, SyntheticSettings
from occlufacediff.evaluation.reading import Found, Panel, Said
from occlufacediff.files import sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.readers.examples import Example, fitted_examples, generate_example
from occlufacediff.readers.features import MotionFeatures
from occlufacediff.readers.reading import Readers, save_readers
from occlufacediff.readers.train import (
    FittedClip,
    letter_frequencies,
    letter_transitions,
    sample_of,
    train_emotion_reader,
    train_viseme_reader,
)
from occlufacediff.readers.viseme_letters import LETTERS, sequence_of
from occlufacediff.reporting.templates import render

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """Means over held-out clips of `viseme_accuracy`, `viseme_error_rate` and `emotion_accuracy`."""

    viseme_accuracy: float
    viseme_error_rate: float
    emotion_accuracy: float


def make_readers(
    head: Path,
    coefficients: Sequence[Path],
    held_out: Sequence[Path],
    model: Path,
    card: Path,
    *,
    settings: ReaderSettings,
    synthetic: SyntheticSettings,
    seed: int,
) -> None:
    """Train both readers for a head model. The bytes depend on the inputs, settings and the machine only.

    Args:
        head: the head model; it must have named facial actions.
        coefficients: fitted coefficients of training subjects of the synthetic data set.
        held_out: those of validation subjects, for the figures of the card.
        model: output, both networks (`readers.reading.save_readers`).
        card: output, their settings and their figures on the clips of ``held_out``.
        settings: of clips and training.
        synthetic: of the synthetic data set.
        seed: of the synthetic data set.

    Raises:
        AssetError: the head model lacks a facial action, or the coefficients belong to another one.
    """
    asset = HeadAsset.load(head)
    features = MotionFeatures.of(LandmarkBasis.of(asset))
    numbers = tqdm(range(settings.clips), desc="clips", unit="clip")
    samples = [sample_of(generate_example(number, settings.seed, asset), features) for number in numbers]
    fitted = [
        FittedClip(sample_of(true, features), sample_of(found, features))
        for true, found in fitted_examples(coefficients, synthetic, seed, asset)
    ]
    unseen = [found for _, found in fitted_examples(held_out, synthetic, seed, asset)]
    readers = Readers(
        train_viseme_reader(samples, fitted, features.mouth_columns, settings),
        train_emotion_reader(samples, fitted, settings),
        letter_transitions(samples),
        letter_frequencies(samples),
        features,
    )
    save_readers(model, readers, asset.digest)
    found = figures(readers, asset, unseen)
    still = figures(readers, asset, [neutral(one) for one in unseen])
    log.info("held-out clips: %s; neutral face: %s", found, still)
    parts = {
        "version": __version__,
        "head_name": asset.name,
        "head_digest": asset.digest,
        "size_mb": model.stat().st_size / 1e6,
        "sha256": sha256(model),
        "settings": asdict(settings),
        "letters": len(LETTERS) - 1,
        "emotions": KNOWN_EMOTIONS,
        "parameters": sum(
            parameter.numel() for one in (readers.visemes, readers.emotions) for parameter in one.parameters()
        ),
        "fitted": len(fitted),
        "unseen": len(unseen),
        "figures": asdict(found),
        "neutral": asdict(still),
    }
    with written_aside(card) as aside:
        aside.write_text(render("reader_card.md.j2", parts), encoding="utf-8")


def figures(readers: Readers, asset: HeadAsset, examples: Sequence[Example]) -> Figures:
    """Means of the metrics of `evaluation.reading` over examples."""
    panel = Panel(asset, readers=readers)
    rows = []
    for one in examples:
        said = Said("", KNOWN_EMOTIONS[one.emotion], sequence_of(one.letters), one.letters, np.zeros(0, np.float32))
        found = Found(readers.read(one.motion))
        rows.append(panel.compare(said, found, found, np.zeros(len(one.letters), dtype=bool)))
    names = ("viseme_accuracy", "viseme_error_rate", "emotion_accuracy")
    return Figures(*(float(np.mean([row[name] for row in rows])) for name in names))


def neutral(example: Example) -> Example:
    """The example with a neutral face."""
    return Example(np.zeros_like(example.motion), example.letters, example.emotion)
