"""ARKit weights of a head model whose coefficients are not ARKit actions, by a mapping file."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_head import N_EXP, small_head
from test_export import FRAMES, arkit_head, run, write_motion

from occlufacediff.export.arkit import JAW_OPEN

NAMES = ("mouthSmileLeft", "mouthSmileRight", "jawOpen", "browInnerUp", "eyeLookUpLeft")


def write_mapping(folder: Path, **changes: Any) -> Path:
    """Five actions of the small head: combinations of its coefficients, and a rotation of the jaw."""
    rng = np.random.default_rng(4)
    exp, jaw = rng.uniform(-1, 1, (5, N_EXP)), np.zeros((5, 3))
    jaw[2, 0] = JAW_OPEN
    entries = {"names": np.asarray(NAMES), "exp": exp, "jaw": jaw} | changes
    path = folder / "mapping.npz"
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    return path


def column(path: Path, name: str) -> np.ndarray:
    with path.open(newline="") as file:
        return np.array([float(row[name]) for row in csv.DictReader(file)])


def test_the_weights_of_a_motion_are_found(tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    with np.load(mapping) as entries:
        exp, jaw = entries["exp"], entries["jaw"]
    wanted = np.random.default_rng(5).uniform(0, 1, (FRAMES, 5))
    wanted[:, 4] = 0
    wanted[3, 0] = 0
    wanted[4, 2] = 1
    motion = write_motion(
        tmp_path, small_head(), exp=(wanted @ exp).astype(np.float32), jaw=(wanted @ jaw).astype(np.float32)
    )
    options = ("--to", "livelink,audio2face,vrma", "--fps", "30", "--arkit-mapping", str(mapping))
    status, output = run(motion, *options)
    assert status == 0, output
    distance = re.search(r"mapped to 4 ARKit weights: their surface is ([\d.]+) mm .*, and ([\d.]+) mm at most", output)
    assert distance is not None and float(distance[2]) == 0
    # Rows at 30 a second: those at 0 and 0.2 s are frames 0 and 5.
    for number, name in enumerate(("MouthSmileLeft", "MouthSmileRight", "JawOpen", "BrowInnerUp")):
        values = column(motion.with_name("motion.livelink.csv"), name)
        np.testing.assert_allclose(values[[0, 6]], wanted[[0, 5], number], atol=1e-3, err_msg=name)
    assert not column(motion.with_name("motion.livelink.csv"), "CheekPuff").any()


def test_what_the_actions_cannot_make_is_reported(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, small_head())
    status, output = run(motion, "--to", "livelink", "--arkit-mapping", str(write_mapping(tmp_path)))
    assert status == 0, output
    distance = re.search(r"is ([\d.]+) mm from that of the motion on average, and ([\d.]+) mm at most", output)
    assert distance is not None and 0 < float(distance[1]) < float(distance[2])
    values = column(motion.with_name("motion.livelink.csv"), "MouthSmileLeft")
    assert (values.min() >= 0, values.max() <= 1) == (True, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"jaw": None}, "has no entry 'jaw'"),
        ({"names": np.asarray(["smile", *NAMES[1:]])}, "got 'smile', which is no ARKit action"),
        ({"names": np.asarray([NAMES[0]] * 5)}, "one of them twice"),
        ({"exp": np.zeros((5, N_EXP + 1))}, "needs numbers of shape (5, 6)"),
        ({"jaw": np.full((5, 3), np.nan)}, "entry 'jaw' is nan in row 0, needs finite values"),
        ({"head_digest": np.asarray("0" * 64)}, "belongs to the head model without a name (digest 000000000000)"),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    motion = write_motion(tmp_path, small_head())
    mapping = write_mapping(tmp_path, **changes)
    status, output = run(motion, "--to", "livelink", "--arkit-mapping", str(mapping))
    assert status == 2
    assert words in output and f"--arkit-mapping {mapping}" in output
    assert sorted(path.name for path in motion.parent.iterdir()) == ["motion.npz"]


def test_a_missing_or_needless_mapping_is_named(tmp_path: Path) -> None:
    motion = write_motion(tmp_path, small_head())
    status, output = run(motion, "--to", "livelink", "--arkit-mapping", "none.npz")
    assert (status, "--arkit-mapping none.npz: there is no such file" in output) == (2, True)
    (tmp_path / "actions").mkdir()
    motion = write_motion(tmp_path / "actions", arkit_head())
    status, output = run(motion, "--to", "livelink", "--arkit-mapping", str(write_mapping(tmp_path)))
    assert (status, "are ARKit actions already" in output) == (2, True)
