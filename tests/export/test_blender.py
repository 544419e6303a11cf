"""Export by Blender: how it is started, what it gets, and, where there is one, what it makes of the motion.

Tests with a real Blender run if the variable ``BLENDER`` names one, or a Python with the module ``bpy``.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_head import small_head
from test_export import FRAMES, arkit_head, run, write_motion

from occlufacediff.export.formats import export_formats, in_range, write_export
from occlufacediff.export.in_blender import SCRIPTS, blender_command
from occlufacediff.export.motion import PosedMotion, posed_motion, read_motion
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.eyes import turn_eyes
from occlufacediff.head.skinning import vertices_numpy

BLENDER = os.environ.get("BLENDER")
real = pytest.mark.skipif(not BLENDER, reason="the variable BLENDER names no Blender")


def fake_blender(folder: Path, body: str) -> Path:
    """A program that takes Blender's options."""
    path = folder / "blender"
    path.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{body}\n")
    path.chmod(0o755)
    return path


def test_blender_gets_the_script_the_files_and_the_rate(tmp_path: Path) -> None:
    body = (
        "source, target, fps = sys.argv[sys.argv.index('--') + 1:]\n"
        "assert sys.argv[1:5] == ['--background', '--factory-startup', '--python-exit-code', '1'], sys.argv\n"
        "assert Path(sys.argv[6]).name == 'convert.py' and Path(sys.argv[6]).is_file()\n"
        "Path(target).write_bytes(Path(source).read_bytes()[:4] + fps.encode())"
    )
    motion = write_motion(tmp_path, arkit_head())
    options = ("--to", "fbx,alembic", "--to", "glb", "--blender", str(fake_blender(tmp_path, body)), "--fps", "30")
    status, output = run(motion, *options)
    assert status == 0, output
    assert motion.with_suffix(".fbx").read_bytes() == b"glTF30.0"
    assert motion.with_suffix(".abc").read_bytes() == b"glTF30.0"
    assert motion.with_suffix(".glb").is_file()
    assert all(str(motion.with_suffix(suffix)) in output for suffix in (".fbx", ".abc", ".glb"))
    assert blender_command(Path("/usr/bin/python3.11"), Path("a.py"), ["x"])[1:] == ["a.py", "--", "x"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "export fbx: needs Blender, which writes this format; give --blender PATH"),
        (
            ("--blender", "nowhere/blender"),
            "--blender nowhere/blender: is no program that can be run; give the path of",
        ),
    ],
)
def test_a_missing_blender_is_named(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    motion = write_motion(tmp_path, arkit_head())
    status, output = run(motion, "--to", "fbx", *options)
    assert status == 2
    assert words in output
    assert not motion.with_suffix(".fbx").exists()


def test_a_failing_blender_is_quoted_and_leaves_no_file(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, arkit_head())
    broken = fake_blender(tmp_path, "print('Error: old version', file=sys.stderr)\nsys.exit(1)")
    status, output = run(motion, "--to", "alembic", "--blender", str(broken))
    assert status == 2
    assert "wrote no .abc file (status 1: Error: old version)" in output
    assert sorted(path.name for path in motion.parent.iterdir()) == ["motion.npz"]


def test_the_script_for_characters_reads_live_link_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times and weights of its reader, without Blender."""
    render = types.SimpleNamespace(fps=24, fps_base=1.0)
    scene = types.SimpleNamespace(render=render)
    stand_in = types.SimpleNamespace(context=types.SimpleNamespace(scene=scene))
    monkeypatch.setitem(sys.modules, "bpy", stand_in)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "mathutils", types.ModuleType("mathutils"))
    script = runpy.run_path(str(SCRIPTS / "apply_motion.py"))
    motion = write_motion(tmp_path, arkit_head())
    assert run(motion, "--to", "livelink", "--fps", "30")[0] == 0
    times, rows = script["read_rows"](str(motion.with_name("motion.livelink.csv")))
    np.testing.assert_allclose(times, np.arange(len(times)) / 30, atol=1e-6)
    np.testing.assert_allclose(script["frames_of"](times, 1.0), 1 + np.arange(len(times)) * 24 / 30, atol=1e-5)
    assert {"jawopen", "headyaw", "browinnerup"} <= set(rows[0])
    assert script["plain"]("Jaw_Open") == script["plain"]("jawOpen") == "jawopen"
    assert script["seconds"]("01:02:03:30.500") == pytest.approx(3723 + 30.5 / 60)


#: Prints as .npy the vertices of the first mesh at some frames, in our axes: metres, y up.
READ_BACK = """
import sys
import numpy as np, bpy
source, target, first, *frames = sys.argv[sys.argv.index("--") + 1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = 25
if source.endswith(".glb"):
    bpy.ops.import_scene.gltf(filepath=source)
elif source.endswith(".fbx"):
    bpy.ops.import_scene.fbx(filepath=source)
elif source.endswith(".abc"):
    bpy.ops.wm.alembic_import(filepath=source, as_background_job=False)
else:
    bpy.ops.wm.usd_import(filepath=source)
mesh = max((o for o in bpy.data.objects if o.type == "MESH"), key=lambda o: len(o.data.vertices))
out = []
for frame in frames:
    bpy.context.scene.frame_set(int(frame) + int(first))
    evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.array([evaluated.matrix_world @ vertex.co for vertex in evaluated.to_mesh().vertices])
    out.append(np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1))
np.save(target, np.stack(out))
"""


def in_blender(script: Path, *arguments: str) -> None:
    command = blender_command(Path(BLENDER or ""), script, list(arguments))
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def talk(small_open_head: Path) -> tuple[HeadAsset, PosedMotion]:
    """A motion of the open head in the range 0 to 1, with eyes."""
    head, rng = HeadAsset.load(small_open_head), np.random.default_rng(9)
    motion = PosedMotion(
        "talk",
        rng.uniform(0, 0.8, (FRAMES, head.n_exp)).astype(np.float32),
        rng.uniform(-0.02, 0.2, (FRAMES, 3)).astype(np.float32),
        rng.uniform(-0.3, 0.3, (FRAMES, 3)).astype(np.float32),
        rng.standard_normal(head.n_shape).astype(np.float32),
        25.0,
        rng.uniform(-0.3, 0.3, (FRAMES, 2, 2)).astype(np.float32),
    )
    return head, in_range(motion, head)[0]


@real
@pytest.mark.slow
@pytest.mark.parametrize(("name", "first"), [("glb", 0), ("usd", 0), ("fbx", 1), ("alembic", 0)])
def test_blender_shows_our_vertices_at_their_frames(
    talk: tuple[HeadAsset, PosedMotion], tmp_path: Path, name: str, first: int
) -> None:
    """Blender's importer of FBX begins at frame 1, the others at 0."""
    head, motion = talk
    one = export_formats([name], Path(BLENDER or ""))[0]
    path = tmp_path / f"talk{one.suffix}"
    write_export(one, path, motion, head)
    frames = [0, 3, FRAMES - 1]
    script = tmp_path / "read.py"
    script.write_text(READ_BACK)
    in_blender(script, str(path), str(tmp_path / "seen.npy"), str(first), *map(str, frames))
    posed = vertices_numpy(head, motion.shape, motion.exp, motion.global_pose, motion.jaw)
    assert motion.gaze is not None
    expected = turn_eyes(head, motion.shape, posed, motion.global_pose, motion.gaze)[frames]
    assert np.abs(expected[1] - expected[0]).max() > 1e-3
    np.testing.assert_allclose(np.load(tmp_path / "seen.npy"), expected, atol=1e-5)


#: Builds a character: a cube with three shape keys under other spellings, and an armature with one bone.
CHARACTER = """
import sys
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = 30
bpy.ops.mesh.primitive_cube_add()
for name in ("Basis", "JawOpen", "brow_inner_up", "somethingElse"):
    bpy.context.object.shape_key_add(name=name)
bpy.ops.object.armature_add()
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])
"""
#: Saves the values of the cube's keys at all frames.
KEYS = """
import sys
import numpy as np, bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[-2])
keys = bpy.data.objects["Cube"].data.shape_keys.key_blocks
turn = bpy.data.objects["Armature"].pose.bones["Bone"].rotation_quaternion
values = []
for frame in range(10, 18):
    bpy.context.scene.frame_set(frame)
    values.append([keys[name].value for name in ("JawOpen", "brow_inner_up", "somethingElse")] + [turn.w])
np.save(sys.argv[-1], np.array(values))
"""


@real
@pytest.mark.slow
def test_a_character_gets_the_weights_at_their_frames(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, arkit_head())
    assert run(motion, "--to", "livelink", "--fps", "30")[0] == 0
    table = motion.with_name("motion.livelink.csv")
    for name, text in (("character", CHARACTER), ("keys", KEYS)):
        (tmp_path / f"{name}.py").write_text(text)
    blend, out = tmp_path / "character.blend", tmp_path / "animated.blend"
    in_blender(tmp_path / "character.py", str(blend))
    apply = ["--head", "Armature", "Bone", "--start", "10", "--out", str(out)]
    opened = tmp_path / "apply.py"
    opened.write_text(
        f"import bpy, runpy\nbpy.ops.wm.open_mainfile(filepath={str(blend)!r})\n"
        f"runpy.run_path({str(SCRIPTS / 'apply_motion.py')!r}, run_name='__main__')\n"
    )
    in_blender(opened, str(table), *apply)
    in_blender(tmp_path / "keys.py", str(out), str(tmp_path / "keys.npy"))
    values = np.load(tmp_path / "keys.npy")
    rows = np.genfromtxt(table, delimiter=",", names=True, dtype=None, encoding="utf-8")[:8]
    np.testing.assert_allclose(values[:, 0], rows["JawOpen"], atol=1e-4)
    np.testing.assert_allclose(values[:, 1], rows["BrowInnerUp"], atol=1e-4)
    assert not values[:, 2].any()
    posed = posed_motion(
        motion, read_motion(motion), replace(small_head(), expression_names=arkit_head().expression_names)
    )
    np.testing.assert_allclose(abs(values[0, 3]), np.cos(np.linalg.norm(posed.global_pose[0]) / 2), atol=1e-4)
