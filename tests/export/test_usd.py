"""USD: what USD's own skinning makes of the file, and its validators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_head import small_head
from test_export import arkit_head, run, write_motion

from occlufacediff.export.motion import posed_motion, read_motion
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy

pxr = pytest.importorskip("pxr", reason="usd-core is not installed")

from pxr import Gf, Usd, UsdGeom, UsdSkel, UsdValidation  # noqa: E402


def with_correctives() -> HeadAsset:
    """The small head with pose correctives of its joints, as FLAME has them."""
    head = small_head()
    rng = np.random.default_rng(3)
    count = 9 * (len(head.parents) - 1)
    return replace(head, posedirs=(0.01 * rng.standard_normal((head.n_vertices, 3, count))).astype(np.float32))


@pytest.mark.parametrize("head", [arkit_head(), with_correctives()], ids=["actions", "correctives"])
def test_usd_moves_the_vertices_as_the_head_model_does(tmp_path: Path, head: HeadAsset) -> None:
    motion = write_motion(tmp_path, head)
    status, output = run(motion, "--to", "usd", "--unbounded")
    assert status == 0, output
    stage = Usd.Stage.Open(str(motion.with_name("motion.usdc")))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (0, 11, 25)
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    posed = posed_motion(motion, read_motion(motion), head)
    expected = vertices_numpy(head, posed.shape, posed.exp, posed.global_pose, posed.jaw)
    assert UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetPrimAtPath("/Head")), Gf.Interval.GetFullInterval())
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Mesh")).GetPointsAttr()
    baked = np.stack([np.array(points.Get(frame)) for frame in range(posed.frames)])
    assert np.abs(expected - expected[:1]).max() > 1e-3
    np.testing.assert_allclose(baked, expected, atol=1e-5)


def test_usds_validators_find_no_error(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, arkit_head())
    assert run(motion, "--to", "usd")[0] == 0
    stage = Usd.Stage.Open(str(motion.with_name("motion.usdc")))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 5
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [f"{error.GetName()}: {error.GetMessage()}" for error in found] == []
