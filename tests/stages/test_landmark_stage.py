"""The landmark stage."""

from __future__ import annotations

import h5py
import numpy as np
from preprocessed import Shard

from occlufacediff.workflow.shards import read_index


def test_rows_and_arrays(shard: Shard) -> None:
    rows = {row["clip"]: row for row in read_index(shard.landmarks_index)}
    assert rows["sad/level_1/001"]["reason"] == "no_face"
    assert {clip for clip, row in rows.items() if row["status"] == "failed"} == {"sad/level_1/001"}
    good = rows["happy/level_1/001"]
    assert good["frames"] == good["frames_found"] == "27"
    with h5py.File(shard.landmarks) as file:
        assert "sad/level_1/001" not in file
        group = file["happy/level_1/001"]
        points = np.asarray(group["landmarks_px"])
        assert points.shape == (27, 478, 2)
        assert points.dtype == np.float32
        assert dict(group.attrs) == {"width": 256, "height": 256, "fps": 25.0, "n_faces_max": 1}
    # The picture moves to the left, and so does the face.
    assert -10 < points[-1, :, 0].mean() - points[0, :, 0].mean() < -4
