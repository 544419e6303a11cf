"""Clips that fail: an error of one clip becomes a row, and the other clips continue."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from occlufacediff.errors import UNEXPECTED
from occlufacediff.storage import as_clip_error

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A clip that could not be reconstructed or scored under an occlusion.

    Attributes:
        occlusion: kind of occlusion.
        clip_id: ``<subject>/<clip>``.
        reason: short fixed name.
        message: what happened, with the file and the remedy.
        method: the method that lacks the clip; empty: the clip is left out for all methods.
    """

    occlusion: str
    clip_id: str
    reason: str
    message: str
    method: str = ""


@contextmanager
def failure_to(failures: list[Failure], occlusions: Sequence[str], clip_id: str, method: str = "") -> Iterator[None]:
    """Add an error of the block to ``failures``, once for each occlusion, and continue after the block.

    Args:
        failures: extended.
        occlusions: kinds of occlusion.
        clip_id: ``<subject>/<clip>``.
        method: the only method that lacks the clip; empty: all methods.

    Raises:
        OccluFaceError: the error concerns more than this clip.
    """
    try:
        yield
    except Exception as error:
        failure = as_clip_error(error)
        if failure.reason == UNEXPECTED:
            LOG.exception("%s failed under the occlusion %s", clip_id, ", ".join(occlusions))
        message = " ".join(str(failure).split())
        failures += [Failure(kind, clip_id, failure.reason, message, method) for kind in occlusions]
