"""Prediction of many videos: one row each in a summary. A video that fails does not stop the others."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.files import written_aside
from occlufacediff.prediction.pipeline import Prediction
from occlufacediff.prediction.source import check_replaceable
from occlufacediff.prediction.videos import shown
from occlufacediff.stages.predict import MOTION
from occlufacediff.storage import as_clip_error
from occlufacediff.visibility.regions import REGIONS, hidden_regions
from occlufacediff.workflow.shards import FAILED, OK

LOG = logging.getLogger(__name__)

Row = dict[str, Any]
#: Reason of a video whose files or settings do not fit, such as results of another video in its folder.
REFUSED = "refused"
#: Columns of the summary. Shares are of all frames.
COLUMNS = (
    "video",
    "file",
    "seconds",
    "frames",
    "face",
    *(f"hidden_{region}" for region in REGIONS),
    "confidence",
    "exports",
    "status",
    "reason",
    "message",
)


def predict_one(name: str, video: Path, predict: Callable[[], Prediction]) -> Row:
    """Predict one of many videos and describe the result; a failure is a row with a reason.

    Args:
        name: of its result folder.
        video: the file.
        predict: predicts it and writes its files.

    Raises:
        OccluFaceError: a failure that concerns all videos: networks, head model, storage.
    """
    about = {"video": shown(name), "file": shown(str(video))}
    try:
        prediction = predict()
    except ConfigError as error:
        return about | failed_row(ClipError(REFUSED, str(error)))
    except Exception as error:
        failure = as_clip_error(error)
        if failure is not error:
            LOG.exception("%s: failed", about["file"])
        return about | failed_row(failure)
    return about | ok_row(prediction)


def predict_listed(video: Path, summary: Path, predict: Callable[..., Prediction]) -> None:
    """Predict one of the listed videos of the workflow and write its row; files of a failed video are not written.

    Args:
        video: the file.
        summary: table with the one row, in the result folder of the video.
        predict: `stages.predict.predict_video` with all arguments but the video and ``overwrite``.

    Raises:
        OccluFaceError: see `predict_one`.
    """

    def predict_newest() -> Prediction:
        motion = summary.parent / MOTION
        if motion.is_file() and video.is_file():
            check_replaceable(motion, video)
        return predict(video, overwrite=True)

    write_summary(summary, [predict_one(summary.parent.name, video, predict_newest)])


def failed_row(failure: ClipError) -> Row:
    """Columns of a failed video."""
    return {"status": FAILED, "reason": failure.reason, "message": shown(" ".join(str(failure).split()))}


def ok_row(prediction: Prediction) -> Row:
    """Columns of a predicted video: its length, shares of frames, and exported formats."""
    found, hidden = prediction.observation.found, hidden_regions(prediction.visibility.lmk_mask == 0)
    frames = len(prediction.exp)
    return {
        "seconds": f"{frames / prediction.fps:.2f}",
        "frames": frames,
        "face": f"{found.mean():.3f}",
        **{f"hidden_{region}": f"{inside.mean():.3f}" for region, inside in hidden.items()},
        "confidence": f"{prediction.confidence.mean():.3f}",
        "exports": " ".join(prediction.exports),
        "status": OK,
    }


def write_summary(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the summary; missing columns of a row are empty.

    Raises:
        StorageError: see `files.written_aside`.
    """
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="raise", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def join_summaries(summaries: Iterable[Path], path: Path) -> None:
    """Write the rows of some summaries to one, in their order.

    Raises:
        StorageError: see `files.written_aside`.
    """
    rows: list[dict[str, str]] = []
    for summary in summaries:
        with summary.open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    write_summary(path, rows)
