"""Whether scored clips were used to train the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from occlufacediff.models.provenance import Provenance, trainings

Seen = Literal["no", "no_subjects", "sentences", "subjects", "subjects_and_sentences", "unknown", "clips"]

#: Sentences for report and console, from the least to the most that training has used.
SEEN: dict[Seen, str] = {
    "no": "The networks were trained neither on the subjects nor on the sentences of these clips.",
    "no_subjects": "The networks were not trained on the subjects of these clips; their sentences cannot be compared.",
    "sentences": "The networks were trained on sentences of these clips, spoken by other subjects.",
    "subjects": "The networks were trained on subjects of these clips, but not on their sentences.",
    "subjects_and_sentences": "The networks were trained on the subjects of some of these clips, and on the sentences "
    "of others.",
    "unknown": "It is not known whether the networks were trained on these clips: the checkpoint does not record it.",
    "clips": "The networks were trained on the subjects and sentences of some of these clips, so the results do not "
    "show how well they generalise.",
}
_ORDER: list[Seen] = list(SEEN)


def seen_in_training(provenances: Sequence[Provenance | None], dataset: str, clips: Mapping[str, str]) -> Seen:
    """What the trainings of some networks used of some clips: the most that any of them used.

    A network that was fine-tuned has the clips of all its trainings.

    Args:
        provenances: of the networks; None where a checkpoint does not record it.
        dataset: name of the clips' data set.
        clips: sentence of each clip by its id ``<subject>/<clip>``, see `ClipStore.clip_sentences`.
    """
    all_trainings = [one for provenance in provenances for one in trainings(provenance)]
    return max((_seen(one, dataset, clips) for one in all_trainings), key=_ORDER.index)


def _seen(provenance: Provenance | None, dataset: str, clips: Mapping[str, str]) -> Seen:
    if provenance is None:
        return "unknown"
    overlap = provenance.overlap(dataset, clips)
    if overlap.trained_on:
        return "clips"
    # Sentences of other data sets may have the same identity and be other sentences.
    comparable = overlap.same_dataset and bool(provenance.sentences) and all(clips.values())
    if overlap.subjects:
        return "subjects_and_sentences" if overlap.sentences or not comparable else "subjects"
    if not comparable:
        return "no_subjects"
    return "sentences" if overlap.sentences else "no"
