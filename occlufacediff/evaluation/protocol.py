"""The test protocol: every method reconstructs every clip of a split under every occlusion, some clips at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import PAINTED_KINDS
from occlufacediff.datasets.clips import Clips
from occlufacediff.evaluation.cases import Case, make_case
from occlufacediff.evaluation.failures import Failure, failure_to
from occlufacediff.evaluation.methods import Made, Method
from occlufacediff.evaluation.painted import PaintedClip
from occlufacediff.models.windows import window_layout
from occlufacediff.storage import as_clip_error

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """All methods on some clips under all occlusions.

    A clip that fails for one method is left out under that occlusion, for all methods.

    Attributes:
        cases: by occlusion kind and clip id.
        made: motions by occlusion kind, method and clip id.
        failures: the first one of each clip and occlusion.
    """

    cases: dict[tuple[str, str], Case]
    made: dict[tuple[str, str, str], Made]
    failures: list[Failure]


def batches(clips: Clips, settings: EvaluationSettings) -> list[list[int]]:
    """Consecutive clips whose windows under all occlusions are sampled together: at least ``batch_size`` windows.

    Each batch has one clip at least, so its memory does not depend on the number of clips. Kinds with painted
    occluders are sampled apart (`reconstruct`) and do not count beside others, whose batches do not depend on them.
    """
    together = len([kind for kind in settings.occlusions if kind not in PAINTED_KINDS]) or len(settings.occlusions)
    found: list[list[int]] = []
    windows = settings.batch_size
    for number in range(len(clips)):
        if windows >= settings.batch_size:
            found.append([])
            windows = 0
        found[-1].append(number)
        each = len(window_layout(max(1, clips.frames_of(number)), hop=settings.sampling.hop).starts)
        windows += each * settings.samples * together
    return found


def reconstruct(
    clips: Clips,
    numbers: Sequence[int],
    methods: Mapping[str, Method],
    settings: EvaluationSettings,
    occlusion_seed: int,
    given: Callable[[int], Callable[[Case], Case]] = lambda number: lambda case: case,
    painted: Callable[[int], PaintedClip] | None = None,
) -> Reconstruction:
    """Occlude some clips by every kind of ``settings.occlusions`` and reconstruct them by every method.

    Networks receive the visible landmarks. `baselines` receive the motion of the visible frames, but not of frames that
    the recording itself occludes.

    A clip that raises an error becomes a failure, and the others continue.

    Args:
        clips: clips of the split.
        numbers: of the clips to reconstruct.
        methods: see `methods.methods_of`.
        settings: of the protocol.
        occlusion_seed: of the occlusions.
        given: completes the cases of a clip, by its number: audio, phones, and the face as methods receive it.
        painted: the clip with a painted occluder, by its number; needed for the kinds `PAINTED_KINDS`.

    Raises:
        OccluFaceError: an error that concerns more than one clip: storage, configuration, assets.
    """
    failures: list[Failure] = []
    cases: dict[tuple[str, str], Case] = {}
    for number in numbers:
        clip_id = clips.clip_id(number)
        with failure_to(failures, settings.occlusions, clip_id):
            clip, complete = clips[number], given(number)
            for kind in settings.occlusions:
                with failure_to(failures, (kind,), clip_id):
                    there = painted(number) if painted is not None and kind in PAINTED_KINDS else None
                    cases[kind, clip_id] = complete(make_case(clip_id, clip, kind, settings, occlusion_seed, there))
    made: dict[tuple[str, str, str], Made] = {}
    # Windows that are sampled together affect each other by rounding: painted ones must not change the others.
    for apart in (False, True):
        group = [case for (kind, _), case in cases.items() if (kind in PAINTED_KINDS) == apart]
        for name, method in methods.items():
            for case, one in _by_method(method, group, failures):
                made[case.occlusion.kind, name, case.clip_id] = one
    first = {(failure.occlusion, failure.clip_id): failure for failure in reversed(failures)}
    return Reconstruction(
        {place: case for place, case in cases.items() if place not in first},
        {place: one for place, one in made.items() if (place[0], place[2]) not in first},
        [failure for failure in failures if first[failure.occlusion, failure.clip_id] is failure],
    )


def _by_method(method: Method, cases: list[Case], failures: list[Failure]) -> list[tuple[Case, Made]]:
    """Reconstruct all cases at once. If that fails, reconstruct each case alone to find those that fail."""
    if not cases:
        return []
    try:
        return list(zip(cases, method(cases), strict=True))
    except Exception as error:
        as_clip_error(error)  # raises errors that concern more than one clip
        LOG.exception("reconstructing %d cases at once failed; reconstructing them one by one", len(cases))
    found = []
    for case in cases:
        with failure_to(failures, (case.occlusion.kind,), case.clip_id):
            found.append((case, method([case])[0]))
    return found
