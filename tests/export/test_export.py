"""The command `export`, its formats, what it refuses, and coefficients fitted to the range 0 to 1."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from glb_reader import Glb
from scipy.io import wavfile
from scipy.optimize import minimize
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.cli import main
from occlufacediff.cli.motion import export as export_command
from occlufacediff.errors import ConfigError
from occlufacediff.export.formats import FORMATS, export_formats
from occlufacediff.export.refit import LIP_WEIGHT, has_actions, refit
from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.encode import VideoWriter

FRAMES = 12


def arkit_head() -> HeadAsset:
    """The small head with ARKit's names for its coefficients."""
    return replace(small_head(), expression_names=EXPRESSION_NAMES[:N_EXP])


def write_motion(folder: Path, head: HeadAsset, **changes: Any) -> Path:
    """A folder with a head model and a ``motion.npz`` as `predict` writes it."""
    head.save(folder / "head.npz")
    rng = np.random.default_rng(0)
    entries = {
        "exp": rng.uniform(-0.2, 1.1, (FRAMES, N_EXP)).astype(np.float32),
        "jaw": rng.uniform(-0.1, 0.4, (FRAMES, 3)).astype(np.float32),
        "global_pose": rng.uniform(-0.5, 0.5, (FRAMES, 3)).astype(np.float32),
        "shape": rng.standard_normal(N_SHAPE).astype(np.float32),
        "fps": np.asarray(25),
        "head_name": np.asarray(head.name),
        "head_digest": np.asarray(head.digest),
    } | changes
    path = folder / "talk" / "motion.npz"
    path.parent.mkdir()
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    return path


def run(motion: Path, *options: str) -> tuple[int, str]:
    arguments = ["export", str(motion), "--head", str(motion.parent.parent / "head.npz")]
    arguments += ["--smoothing", "off", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


def with_value(shape: tuple[int, ...], place: tuple[int, ...], value: float) -> np.ndarray:
    values = np.zeros(shape)
    values[place] = value
    return values


def weights_of(path: Path) -> np.ndarray:
    file = Glb(path)
    values = next(values for (_, name), values in file.channels(0).items() if name == "weights")
    return values.reshape(FRAMES, N_EXP)


def test_coefficients_are_in_range_unless_unbounded(tmp_path: Path):
    motion = write_motion(tmp_path, arkit_head())
    status, output = run(motion, "--to", "glb")
    assert status == 0, output
    assert str(motion.with_suffix(".glb")) in output
    assert "coefficients fitted to the range 0 to 1: the lips move by" in output
    with np.load(motion) as entries:
        given = entries["exp"]
    bounded = weights_of(motion.with_suffix(".glb"))
    assert (bounded.min(), bounded.max()) == (0, 1)
    assert (given.min() < 0, given.max() > 1) == (True, True)
    assert run(motion, "--to", "glb", "--unbounded", "--out", str(tmp_path / "other"))[0] == 0
    np.testing.assert_array_equal(weights_of(tmp_path / "other" / "motion.glb"), given)


def test_other_coefficients_than_actions_have_no_range(tmp_path: Path):
    motion = write_motion(tmp_path, small_head())
    status, output = run(motion, "--to", "glb")
    assert status == 0
    assert "have no range and are written unchanged" in output
    assert weights_of(motion.with_suffix(".glb")).min() < 0


def test_the_audio_of_the_animation_is_beside_the_file(tmp_path: Path):
    motion = write_motion(tmp_path, arkit_head())
    tone = (0.3 * np.sin(np.arange(FRAMES * 640) / 16000 * 2 * np.pi * 220)).astype(np.float32)
    with VideoWriter(motion.parent / "animation.mp4", 25, (32, 32), audio=tone) as writer:
        for _ in range(FRAMES):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    status, output = run(motion, "--to", "glb")
    assert status == 0
    assert str(motion.with_suffix(".wav")) in output
    rate, samples = wavfile.read(motion.with_suffix(".wav"))
    assert (rate, samples.dtype, len(samples)) == (16000, np.int16, FRAMES * 640)
    assert np.corrcoef(samples, tone)[0, 1] > 0.98


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": None}, "has no entry 'exp'"),
        ({"jaw": np.zeros((FRAMES - 1, 3), np.float32)}, r"entry 'jaw' is float32 of shape \(11, 3\), needs numbers"),
        ({"exp": with_value((FRAMES, N_EXP), (7, 2), np.nan)}, "entry 'exp' is nan in frame 7, needs finite values"),
        ({"exp": with_value((FRAMES, N_EXP), (5, 1), 3e38)}, r"'exp' is 3e\+38 in frame 5, needs .* -1000 to 1000; "),
        ({"global_pose": with_value((FRAMES, 3), (3, 0), -1e300)}, r"is -1e\+300 in frame 3, .* to 100 radians; "),
        ({"cam": with_value((FRAMES, 3), (2, 1), 3e38)}, r"entry 'cam' is 3e\+38 in frame 2"),
        ({"shape": with_value((N_SHAPE,), (1,), np.inf)}, "entry 'shape' is inf at place 1"),
        ({"shape": np.array(["a"] * N_SHAPE)}, "entry 'shape' is <U1"),
        ({"head_digest": np.asarray("0" * 64)}, "belongs to the head model 'small'"),
        ({"exp": np.zeros((0, N_EXP)), "jaw": np.zeros((0, 3)), "global_pose": np.zeros((0, 3))}, "has 0 frames"),
    ],
)
def test_a_wrong_motion_is_named_and_nothing_is_written(tmp_path: Path, changes: dict[str, Any], message: str):
    motion = write_motion(tmp_path, arkit_head(), **changes)
    status, output = run(motion, "--to", "glb")
    assert status == 2
    assert re.search(message, output), output
    assert str(motion) in output
    assert sorted(path.name for path in motion.parent.iterdir()) == ["motion.npz"]


def test_wrong_files_and_formats_are_named(tmp_path: Path):
    motion = write_motion(tmp_path, arkit_head())
    for options, words in (
        (("--to", "glb,maya"), "unknown format 'maya'"),
        (("--to", "glb,fbx"), "needs Blender, which writes this format; give --blender PATH"),
        (("--to", ","), "got no format"),
    ):
        status, output = run(motion, *options)
        assert (status, words in output) == (2, True), output
    assert run(tmp_path / "talk" / "none.npz", "--to", "glb")[1].count("there is no such file") == 1
    assert run(tmp_path / "talk", "--to", "glb")[1].count("talk: is a folder; give the motion.npz") == 1
    (motion.parent / "text.npz").write_text("no npz")
    status, output = run(motion.parent / "text.npz", "--to", "glb")
    assert (status, "is not a readable .npz file" in output) == (2, True)


def test_the_help_names_every_format():
    for command in (export_command, main.commands["predict"]):  # type: ignore[attr-defined]
        text = CliRunner().invoke(command, ["--help"]).output
        assert [name for name in FORMATS if name not in text] == []


def test_names_of_formats_can_be_repeated():
    assert [one.name for one in export_formats(["glb", "glb, glb"])] == ["glb"]
    with pytest.raises(ConfigError, match="needs one or more of glb"):
        export_formats(["GLB"])


def test_the_fitted_coefficients_are_the_nearest_in_range():
    head = arkit_head()
    exp = np.random.default_rng(1).uniform(-0.5, 1.4, (5, N_EXP))
    fitted = refit(head, exp)
    assert has_actions(head)
    weight = np.ones(head.n_vertices)
    weight[head.regions["lips"]] = LIP_WEIGHT
    basis = (head.expdirs * weight[:, None, None]).reshape(-1, N_EXP).astype(np.float64)
    for frame in range(5):

        def cost(values: np.ndarray, frame: int = frame) -> float:
            return 1e6 * float(((basis @ (values - exp[frame])) ** 2).sum())

        best = minimize(cost, np.full(N_EXP, 0.5), bounds=[(0, 1)] * N_EXP, method="L-BFGS-B", options={"ftol": 1e-14})
        assert cost(fitted.exp[frame]) <= best.fun * (1 + 1e-5) + 1e-9
        assert cost(fitted.exp[frame]) < cost(np.clip(exp[frame], 0, 1))
    # The reported distances are those of the surfaces.
    distance = 1000 * np.linalg.norm(np.einsum("vce,te->tvc", head.expdirs, fitted.exp - exp), axis=-1)
    np.testing.assert_allclose(fitted.largest_mm, distance.max(), rtol=1e-4)
    np.testing.assert_allclose(fitted.lips_mm, distance[:, head.regions["lips"]].mean(), rtol=1e-4)


def test_coefficients_in_range_stay_as_they_are():
    exp = np.random.default_rng(1).uniform(0, 1, (5, N_EXP)).astype(np.float32)
    fitted = refit(arkit_head(), exp)
    np.testing.assert_array_equal(fitted.exp, exp)
    assert (fitted.mean_mm, fitted.lips_mm, fitted.largest_mm) == (0, 0, 0)
