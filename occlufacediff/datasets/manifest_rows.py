"""The usable clips of a split, read from the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from occlufacediff.datasets.splits import ALSO_VALIDATION
from occlufacediff.errors import AssetError


@dataclass(frozen=True)
class SplitRows:
    """Usable clips of a split in the order of the manifest.

    Attributes:
        manifest: the table.
        split: its name.
        rows: subject and clip of each.
        sentences: sentence identity of each; empty where the manifest has none.
    """

    manifest: Path
    split: str
    rows: list[tuple[str, str]]
    sentences: dict[tuple[str, str], str]

    @classmethod
    def read(cls, manifest: Path, split: str) -> SplitRows:
        """Read the rows of a split whose ``status`` is ``ok``.

        Raises:
            AssetError: a column is missing or the split is empty.
        """
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        needed = {"subject", "clip", "split", "status"}
        if not needed <= set(table.columns):
            raise AssetError(f"{manifest}: columns {sorted(needed - set(table.columns))} are missing; rebuild it")
        chosen = table["split"] == split
        if split == "validation" and ALSO_VALIDATION in table.columns:
            chosen |= table[ALSO_VALIDATION] == "yes"
        table = table[chosen & (table["status"] == "ok")]
        if table.empty:
            raise AssetError(f"{manifest}: no usable clip in the {split} split; see its column reason")
        rows = list(zip(table["subject"], table["clip"], strict=True))
        # Manifests of generated clips list no sentences.
        sentences = table["sentence_id"] if "sentence_id" in table.columns else [""] * len(table)
        return cls(Path(manifest), split, rows, dict(zip(rows, sentences, strict=True)))

    def files(self, kind: str, files: Iterable[Path]) -> dict[str, Path]:
        """Files of the split's subjects by the subject's name, which is the file's stem.

        Raises:
            AssetError: a subject has no file, or its file does not exist.
        """
        paths = {Path(file).stem: Path(file) for file in files}
        found = {}
        for subject in dict.fromkeys(subject for subject, _ in self.rows):
            if subject not in paths:
                raise AssetError(f"{kind}: no file of subject {subject}, which {self.manifest} lists in {self.split}")
            if not paths[subject].is_file():
                raise AssetError(f"{kind}: {paths[subject]} does not exist; run the stage that makes it first")
            found[subject] = paths[subject]
        return found

    def clip_sentences(self) -> dict[str, str]:
        """Sentence identity of each clip by its id."""
        return {"/".join(row): self.sentences[row] for row in self.rows}


def clip_id(row: Sequence[str]) -> str:
    """`<subject>/<clip>`."""
    return "/".join(row)
