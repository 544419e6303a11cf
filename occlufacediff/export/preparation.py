"""What is done to a motion before it is written: blinks, smoothing, the range of coefficients, the mapping to ARKit."""

from __future__ import annotations

from occlufacediff.config.prediction import Blinks, Smoothing
from occlufacediff.export.arkit_mapping import ArkitMapping, mapped
from occlufacediff.export.blinks import blinks_note, full_blinks
from occlufacediff.export.formats import in_range
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.smoothing import smoothed
from occlufacediff.head.asset import HeadAsset


def prepared(
    motion: PosedMotion,
    head: HeadAsset,
    *,
    blinks: Blinks,
    smoothing: Smoothing,
    bounded: bool = True,
    mapping: ArkitMapping | None = None,
) -> tuple[PosedMotion, list[str]]:
    """The motion as it is exported, and a sentence for each change that the user should know.

    Args:
        motion: the predicted motion.
        head: its head model.
        blinks: ``full``: blinks close the eyes; ``measured``: as in the motion.
        smoothing: strength of smoothing.
        bounded: fit the coefficients to the range 0 to 1.
        mapping: of the coefficients of another head model to ARKit weights.
    """
    notes = []
    if blinks == "full":
        # Before the smoothing, which keeps closed eyes but flattens the weak blinks behind glasses.
        motion, count = full_blinks(motion, head)
        notes += [blinks_note(count)] if count else []
    motion = smoothed(motion, head, smoothing)
    if bounded:
        motion, note = in_range(motion, head)
        notes.append(note)
    if mapping is not None:
        motion, note = mapped(motion, head, mapping)
        notes.append(note)
    return motion, notes
