"""Stand-ins for MEAD and the files of its two configurations, small enough to train in minutes on a CPU.

``python tests/make_mead_stand_in.py RESULTS OUT`` reads archives, landmarks and coefficients of a generated data set
(``results/synthetic`` after ``make run`` or ``snakemake reconstruct``). It writes:

- ``archives/<subject>/video.tar``, ``audio.tar`` with MEAD's subject names, and ``transcripts.txt``, so that
  ``split.rule: mead`` fills training, validation and test;
- ``flame2020.npz``: the open head in FLAME's sizes, converted from ``FLAME2020/`` in FLAME's layout;
- ``processed/``: the landmarks and coefficients of the data set in EMOTE's layout;
- ``wav2vec2/model.safetensors``: random weights of a small wav2vec2;
- ``mead.yaml``, ``mead_published.yaml``: the repository's configurations with these files and small sizes. Each file
  begins with the list of its changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import h5py
import mead_stand_ins as mead
import numpy as np
import pandas as pd
from mead_stand_ins import Recording

from occlufacediff.config.split import MEAD_TEST_SENTENCES_BELOW, MEAD_VALIDATION_EVERY
from occlufacediff.errors import ConfigError, OccluFaceError
from occlufacediff.head.emote_coefficients import ENTRIES
from occlufacediff.head.flame import find_flame, load_flame
from occlufacediff.stages.open_head import head_with_digest

CONFIG = Path(__file__).resolve().parents[1] / "config"
#: Names of MEAD for the generated speakers of each split.
NAMES = {"train": ("M011", "M012", "M013", "W014", "W015"), "validation": ("M040",), "test": ("M003",)}
WAV2VEC2 = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "conv_dim": [32] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
#: The pace of both configurations.
LOOP = {"validation_windows": 24, "save_every": 100, "loader_workers": 0}
#: What is scored and shown.
SCORED = {"evaluation": {"occlusions": ["none", "mouth"]}, "report": {"videos": 1, "video_seconds": 2.0}}
OWN = {
    "dataset": "mead_try",
    "motion_prior": {
        "loop": LOOP | {"max_steps": 300, "batch_size": 16, "warmup_steps": 30, "ema_decay": 0.98, "validate_every": 25}
    },
    "denoiser": {
        "loop": LOOP
        | {"max_steps": 300, "batch_size": 16, "warmup_steps": 30, "ema_decay": 0.98, "validate_every": 25},
        "sampled": {"windows": 8, "steps": 5},
    },
}
PUBLISHED = {
    "dataset": "mead_published_try",
    "motion_prior": {
        "loop": LOOP | {"epochs": 75, "batch_size": 8, "validate_every": 25},
        "published": {"vertices": "landmarks"},
    },
    "denoiser": {
        "wav2vec2": WAV2VEC2,
        # Epochs 1, 2 and 6 are visual, 3 to 5 train the audio encoder.
        "loop": LOOP | {"epochs": 6, "batch_size": 4, "accumulate": 2, "validate_every": 15},
        "sampled": {"windows": 8, "steps": 5},
        "published": {"vertices": "landmarks"},
    },
    "evaluation": {"steps": 20},
}


def make_mead(results: Path, out: Path, *, subjects: int, clips: int) -> dict[str, list[str]]:
    """Fill ``out``, see the module.

    Args:
        results: results folder of a generated data set.
        out: folder to fill; must not exist or be empty.
        subjects: most training subjects.
        clips: most clips of each subject.

    Returns:
        configuration file -> its changes, ``key: old -> new``.

    Raises:
        ConfigError: ``out`` holds something, ``results`` lacks a file or a split, or its head model is not found.
        ClipError: an archive cannot be read.
        AssetError: the head model cannot be read.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; give a new folder")
    chosen = _chosen(results, subjects, clips)
    with TemporaryDirectory(prefix="mead-") as work:
        videos = mead.unpack_recordings(results / "archives", Path(work))
        recordings = [
            Recording(name, str(row.clip), sentence, videos[str(row.subject), str(row.clip)])
            for name, row, sentence in chosen
        ]
        mead.write_archives(out / "archives", recordings)
    mead.write_table(out / "transcripts.txt", recordings, _texts(results, chosen))
    digest = ""
    for name, row, _ in chosen:
        with h5py.File(results / "landmarks" / f"{row.subject}.h5") as file:
            landmarks = np.asarray(file[row.clip]["landmarks_px"])
        with h5py.File(results / "coefficients" / f"{row.subject}.h5") as file:
            digest = str(file.attrs["head_digest"])
            values = {entry: np.asarray(file[row.clip][entry]) for entry in ENTRIES}
        arrays = {entry: _in_flame(values[entry], len(landmarks), width) for entry, width in ENTRIES.items()}
        mead.write_emote_clip(out / "processed", f"{name}/front/{row.clip}", landmarks, arrays)
    head = head_with_digest(digest)
    if head is None:
        raise ConfigError(f"resources/heads: holds no head model with the digest {digest} of {results}/coefficients")
    model, embedding, masks, kind = find_flame(mead.write_flame(out / "FLAME2020", head))
    load_flame(model, embedding, masks, name=kind).save(out / "flame2020.npz")
    mead.write_small_wav2vec2(out / "wav2vec2" / "model.safetensors", WAV2VEC2)
    files = {"archives": str(out / "archives"), "split": {"transcripts": str(out / "transcripts.txt")}}
    theirs = {
        "head": str(out / "flame2020.npz"),
        "emote": {"folder": str(out / "processed")},
        "denoiser": {"wav2vec2": {"weights": str(out / "wav2vec2")}},
    }
    changes: dict[str, tuple[dict[str, Any], ...]] = {
        "mead.yaml": (files, SCORED, OWN),
        "mead_published.yaml": (files, SCORED, theirs, PUBLISHED),
    }
    return {name: mead.write_configuration(CONFIG / name, out / name, *parts) for name, parts in changes.items()}


def _chosen(results: Path, subjects: int, clips: int) -> list[tuple[str, Any, int]]:
    """Name in MEAD, row of the manifest and sentence of each clip; sentences are those of the split in MEAD."""
    path = results / "manifest.csv"
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; run `snakemake reconstruct` and give results/synthetic")
    manifest = pd.read_csv(path, dtype=str, keep_default_na=False)
    found = []
    for split, names in NAMES.items():
        rows = manifest[(manifest["split"] == split) & (manifest["status"] == "ok")]
        if rows.empty:
            raise ConfigError(f"{path}: no usable clip of the split '{split}'")
        numbers = _numbers(split)
        sentence_of: dict[str, int] = {}
        for name, subject in zip(names[:subjects], rows["subject"].unique(), strict=False):
            for row in rows[rows["subject"] == subject].head(clips).itertuples():
                if row.sentence_id not in sentence_of:
                    sentence_of[row.sentence_id] = next(numbers)
                found.append((name, row, sentence_of[row.sentence_id]))
    return found


def _numbers(split: str) -> Iterator[int]:
    """MEAD's numbers of the sentences of a split by the rule ``mead``."""
    if split == "test":
        return iter(range(MEAD_TEST_SENTENCES_BELOW))
    validation = split == "validation"
    return (
        number
        for number in range(MEAD_TEST_SENTENCES_BELOW, 1000)
        if (number % MEAD_VALIDATION_EVERY == 0) == validation
    )


def _texts(results: Path, chosen: list[tuple[str, Any, int]]) -> dict[int, str]:
    """The spoken text of each sentence."""
    texts = {}
    for _, row, sentence in chosen:
        table = pd.read_csv(results / "archives" / row.subject / "sentences.csv", dtype=str).set_index("clip")
        texts[sentence] = str(table.loc[row.clip, "text"])
    return texts


def _in_flame(values: np.ndarray, frames: int, width: int) -> np.ndarray:
    """Coefficients of the open head, (frames, n) or (n,), as (frames, ``width``), filled with zeros."""
    rows = np.broadcast_to(values, (frames, values.shape[-1]))
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1]))).astype(np.float32)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("results", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--subjects", type=click.IntRange(1, 5), default=4, show_default=True, help="Most training subjects.")
@click.option("--clips", type=click.IntRange(1, 10), default=8, show_default=True, help="Most clips of a subject.")
def main(results: Path, out: Path, subjects: int, clips: int) -> None:
    """Fill the new folder OUT with stand-ins for MEAD, from RESULTS such as results/synthetic."""
    try:
        changes = make_mead(results, out, subjects=subjects, clips=clips)
    except OccluFaceError as error:
        raise click.ClickException(str(error)) from error
    for name, listed in changes.items():
        click.echo(f"{out / name}, changed:")
        click.echo("".join(f"  {line}\n" for line in listed), nl=False)


if __name__ == "__main__":
    main()
