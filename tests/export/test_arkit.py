"""ARKit weights and the formats that hold them: Live Link Face, Audio2Face; OBJ files; other frame rates."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from glb_reader import Glb
from hypothesis import given, settings
from hypothesis import strategies as st
from node_tools import run_node
from scipy.spatial.transform import Rotation
from small_head import small_head
from test_export import FRAMES, arkit_head, run, write_motion

from occlufacediff.cli import main
from occlufacediff.config.names import EXPORT_FORMATS
from occlufacediff.errors import ConfigError
from occlufacediff.export.arkit import ARKIT_NAMES, JAW_OPEN, JAW_SIDE, LOOK_SIDE, LOOK_UP, ArkitMotion, arkit_motion
from occlufacediff.export.formats import FORMATS
from occlufacediff.export.livelink import HEADER, time_code
from occlufacediff.export.motion import PosedMotion, posed_motion, read_motion
from occlufacediff.export.resampling import resampled
from occlufacediff.export.vrma import write_vrma
from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.head.skinning import vertices_numpy


def motion_of(frames: int = FRAMES, **values: np.ndarray) -> PosedMotion:
    head = arkit_head()
    zero = {
        "exp": np.zeros((frames, head.n_exp), np.float32),
        "jaw": np.zeros((frames, 3), np.float32),
        "global_pose": np.zeros((frames, 3), np.float32),
        "shape": np.zeros(head.n_shape, np.float32),
    }
    return PosedMotion(name="talk", fps=25.0, **zero | values)


def test_the_names_are_arkits_52() -> None:
    assert len(set(ARKIT_NAMES)) == 52
    assert set(ARKIT_NAMES) - set(EXPRESSION_NAMES) == {
        *(f"jaw{name}" for name in ("Open", "Left", "Right")),
        *(f"eyeLook{way}{side}" for way in ("Up", "Down", "In", "Out") for side in ("Left", "Right")),
        "tongueOut",
    }
    assert tuple(FORMATS) == EXPORT_FORMATS


def test_jaw_and_gaze_become_weights() -> None:
    jaw = np.zeros((2, 3), np.float32)
    jaw[0] = (JAW_OPEN / 2, JAW_SIDE, 0)
    jaw[1] = (-0.1, -2 * JAW_SIDE, 0)
    gaze = np.zeros((2, 2, 2), np.float32)
    # Both eyes look to the subject's left and up, then to the right and down.
    gaze[0], gaze[1] = (LOOK_SIDE / 2, LOOK_UP), (-LOOK_SIDE, -LOOK_UP / 2)
    motion = arkit_motion(motion_of(2, jaw=jaw, gaze=gaze), arkit_head())
    expected = {
        "jawOpen": (0.5, 0), "jawLeft": (1, 0), "jawRight": (0, 1), "tongueOut": (0, 0),
        "eyeLookOutLeft": (0.5, 0), "eyeLookInRight": (0.5, 0), "eyeLookInLeft": (0, 1), "eyeLookOutRight": (0, 1),
        "eyeLookUpLeft": (1, 0), "eyeLookDownRight": (0, 0.5),
    }  # fmt: skip
    for name, weights in expected.items():
        np.testing.assert_allclose(motion.weight(name), weights, atol=1e-6, err_msg=name)


def test_opposite_actions_are_never_both_above_zero() -> None:
    exp = np.full((1, arkit_head().n_exp), 0.7, np.float32)
    names = list(EXPRESSION_NAMES)
    head = replace(arkit_head(), expression_names=(*names[:4], "mouthLeft", "mouthRight"))
    exp[0, 4:6] = 0.5, 0.2
    motion = arkit_motion(motion_of(1, exp=exp), head)
    assert motion.weight("mouthLeft") == pytest.approx([0.3])
    assert motion.weight("mouthRight") == [0]


def test_yaw_pitch_and_roll_of_the_head() -> None:
    turn = Rotation.from_euler("YXZ", [0.3, -0.2, 0.1]).as_rotvec().astype(np.float32)
    motion = arkit_motion(motion_of(1, global_pose=turn[None]), arkit_head())
    np.testing.assert_allclose(motion.head, [[0.3, -0.2, 0.1]], atol=1e-6)


def test_a_head_without_actions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="are not ARKit actions"):
        arkit_motion(motion_of(), small_head())
    status, output = run(write_motion(tmp_path, small_head()), "--to", "livelink")
    assert status == 2
    assert "not ARKit actions" in output
    assert "Traceback" not in output


def test_live_link_face_as_its_importers_read_it(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, arkit_head())
    assert run(motion, "--to", "livelink")[0] == 0
    path = motion.with_name("motion.livelink.csv")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == HEADER
    assert (len(HEADER), HEADER[2], HEADER[53], HEADER[-1]) == (63, "EyeBlinkLeft", "TongueOut", "RightEyeRoll")
    assert all(re.fullmatch(r"-?\d\.\d{10}", value) for row in rows[1:] for value in row[2:])
    assert {row[1] for row in rows[1:]} == {"61"}
    # 12 frames at 25 a second last 11/25 s: 26.4 steps of 1/60 s.
    assert [row[0] for row in rows[1:]] == [f"00:00:00:{frame:02d}.000" for frame in range(27)]
    posed = posed_motion(motion, read_motion(motion), arkit_head())
    first = dict(zip(rows[0], rows[1], strict=True))
    yaw, pitch, roll = Rotation.from_rotvec(posed.global_pose[0]).as_euler("YXZ")
    angles = [float(first[f"Head{name}"]) for name in ("Yaw", "Pitch", "Roll")]
    np.testing.assert_allclose(angles, [yaw, -pitch, roll], atol=1e-6)
    assert float(first["JawOpen"]) == pytest.approx(np.clip(posed.jaw[0, 0] / JAW_OPEN, 0, 1), abs=1e-6)


def test_live_link_face_needs_a_rate_of_its_time_code(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, arkit_head())
    status, output = run(motion, "--to", "glb,livelink", "--fps", "25")
    assert status == 2
    assert "divides 60" in output
    assert sorted(path.name for path in motion.parent.iterdir()) == ["motion.npz"]
    assert run(motion, "--to", "livelink", "--fps", "30")[0] == 0
    codes = [line.split(",")[0] for line in motion.with_name("motion.livelink.csv").read_text().splitlines()[1:]]
    assert codes[:3] == ["00:00:00:00.000", "00:00:00:02.000", "00:00:00:04.000"]


@settings(deadline=None)
@given(st.integers(0, 60 * 60 * 60 * 24 - 1))
def test_time_codes_count_sixtieths(frame: int) -> None:
    hours, minutes, seconds, frames = re.fullmatch(r"(\d\d):(\d\d):(\d\d):(\d\d)\.000", time_code(frame / 60)).groups()
    assert ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 60 + int(frames) == frame


def test_audio2face(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, arkit_head())
    assert run(motion, "--to", "audio2face")[0] == 0
    document = json.loads(motion.with_name("motion.a2f.json").read_text())
    weights = np.array(document["weightMat"])
    assert weights.shape == (document["numFrames"], document["numPoses"]) == (FRAMES, 52)
    assert (weights.min(), weights.max()) == (0, 1)
    assert document["exportFps"] == 25
    assert document["facsNames"] == list(ARKIT_NAMES)


def test_vrm_animations_hold_weights_as_translations(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, arkit_head())
    assert run(motion, "--to", "vrma")[0] == 0
    path = motion.with_name("motion.vrma")
    (report,) = run_node("export/validate_gltf.cjs", str(path))
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]["messages"]
    file = Glb(path)
    extension = file.document["extensions"]["VRMC_vrm_animation"]
    assert extension["specVersion"] == "1.0"
    assert set(extension["expressions"]["custom"]) == set(ARKIT_NAMES)
    posed = posed_motion(motion, read_motion(motion), arkit_head())
    channels = file.channels(0)
    expected = np.clip(posed.jaw[:, 0] / JAW_OPEN, 0, 1)
    for node in (extension["expressions"]["custom"]["jawOpen"], extension["expressions"]["preset"]["aa"]):
        values = next(
            value for (number, path), value in channels.items() if (number, path) == (node["node"], "translation")
        )
        np.testing.assert_allclose(values, np.stack([expected, 0 * expected, 0 * expected], axis=1), atol=1e-6)
    turned = next(
        value
        for (number, _), value in channels.items()
        if number == extension["humanoid"]["humanBones"]["head"]["node"]
    )
    wanted = Rotation.from_rotvec(posed.global_pose).as_matrix()
    np.testing.assert_allclose(Rotation.from_quat(turned).as_matrix(), wanted, atol=1e-5)


def test_vrm_animations_hold_the_gaze_as_a_rotation(tmp_path: Path) -> None:
    """Its local z axis, seen from the head, points where the eyes look (VRMC_vrm_animation 1.0, section LookAt)."""
    yaw, pitch = np.deg2rad([0.0, 20.0, -30.0, 0.0, 10.0]), np.deg2rad([0.0, 0.0, 0.0, 15.0, -20.0])
    eyes = np.stack([np.stack([yaw + 0.1, pitch], 1), np.stack([yaw - 0.1, pitch], 1)], axis=1).astype(np.float32)
    still = np.zeros((5, 3), np.float32)
    path = tmp_path / "gaze.vrma"
    write_vrma(path, ArkitMotion(np.zeros((5, 52), np.float32), still, eyes, 25.0), "gaze")
    (report,) = run_node("export/validate_gltf.cjs", str(path))
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]["messages"]
    file = Glb(path)
    look_at = file.document["extensions"]["VRMC_vrm_animation"]["lookAt"]
    assert file.document["nodes"][look_at["node"]]["name"] == "lookAt"
    assert look_at["offsetFromHeadBone"] == [0.0, 0.06, 0.0]
    forward = Rotation.from_quat(file.channels(0)[look_at["node"], "rotation"]).apply([0, 0, 1])
    # The head frame of VRM: x to the subject's left, y up, z forward.
    left, up = np.arctan2(forward[:, 0], forward[:, 2]), np.arcsin(forward[:, 1])
    np.testing.assert_allclose(left, yaw, atol=1e-6)
    np.testing.assert_allclose(up, pitch, atol=1e-6)


def test_obj_files_have_the_posed_vertices(tmp_path: Path) -> None:
    head = arkit_head()
    motion = write_motion(tmp_path, head)
    assert run(motion, "--to", "obj", "--unbounded")[0] == 0
    with zipfile.ZipFile(motion.with_name("motion.obj.zip")) as archive:
        assert archive.namelist() == [f"frame_{number:06d}.obj" for number in range(FRAMES)]
        lines = archive.read("frame_000007.obj").decode().splitlines()
    read = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    faces = np.array([line.split()[1:] for line in lines if line.startswith("f ")], int)
    posed = posed_motion(motion, read_motion(motion), head)
    expected = vertices_numpy(head, posed.shape, posed.exp[7:8], posed.global_pose[7:8], posed.jaw[7:8])[0]
    np.testing.assert_allclose(read, expected, atol=1e-6)
    np.testing.assert_array_equal(faces, head.faces + 1)


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_other_rates_keep_the_ends_of_the_range_and_the_times(fps: float) -> None:
    rng = np.random.default_rng(0)
    exp = rng.uniform(0, 1, (26, arkit_head().n_exp)).astype(np.float32)
    exp[10:12] = 0
    turn = np.zeros((26, 3), np.float32)
    turn[:, 1] = np.linspace(-0.5, 0.5, 26)
    motion = resampled(motion_of(26, exp=exp, global_pose=turn), fps)
    assert motion.frames == fps + 1
    assert (motion.exp.min() >= 0, motion.exp.max() <= 1) == (True, True)
    np.testing.assert_allclose(motion.exp[[0, -1]], exp[[0, -1]], atol=1e-6)
    np.testing.assert_allclose(motion.global_pose[:, 1], np.linspace(-0.5, 0.5, motion.frames), atol=1e-6)
    # Between two frames with closed lips they stay closed.
    inside = (np.arange(motion.frames) / fps >= 10 / 25) & (np.arange(motion.frames) / fps <= 11 / 25)
    assert inside.any()
    np.testing.assert_array_equal(motion.exp[inside], 0)


def test_the_same_rate_changes_nothing() -> None:
    motion = motion_of()
    assert resampled(motion, 25.0).exp is motion.exp


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(write_motion(tmp_path, arkit_head())), "--to", "bvh"])
    assert result.exit_code == 2
    assert "unknown format 'bvh', needs one or more of glb, usd, livelink, audio2face, vrma, obj" in result.output
