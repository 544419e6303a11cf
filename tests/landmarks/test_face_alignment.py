"""The face-alignment detector with random weights in its own file layout, and without weights."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path

import h5py
import numba
import numpy as np
import pytest
import skimage.data
import torch

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.errors import AssetError
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.face_alignment import WEIGHT_FILES
from occlufacediff.landmarks.store import read_clip
from occlufacediff.landmarks.topology import IBUG_68
from occlufacediff.media.encode import VideoWriter
from occlufacediff.stages.crop import crop_subject
from occlufacediff.stages.landmarks import detect_subject
from occlufacediff.workflow.shards import read_index, write_index

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("face_alignment")]

FRAME = np.ascontiguousarray(skimage.data.astronaut()[:256, 90:346])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torch hub folder with a detector that reports large faces everywhere and a random landmark network."""
    # JIT compilation would take longer than the tests.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    monkeypatch.undo()
    folder = tmp_path_factory.mktemp("hub")
    (folder / "checkpoints").mkdir()
    torch.manual_seed(0)
    detector = s3fd()
    with torch.no_grad():
        for name, layer in detector.named_children():
            if "_mbox_" in name:
                layer.weight.zero_()
                layer.bias.zero_()
            if name.endswith("_conf"):
                # The last category is the face.
                layer.bias.fill_(5.0)
                layer.bias[-1] = 9.0 if name.startswith("conv7_2") else -5.0
    torch.save(FAN(4).state_dict(), folder / WEIGHT_FILES[0])
    torch.save(detector.state_dict(), folder / WEIGHT_FILES[1])
    return folder


def test_68_points_reach_the_clip_store_and_all_others_stay_nan(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "video/happy/level_1").mkdir(parents=True)
    with VideoWriter(tmp_path / "video/happy/level_1/001.mp4", 25, (256, 256)) as writer:
        writer.write(FRAME)
    row = {"clip": "happy/level_1/001", "status": "ok", "reason": "", "message": "", "video": "happy/level_1/001.mp4"}
    index = tmp_path / "video/index.csv"
    write_index(index, [row], ["video"])
    settings = LandmarkSettings(detector="face_alignment", weights=str(weights), min_confidence=0.5)
    detect_subject("S1", tmp_path / "video", index, tmp_path / "l.h5", tmp_path / "l.csv", settings=settings)
    assert [row["status"] for row in read_index(tmp_path / "l.csv")] == ["ok"]
    crop_subject(
        *("S1", tmp_path / "video", index, tmp_path / "l.h5", tmp_path / "c.h5", tmp_path / "c.csv"),
        settings=CropSettings(),
    )
    with h5py.File(tmp_path / "l.h5") as file, h5py.File(tmp_path / "c.h5") as clips:
        assert file.attrs["detector"] == "face_alignment"
        found = np.isfinite(file["happy/level_1/001/landmarks_px"][()]).all(axis=2)
        stored = np.isfinite(read_clip(clips["happy/level_1/001"]).landmarks).all(axis=2)
    for finite in (found, stored):
        assert finite.shape == (1, 478)
        assert set(np.flatnonzero(finite[0])) == set(IBUG_68)


@pytest.mark.parametrize("file", WEIGHT_FILES)
def test_damaged_weights_raise_a_one_line_error_and_run_no_code(weights: Path, tmp_path: Path, file: str) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "it_ran"),)

    (tmp_path / "checkpoints").mkdir()
    for name in WEIGHT_FILES:
        (tmp_path / name).symlink_to(weights / name)
    (tmp_path / file).unlink()
    for content in (pickle.dumps(Payload()), b"", b"<html>not found</html>"):
        (tmp_path / file).write_bytes(content)
        with pytest.raises(AssetError, match=r"landmarks\.weights: the weights .* cannot be loaded") as caught:
            make_detector(LandmarkSettings(detector="face_alignment", weights=str(tmp_path)))
        assert "\n" not in str(caught.value)
    torch.save({"payload": Payload()}, tmp_path / file)
    with pytest.raises(AssetError, match="cannot be loaded"):
        make_detector(LandmarkSettings(detector="face_alignment", weights=str(tmp_path)))
    assert not (tmp_path / "it_ran").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_missing_weights_without_network_raise_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(AssetError) as caught:
        make_detector(LandmarkSettings(detector="face_alignment"))
    message = str(caught.value)
    assert message.startswith("landmarks.weights: the weights of face-alignment cannot be loaded (")
    assert "no network" in message
    assert message.endswith("or set landmarks.detector: mediapipe")
    assert "\n" not in message
