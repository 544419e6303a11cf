"""What a checkpoint was trained on, and whether given clips are among it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from occlufacediff import __version__


@dataclass(frozen=True)
class TrainingOrigin:
    """Names of a training that the configuration determines.

    Attributes:
        dataset: name of the data set.
        split_rule: rule that chose the training clips.
        run: name of the run.
    """

    dataset: str
    split_rule: str
    run: str


@dataclass(frozen=True)
class Overlap:
    """Which parts of some clips a training has used, by the names of subjects and the identities of sentences.

    Attributes:
        subjects: subjects of these clips that were trained on, sorted.
        sentences: sentences of these clips that were trained on, sorted.
        clips: number of these clips with both subject and sentence trained on.
        total: number of these clips.
        same_dataset: whether the data set has the name of the training's. Sentences of data sets with different names
            may have equal identities and be different sentences.
    """

    subjects: tuple[str, ...]
    sentences: tuple[str, ...]
    clips: int
    total: int
    same_dataset: bool

    @property
    def trained_on(self) -> bool:
        """Whether at least one of the clips may have been trained on."""
        return self.clips > 0


@dataclass(frozen=True)
class Provenance:
    """What a checkpoint was trained on.

    Attributes:
        dataset: name of the data set.
        split_rule: rule that chose the training clips.
        run: name of the run.
        seed: of the training.
        subjects: subjects of the training clips, sorted.
        sentences: identities of their sentences, sorted; empty where the data set has none.
        clips: number of training clips.
        clips_sha256: digest of their ids, see `clips_digest`.
        versions: of the package, python and torch, as far as recorded.
        start: the checkpoint that the training started from; None: it started from random weights.
    """

    dataset: str
    split_rule: str
    run: str
    seed: int
    subjects: tuple[str, ...]
    sentences: tuple[str, ...]
    clips: int
    clips_sha256: str
    versions: Mapping[str, str] = field(default_factory=dict)
    start: StartingPoint | None = None

    @classmethod
    def of(
        cls, origin: TrainingOrigin, clips: Mapping[str, str], seed: int, start: StartingPoint | None = None
    ) -> Provenance:
        """The provenance of a training in this process.

        Args:
            origin: names from the configuration.
            clips: sentence identity of each training clip (empty: none) by its id ``<subject>/<clip>``.
            seed: of the training.
            start: the checkpoint that it started from.
        """
        return cls(
            **asdict(origin),
            seed=seed,
            subjects=tuple(sorted({clip.split("/", 1)[0] for clip in clips})),
            sentences=tuple(sorted({sentence for sentence in clips.values() if sentence})),
            clips=len(clips),
            clips_sha256=clips_digest(clips),
            versions={
                "occlufacediff": __version__,
                "python": platform.python_version(),
                "torch": str(torch.__version__),
            },
            start=start,
        )

    def overlap(self, dataset: str, clips: Mapping[str, str]) -> Overlap:
        """Which of some clips were trained on.

        The same recordings may be used under several data set names, so subjects and sentences are compared whatever
        the name is. A data set without sentences is compared by subjects alone.

        Args:
            dataset: name of the clips' data set.
            clips: sentence identity of each clip by its id ``<subject>/<clip>``.
        """
        subjects, sentences = set(self.subjects), set(self.sentences)
        pairs = [(clip.split("/", 1)[0], sentence) for clip, sentence in clips.items()]
        used = [
            subject in subjects and (not sentences or not sentence or sentence in sentences)
            for subject, sentence in pairs
        ]
        return Overlap(
            subjects=tuple(sorted(subjects.intersection(subject for subject, _ in pairs))),
            sentences=tuple(sorted(sentences.intersection(sentence for _, sentence in pairs))),
            clips=sum(used),
            total=len(pairs),
            same_dataset=dataset == self.dataset,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "start"}
        values |= {name: list(values[name]) for name in ("subjects", "sentences")} | {"versions": dict(self.versions)}
        return values if self.start is None else values | {"start": self.start.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Read what `to_dict` gave.

        Raises:
            ValueError: an entry is missing, unknown or of another kind.
        """
        kinds = {"seed": int, "clips": int, "subjects": list, "sentences": list, "versions": dict}
        names = [item.name for item in fields(cls) if item.name != "start"]
        start = values.get("start")
        values = {name: value for name, value in values.items() if name != "start"}
        if set(values) != set(names):
            raise ValueError(f"needs the entries {', '.join(names)}, got {', '.join(map(str, values))}")
        for name in names:
            if not isinstance(values[name], kinds.get(name, str)):
                raise ValueError(f"{name}: got {values[name]!r}")
        lists = {name: tuple(str(value) for value in values[name]) for name in ("subjects", "sentences")}
        return cls(**{**values, **lists}, start=None if start is None else StartingPoint.from_dict(start))


@dataclass(frozen=True)
class StartingPoint:
    """The checkpoint that a training started from.

    Attributes:
        weights_sha256: digest of its weights file.
        provenance: what it was trained on; None where that is not known.
    """

    weights_sha256: str
    provenance: Provenance | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML."""
        provenance = None if self.provenance is None else self.provenance.to_dict()
        return {"weights_sha256": self.weights_sha256, "provenance": provenance}

    @classmethod
    def from_dict(cls, values: Any) -> StartingPoint:
        """Read what `to_dict` gave.

        Raises:
            ValueError: an entry is missing, unknown or of another kind.
        """
        if not isinstance(values, dict) or set(values) != {"weights_sha256", "provenance"}:
            raise ValueError(f"start: needs the entries weights_sha256, provenance, got {values!r}")
        provenance = values["provenance"]
        return cls(str(values["weights_sha256"]), None if provenance is None else Provenance.from_dict(provenance))


def trainings(provenance: Provenance | None) -> list[Provenance | None]:
    """A provenance and those of the checkpoints it started from, one after the other; None where it is not known."""
    if provenance is None or provenance.start is None:
        return [provenance]
    return [provenance, *trainings(provenance.start.provenance)]


def clips_digest(clips: Iterable[str]) -> str:
    """SHA-256 of clip ids, whatever their order."""
    return hashlib.sha256("\n".join(sorted(clips)).encode()).hexdigest()
