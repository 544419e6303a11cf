"""The clips of an evaluation: those of the split that the protocol and the user's filter leave."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from occlufacediff.config.evaluation import ClipFilter, EvaluationSettings
from occlufacediff.errors import ConfigError

#: The published list has the levels 1 to 3 and skips clips with fewer frames.
PUBLISHED_LEVELS = (1, 2, 3)
PUBLISHED_LEAST_FRAMES = 25
#: Reason of a clip that the published protocol skips.
TOO_SHORT = "too_short"
_LEVEL = re.compile(r"level_(\d+)")


@dataclass(frozen=True)
class ListedClip:
    """What the list needs to know about a clip.

    Attributes:
        subject: its subject.
        clip: its name.
        sentence: identity of its sentence; empty if it is not known.
        frames: number of frames.
    """

    subject: str
    clip: str
    sentence: str
    frames: int


@dataclass(frozen=True)
class ClipList:
    """Indices of the clips to score, and of the clips that the protocol skips with the reason in words."""

    chosen: tuple[int, ...]
    skipped: Mapping[int, str]


def clip_list(clips: Sequence[ListedClip], settings: EvaluationSettings) -> ClipList:
    """The clips to score, in the order of the split.

    The published list is the split ``test`` of ``split.rule: mead`` (5 subjects, sentences 0 to 9) with the levels
    1 to 3; clips of fewer than 25 frames are skipped. On another data set the protocol takes the configured split;
    levels are compared where clips have them.

    Args:
        clips: the clips of the split.
        settings: protocol, filter (``only``) and largest number (``max_clips``).

    Raises:
        ConfigError: the filter leaves no clip.
    """
    published = settings.protocol == "published"
    listed, skipped = [], {}
    for number, clip in enumerate(clips):
        if not _passes(clip, settings.only) or (published and _level(clip.clip) not in (None, *PUBLISHED_LEVELS)):
            continue
        if published and clip.frames < PUBLISHED_LEAST_FRAMES:
            skipped[number] = (
                f"{clip.frames} frames; the published protocol skips clips of fewer than {PUBLISHED_LEAST_FRAMES}"
            )
            continue
        listed.append(number)
    if not listed:
        raise ConfigError(
            f"evaluation.only: none of the {len(clips)} clips of the split {settings.split} is left "
            f"({len(skipped)} are too short); allow more subjects, sentences, emotions or levels"
        )
    most = settings.max_clips
    if most is not None and most < len(listed):
        places = np.unique(np.linspace(0, len(listed) - 1, most).round().astype(int))
        listed = [listed[place] for place in places]
    return ClipList(tuple(listed), skipped)


def _passes(clip: ListedClip, only: ClipFilter) -> bool:
    """Whether a clip passes the filter."""
    emotion = clip.clip.split("/")[0]
    level = _level(clip.clip)
    return (
        (only.subjects is None or clip.subject in only.subjects)
        and (only.sentences is None or clip.sentence in only.sentences)
        and (only.emotions is None or emotion in only.emotions)
        and (only.levels is None or level in only.levels)
    )


def _level(clip: str) -> int | None:
    """Level of a clip ``<emotion>/level_N/<sentence>``; None if its name has none."""
    parts = clip.split("/")
    found = _LEVEL.fullmatch(parts[1]) if len(parts) == 3 else None
    return int(found[1]) if found else None
