"""Training of the viseme reader and the emotion reader on generated clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from occlufacediff.config.readers import ReaderSettings
from occlufacediff.config.synthetic import KNOWN_EMOTIONS
from occlufacediff.readers.examples import Example
from occlufacediff.readers.features import Float, MotionFeatures
from occlufacediff.readers.fit_errors import FitErrors
from occlufacediff.readers.network import Reader
from occlufacediff.readers.viseme_letters import LETTERS

#: Smallest scale of a component, in mm; components that hardly move would otherwise amplify errors.
_LEAST_SCALE_MM = 0.5


@dataclass(frozen=True, eq=False)
class Sample:
    """Features (T, F) of one example, with its letters (T,) and its emotion."""

    features: Float
    letters: NDArray[np.int64]
    emotion: int


@dataclass(frozen=True, eq=False)
class FittedClip:
    """Features of a clip whose truth is known: of its true motion, and of the motion fitted to its video."""

    true: Sample
    fitted: Sample


def sample_of(example: Example, features: MotionFeatures) -> Sample:
    """The features of an example."""
    return Sample(features(example.motion), example.letters, example.emotion)


def train_viseme_reader(
    samples: Sequence[Sample], fitted: Sequence[FittedClip], columns: NDArray[np.int64], settings: ReaderSettings
) -> Reader:
    """Train the viseme reader on the ``columns`` of the mouth: cross entropy of the letter of each frame."""

    def loss(scores: Tensor, batch: _Batch) -> Tensor:
        each = torch.nn.functional.cross_entropy(scores.transpose(1, 2), batch.letters, reduction="none")
        return (each * batch.mask).sum() / batch.mask.sum()

    return _train(
        [_part(one, columns) for one in samples],
        [FittedClip(_part(one.true, columns), _part(one.fitted, columns)) for one in fitted],
        (settings.mouth_components, len(LETTERS)),
        loss,
        settings,
        "viseme reader",
    )


def train_emotion_reader(samples: Sequence[Sample], fitted: Sequence[FittedClip], settings: ReaderSettings) -> Reader:
    """Train the emotion reader: cross entropy of the emotion under the scores' mean over the frames of an excerpt."""

    def loss(scores: Tensor, batch: _Batch) -> Tensor:
        mean = (scores * batch.mask[..., None]).sum(dim=1) / batch.mask.sum(dim=1, keepdim=True)
        return torch.nn.functional.cross_entropy(mean, batch.emotions)

    sizes = (settings.face_components, len(KNOWN_EMOTIONS))
    return _train(samples, fitted, sizes, loss, settings, "emotion reader")


def letter_transitions(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Logarithms (C, C) of the probability that a letter (row) is followed by another (column) in the next frame."""
    counts = np.full((len(LETTERS), len(LETTERS)), 0.1)
    for one in samples:
        np.add.at(counts, (one.letters[:-1], one.letters[1:]), 1.0)
    return np.log(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


def letter_frequencies(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Logarithms (C,) of the share of frames of each letter."""
    counts = np.bincount(np.concatenate([one.letters for one in samples]), minlength=len(LETTERS)) + 1.0
    return np.log(counts / counts.sum()).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Batch:
    values: Tensor
    mask: Tensor
    letters: Tensor
    emotions: Tensor


def _part(one: Sample, columns: NDArray[np.int64]) -> Sample:
    return Sample(one.features[:, columns], one.letters, one.emotion)


def _train(
    samples: Sequence[Sample],
    fitted: Sequence[FittedClip],
    sizes: tuple[int, int],
    loss: Callable[[Tensor, _Batch], Tensor],
    settings: ReaderSettings,
    title: str,
) -> Reader:
    """Train a reader of ``sizes`` (components, classes). Without ``fitted`` clips, motion is taken as it is."""
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    components, classes = sizes
    everything = np.concatenate([one.features for one in samples])
    # The neutral face is the origin, so the mean is not removed.
    directions = np.linalg.eigh(everything.T.astype(np.float64) @ everything)[1][:, ::-1][:, :components]

    def projected(one: Sample) -> Sample:
        return Sample((one.features @ directions).astype(np.float32), one.letters, one.emotion)

    drawn = [projected(one) for one in samples]
    known = [projected(one.fitted) for one in fitted]
    errors = None
    if fitted:
        true = [projected(one.true).features.astype(np.float64) for one in fitted]
        errors = FitErrors.estimate(true, [one.features.astype(np.float64) for one in known])
    model = Reader(everything.shape[1], components, classes, settings.width)
    model.directions.copy_(torch.from_numpy(directions.copy()))
    spread = np.concatenate([one.features for one in drawn]).std(axis=0)
    model.scale.copy_(torch.from_numpy(np.maximum(spread, _LEAST_SCALE_MM)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.learning_rate, total_steps=settings.steps, pct_start=0.1
    )
    model.train()
    for _ in tqdm(range(settings.steps), desc=title, unit="step"):
        batch = _draw(drawn, known, errors, settings, rng)
        value = loss(model.scores(batch.values, batch.mask), batch)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def _draw(
    samples: Sequence[Sample],
    fitted: Sequence[Sample],
    errors: FitErrors | None,
    settings: ReaderSettings,
    rng: np.random.Generator,
) -> _Batch:
    """Random excerpts: of generated clips with errors of a fit, and a share of fitted clips."""
    count, frames = settings.batch_size, settings.frames
    real = round(settings.fitted_share * count) if fitted else 0
    chosen = [
        *(samples[number] for number in rng.integers(len(samples), size=count - real)),
        *(fitted[number] for number in rng.integers(max(1, len(fitted)), size=real)),
    ]
    values = np.zeros((count, frames, samples[0].features.shape[1]))
    mask, letters = np.zeros((count, frames), np.float32), np.zeros((count, frames), np.int64)
    for row, one in enumerate(chosen):
        start = int(rng.integers(max(1, len(one.features) - frames + 1)))
        part = one.features[start : start + frames]
        values[row, : len(part)], mask[row, : len(part)] = part, 1.0
        letters[row, : len(part)] = one.letters[start : start + frames]
    values *= rng.uniform(1 - settings.gain, 1 + settings.gain, (count, 1, 1))
    if errors is not None:
        values[: count - real] = errors.apply(values[: count - real], rng)
    emotions = np.array([one.emotion for one in chosen])
    return _Batch(
        torch.from_numpy(values.astype(np.float32) * mask[..., None]),
        torch.from_numpy(mask),
        torch.from_numpy(letters),
        torch.from_numpy(emotions),
    )
