"""Put an exported motion onto your own character in Blender.

The character needs shape keys with ARKit's names, such as ``jawOpen`` (also ``JawOpen`` or ``jaw_open``). The motion is
the file ``motion.livelink.csv`` of `occlufacediff export --to livelink`.

    blender CHARACTER.blend --background --python apply_motion.py -- MOTION.livelink.csv --out ANIMATED.blend

Options: ``--object NAME`` animates this object only (default: all objects with such shape keys); ``--head ARMATURE
BONE`` also turns a bone by the head rotation; ``--start FRAME`` is the frame of the first row (default 1). Key frames
are placed by their time and the frame rate of the scene. In Blender's text editor: open this file, set FILE, run it.
"""

import argparse
import csv
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

# Blender's own modules; they exist in Blender's Python only.
bpy, mathutils = import_module("bpy"), import_module("mathutils")

#: Motion for a run from Blender's text editor.
FILE = ""


def plain(name: str) -> str:
    """A name without case and separators, so that ``jaw_open`` and ``JawOpen`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def seconds(code: str) -> float:
    """Time of a time code ``HH:MM:SS:FF.sss``, whose frames FF are sixtieths of a second."""
    hours, minutes, whole, frame = code.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + int(whole) + float(frame) / 60


def read_rows(path: str) -> tuple[list[float], list[dict[str, float]]]:
    """Times in seconds, and a mapping of plain names to values for each row with a face."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["BlendShapeCount"]) > 0]
    times = [seconds(row["Timecode"]) for row in rows]
    values = [
        {plain(key): float(value) for key, value in row.items() if key not in ("Timecode", "BlendShapeCount")}
        for row in rows
    ]
    return times, values


def frames_of(times: Sequence[float], start: float) -> list[float]:
    """Frames of the scene for these times."""
    render = bpy.context.scene.render
    rate = render.fps / render.fps_base
    return [start + (time - times[0]) * rate for time in times]


def animate_keys(obj: Any, frames: Sequence[float], rows: Sequence[dict[str, float]]) -> int:
    """Key frames for all shape keys of an object whose names are in the rows; returns how many."""
    count = 0
    for block in obj.data.shape_keys.key_blocks:
        name = plain(block.name)
        if name not in rows[0]:
            continue
        for frame, row in zip(frames, rows, strict=True):
            block.value = row[name]
            block.keyframe_insert("value", frame=frame)
        count += 1
    return count


def animate_head(armature: str, bone: str, frames: Sequence[float], rows: Sequence[dict[str, float]]) -> None:
    """Key frames for a bone's rotation, relative to its rest pose."""
    pose = bpy.data.objects[armature].pose.bones[bone]
    pose.rotation_mode = "QUATERNION"
    # Rotations of the file: about y up, x to the subject's left, z forward. Blender's world: z up, -y forward.
    world = mathutils.Matrix(((1, 0, 0), (0, 0, -1), (0, 1, 0)))
    rest = pose.bone.matrix_local.to_3x3()
    for frame, row in zip(frames, rows, strict=True):
        angles = (-row["headpitch"], row["headyaw"], row["headroll"])
        turned = (
            mathutils.Matrix.Rotation(angles[1], 3, "Y")
            @ mathutils.Matrix.Rotation(angles[0], 3, "X")
            @ mathutils.Matrix.Rotation(angles[2], 3, "Z")
        )
        local = rest.inverted() @ world @ turned @ world.inverted() @ rest
        pose.rotation_quaternion = local.to_quaternion()
        pose.keyframe_insert("rotation_quaternion", frame=frame)


def main(arguments: Sequence[str]) -> None:
    """Animate the open file's character."""
    parser = argparse.ArgumentParser(prog="apply_motion.py")
    parser.add_argument("motion", nargs="?" if FILE else None, default=FILE)
    parser.add_argument("--object")
    parser.add_argument("--head", nargs=2, metavar=("ARMATURE", "BONE"))
    parser.add_argument("--start", type=float, default=1.0)
    parser.add_argument("--out")
    options = parser.parse_args(arguments)
    times, rows = read_rows(options.motion)
    if not rows:
        sys.exit(f"apply_motion: {options.motion} has no row with a face")
    frames = frames_of(times, options.start)
    meshes = [obj for obj in bpy.data.objects if obj.type == "MESH" and obj.data.shape_keys is not None]
    if options.object:
        meshes = [obj for obj in meshes if obj.name == options.object]
    counts = {obj.name: animate_keys(obj, frames, rows) for obj in meshes}
    found = {name: count for name, count in counts.items() if count}
    if not found:
        sys.exit("apply_motion: no object has shape keys with ARKit's names, such as jawOpen; rename the shape keys")
    if options.head:
        animate_head(options.head[0], options.head[1], frames, rows)
    bpy.context.scene.frame_end = max(bpy.context.scene.frame_end, int(frames[-1]) + 1)
    print("apply_motion:", ", ".join(f"{name}: {count} shape keys" for name, count in found.items()))
    if options.out:
        bpy.ops.wm.save_as_mainfile(filepath=options.out)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [])
