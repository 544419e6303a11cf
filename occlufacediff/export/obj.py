"""OBJ files, one for each frame, in a ZIP archive."""

from __future__ import annotations

import zipfile
from pathlib import Path

from occlufacediff.export.motion import PosedMotion
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.eyes import turn_eyes
from occlufacediff.head.skinning import vertices_numpy

#: Frames whose vertices are computed at once.
_BATCH = 64


def write_obj_sequence(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    """Write ``frame_000000.obj`` and so on: posed vertices in metres, triangles counted from 1.

    Args:
        path: the archive.
        motion: T frames.
        head: the head model.

    Raises:
        StorageError: see `files.written_aside`.
    """
    faces = "".join(f"f {a} {b} {c}\n" for a, b, c in (head.faces + 1).tolist())
    with written_aside(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for first in range(0, motion.frames, _BATCH):
            part = slice(first, first + _BATCH)
            posed = vertices_numpy(head, motion.shape, motion.exp[part], motion.global_pose[part], motion.jaw[part])
            if motion.gaze is not None:
                posed = turn_eyes(head, motion.shape, posed, motion.global_pose[part], motion.gaze[part])
            for number, vertices in enumerate(posed, start=first):
                lines = "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in vertices.tolist())
                text = f"# frame {number} at {motion.fps:g} frames per second, metres\n{lines}{faces}"
                # A fixed date: equal motions give equal bytes.
                entry = zipfile.ZipInfo(f"frame_{number:06d}.obj")
                archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
