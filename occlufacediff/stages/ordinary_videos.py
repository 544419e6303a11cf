"""Stage: the index of one speaker's ordinary videos. Nothing is copied: later stages read the user's files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from occlufacediff.datasets.ordinary_videos import OrdinaryVideo
from occlufacediff.files import written_aside
from occlufacediff.workflow.shards import FAILED, OK, Row, write_index


def index_videos(videos: Sequence[OrdinaryVideo], index_csv: Path, sentences_csv: Path) -> None:
    """Write the index of a speaker's videos, with absolute paths, and the table of their sentences.

    Failed rows: names that cannot be used (``odd_name``), and names that are equal but for their suffix or for
    characters that clip names cannot have (``equal_name``). A clip's audio is the audio of its video.

    Args:
        videos: videos of the speaker.
        index_csv: index with the figures ``video`` and ``audio``, as `stages.acquire.unpack_subject` writes it.
        sentences_csv: table ``clip,sentence_id,text`` of the clips whose sentence is given.
    """
    rows: list[Row] = [
        {
            "clip": video.clip,
            "status": FAILED if video.reason else OK,
            "reason": video.reason,
            "message": video.message,
            "video": video.path,
            "audio": "",
        }
        for video in videos
    ]
    write_index(index_csv, sorted(rows, key=lambda row: row["clip"]), ["video", "audio"])
    with written_aside(sentences_csv) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("clip", "sentence_id", "text"))
        writer.writerows((video.clip, video.sentence_id, "") for video in videos if video.sentence_id)
