"""Archives, transcripts, EMOTE's files, wav2vec2 and configurations under MEAD's names, from generated recordings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from snakemake.utils import update_config
from torch import Tensor

from occlufacediff.files import written_aside
from occlufacediff.media.archives import unpack, write_tar
from occlufacediff.models.audio_encoder import Wav2Vec2Encoder, Wav2Vec2Sizes

sys.path.insert(0, str(Path(__file__).resolve().parent / "emote"))
from stand_ins import coefficient_arrays as coefficient_arrays
from stand_ins import write_emote_clip as write_emote_clip
from stand_ins import write_flame as write_flame

#: A training subject whose lines give the table of transcripts the order of sentences. It has no archives.
SPEAKER_OF_ALL = "W009"


@dataclass(frozen=True)
class Recording:
    """A generated recording under a name of MEAD.

    Attributes:
        clip: ``<emotion>/<level>/<number>``.
        sentence: identity of the sentence spoken; the clip's number need not be it.
        video: mp4; the audio is the m4a of the same name.
    """

    subject: str
    clip: str
    sentence: int
    video: Path


def unpack_recordings(archives: Path, folder: Path) -> dict[tuple[str, str], Path]:
    """Unpack the archives of generated speakers: (subject, clip) -> video, with its audio beside it."""

    def place(name: str) -> Path:
        parts = Path(name).with_suffix("").parts[-3:]
        target = folder / f"{subject}-{'-'.join(parts)}{Path(name).suffix}"
        found[subject, "/".join(parts)] = target.with_suffix(".mp4")
        return target

    found: dict[tuple[str, str], Path] = {}
    for tar in sorted(archives.glob("*/*.tar")):
        subject = tar.parent.name
        unpack(tar, place)
    return dict(sorted(found.items()))


def write_archives(folder: Path, recordings: Iterable[Recording]) -> Path:
    """Write ``<subject>/video.tar`` and ``audio.tar`` of the recordings."""
    by_subject: dict[str, list[Recording]] = {}
    for one in recordings:
        by_subject.setdefault(one.subject, []).append(one)
    for subject, theirs in by_subject.items():
        for name, place, suffix in (("video", "video/front", ".mp4"), ("audio", "audio", ".m4a")):
            members = [(f"{place}/{one.clip}{suffix}", one.video.with_suffix(suffix)) for one in theirs]
            write_tar(folder / subject / f"{name}.tar", members)
    return folder


def write_table(path: Path, recordings: Iterable[Recording], texts: Mapping[int, str] | None = None) -> Path:
    """Write a table of transcripts in which sentence N is the N-th one of `SPEAKER_OF_ALL`.

    Args:
        texts: of sentences; the others have invented ones.
    """
    recordings = list(recordings)
    last = max(one.sentence for one in recordings)
    said = {number: f"Sentence number {number}." for number in range(last + 1)} | dict(texts or {})
    lines = [f"{SPEAKER_OF_ALL}_level_1_neutral_{number:03d} {said[number]}" for number in range(last + 1)]
    for one in recordings:
        emotion, level, number = one.clip.split("/")
        lines.append(f"{one.subject}_{level}_{emotion}_{number} {said[one.sentence]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_small_wav2vec2(path: Path, sizes: Mapping[str, Any], seed: int = 5) -> dict[str, Tensor]:
    """Write random weights of a wav2vec2 of other sizes (keys of `Wav2Vec2Sizes`); gives the weights."""
    torch.manual_seed(seed)
    small = Wav2Vec2Sizes(**dict(sizes) | {"conv_dim": tuple(sizes["conv_dim"])})
    weights = {name: value.contiguous().clone() for name, value in Wav2Vec2Encoder(small).model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
    return weights


def write_configuration(source: Path, path: Path, *changes: Mapping[str, Any]) -> list[str]:
    """Write a configuration file with changes, which are listed at its top.

    Returns:
        the changes: ``key: old -> new``.
    """
    before = yaml.safe_load(source.read_text(encoding="utf-8"))
    after = yaml.safe_load(source.read_text(encoding="utf-8"))
    for part in changes:
        update_config(after, part)
    listed = list(_differences(before, after))
    head = "".join(f"#   {line}\n" for line in listed)
    with written_aside(path) as aside:
        text = f"# Made from {source.name}. Changed (a key without an old value has its default there):\n{head}"
        aside.write_text(text + yaml.safe_dump(after, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return listed


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in after.items():
        old, name = before.get(key), f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _differences(old if isinstance(old, Mapping) else {}, value, f"{name}.")
        elif old != value:
            yield f"{name}: {f'{old} -> ' if key in before else ''}{value}"
