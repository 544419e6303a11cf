"""The command ``occlufacediff splits``: how many clips of a table of transcripts belong to each split of MEAD."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from occlufacediff.config.split import SPLITS, SplitSettings
from occlufacediff.datasets.splits import UNUSED, split_of
from occlufacediff.datasets.transcripts import read_transcripts


def run(table: Path, *, as_written: bool, validation_is_test: bool) -> None:
    """Print the number of clips, subjects and sentences of each split, and the clips by emotion, level and subject.

    Args:
        table: table of transcripts.
        as_written: do not normalise apostrophes.
        validation_is_test: no validation clips are taken out of the training split.

    Raises:
        AssetError: the table cannot be read, or a line of it is wrong.
    """
    settings = SplitSettings(rule="mead", validation_is_test=validation_is_test)
    spoken = read_transcripts(table, normalise_apostrophes=not as_written)
    rows = [
        (split_of(subject, sentence.id, settings)[0], subject, *clip.split("/")[:2], sentence.id)
        for (subject, clip), sentence in spoken.items()
    ]
    subjects, sentences = {row[1] for row in rows}, {row[4] for row in rows}
    click.echo(f"{table}: {len(rows)} clips, {len(subjects)} subjects, {len(sentences)} sentences")
    for split in (*SPLITS, UNUSED):
        theirs = [row for row in rows if row[0] == split]
        if not theirs:
            continue
        subjects, sentences = {row[1] for row in theirs}, {row[4] for row in theirs}
        click.echo(f"{split}: {len(theirs)} clips, {len(subjects)} subjects, {len(sentences)} sentences")
        for name, column in (("emotions", 2), ("levels", 3), ("subjects", 1)):
            counts = Counter(row[column] for row in theirs)
            click.echo(f"  {name}: {', '.join(f'{value} {counts[value]}' for value in sorted(counts))}")
