"""Eyes in exports: joints turn the eyeballs as the gaze says, in glTF, USD and OBJ files."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from glb_reader import Glb
from node_tools import run_node
from scipy.spatial.transform import Rotation
from small_head import small_head
from test_export import FRAMES, arkit_head, run, write_motion

from occlufacediff.export.gltf import GltfScene, head_glb
from occlufacediff.export.motion import PosedMotion, posed_motion, read_motion
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.eyes import EYEBALLS, eyeballs, turn_eyes
from occlufacediff.head.skinning import vertices_numpy


def with_eyes() -> HeadAsset:
    """The small head with two groups of vertices as eyeballs, which do not move with the jaw."""
    head = arkit_head()
    rows = np.arange(16)
    still, weights = head.expdirs.copy(), head.weights.copy()
    still[rows], weights[rows] = 0, np.eye(weights.shape[1])[0]
    regions = head.regions | {name: rows[8 * number :][:8] for number, name in enumerate(EYEBALLS)}
    return replace(head, regions=regions, expdirs=still, weights=weights)


def gaze_of(frames: int) -> np.ndarray:
    return np.random.default_rng(8).uniform(-0.5, 0.5, (frames, 2, 2)).astype(np.float32)


def expected(head: HeadAsset, motion: PosedMotion) -> np.ndarray:
    """Eyeballs turned in the neutral head, then posed: independent of `turn_eyes`."""
    assert motion.gaze is not None
    out = vertices_numpy(head, motion.shape, motion.exp, motion.global_pose, motion.jaw)
    neutral = head.v_template + head.shapedirs @ motion.shape
    for frame in range(motion.frames):
        for number, eye in enumerate(eyeballs(head, neutral)):
            yaw, pitch = motion.gaze[frame, number]
            turned = Rotation.from_euler("y", yaw) * Rotation.from_euler("x", -pitch)
            root = (head.J_regressor[0] @ (neutral + head.expdirs @ motion.exp[frame]))[None]
            local = turned.apply(neutral[eye.rows] - eye.centre) + eye.centre
            out[frame, eye.rows] = Rotation.from_rotvec(motion.global_pose[frame]).apply(local - root) + root
    return out


def motion_with_gaze(tmp_path: Path, head: HeadAsset) -> tuple[Path, PosedMotion]:
    path = write_motion(tmp_path, head, gaze=gaze_of(FRAMES))
    return path, posed_motion(path, read_motion(path), head)


def test_gaze_turns_to_the_subjects_left_and_up() -> None:
    head = with_eyes()
    (eye, _) = eyeballs(head, head.v_template)
    still = np.zeros((2, 3), np.float32)
    posed = vertices_numpy(head, np.zeros(head.n_shape), np.zeros((2, head.n_exp)), still, still)
    gaze = np.zeros((2, 2, 2))
    gaze[0, 0], gaze[1, 0] = (0.3, 0.0), (0.0, 0.2)
    moved = turn_eyes(head, np.zeros(head.n_shape), posed, still, gaze)[:, eye.rows] - eye.centre
    front = np.argmax(head.v_template[eye.rows, 2])
    given = posed[0, eye.rows] - eye.centre
    np.testing.assert_allclose(np.linalg.norm(moved[0], axis=1), np.linalg.norm(given, axis=1), rtol=1e-5)
    assert given[front, 2] > 0
    assert moved[0, front, 0] > given[front, 0]
    assert moved[1, front, 1] > given[front, 1]


def test_gltf_joints_turn_the_eyes(tmp_path: Path) -> None:
    head = with_eyes()
    path, motion = motion_with_gaze(tmp_path, head)
    assert run(path, "--to", "glb", "--unbounded")[0] == 0
    file = Glb(path.with_suffix(".glb"))
    made = np.stack([file.vertices(0, 0, frame) for frame in range(FRAMES)])
    np.testing.assert_allclose(made, expected(head, motion), atol=2e-5)
    assert [node["name"].split()[-1] for node in file.document["nodes"]] == [
        "mesh",
        "head",
        "jaw",
        "leftEye",
        "rightEye",
    ]
    # A motion without gaze has the joints of before.
    plain = head_glb(head, [GltfScene("head", [replace(motion, gaze=None)])])
    assert len(plain.document["nodes"]) == 3
    # In a file with both, eyes of the other motion look straight ahead.
    both = head_glb(head, [GltfScene("head", [motion, replace(motion, name="other", gaze=None)])])
    both.write(tmp_path / "both.glb")
    truth = vertices_numpy(head, motion.shape, motion.exp, motion.global_pose, motion.jaw)
    np.testing.assert_allclose(Glb(tmp_path / "both.glb").vertices(0, 1, 3), truth[3], atol=2e-5)


def test_obj_files_have_turned_eyes(tmp_path: Path) -> None:
    head = with_eyes()
    path, motion = motion_with_gaze(tmp_path, head)
    assert run(path, "--to", "obj", "--unbounded")[0] == 0
    with zipfile.ZipFile(path.with_name("motion.obj.zip")) as archive:
        lines = archive.read("frame_000004.obj").decode().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], dtype=float)
    np.testing.assert_allclose(vertices, expected(head, motion)[4], atol=2e-5)


def test_usd_joints_turn_the_eyes(tmp_path: Path) -> None:
    pxr = pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Gf, Usd, UsdGeom, UsdSkel

    assert pxr
    head = with_eyes()
    path, motion = motion_with_gaze(tmp_path, head)
    assert run(path, "--to", "usd", "--unbounded")[0] == 0
    stage = Usd.Stage.Open(str(path.with_name("motion.usdc")))
    assert UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetPrimAtPath("/Head")), Gf.Interval.GetFullInterval())
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Mesh")).GetPointsAttr()
    baked = np.stack([np.array(points.Get(frame)) for frame in range(FRAMES)])
    np.testing.assert_allclose(baked, expected(head, motion), atol=2e-5)


@pytest.mark.slow
def test_the_open_head_has_eyes_that_the_official_validator_accepts(tmp_path: Path, small_open_head: Path) -> None:
    head = HeadAsset.load(small_open_head)
    still = np.zeros((FRAMES, 3), np.float32)
    exp = np.zeros((FRAMES, head.n_exp), np.float32)
    motion = PosedMotion("talk", exp, still, still, np.zeros(head.n_shape, np.float32), 25, gaze_of(FRAMES))
    head_glb(head, [GltfScene("head", [motion])]).write(tmp_path / "eyes.glb")
    (report,) = run_node("export/validate_gltf.cjs", str(tmp_path / "eyes.glb"))
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]["messages"][:5]
    np.testing.assert_allclose(Glb(tmp_path / "eyes.glb").vertices(0, 0, 5), expected(head, motion)[5], atol=2e-6)


def test_a_gaze_of_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    path = write_motion(tmp_path, small_head(), gaze=np.zeros((FRAMES, 2), np.float32))
    status, output = run(path, "--to", "glb")
    assert status == 2
    assert "entry 'gaze' is float32 of shape" in output
