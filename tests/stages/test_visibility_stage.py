"""What is hidden in the recordings: from a user's masks or a model through the clip store to the fit."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import mediapipe
import numpy as np
import pytest
from media_samples import SIZE, face_frame
from PIL import Image
from small_head import small_head

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.face_mesh import LIPS
from occlufacediff.landmarks.store import read_clip
from occlufacediff.media.encode import VideoWriter
from occlufacediff.stages.crop import crop_subject
from occlufacediff.stages.landmarks import detect_subject
from occlufacediff.stages.reconstruct import reconstruct_subject
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.workflow.file_states import masks_state
from occlufacediff.workflow.shards import read_index, write_index

pytestmark = pytest.mark.xdist_group("visibility")

FRAMES = 26
#: Rows of the photograph from the upper lip to below the chin.
MOUTH = slice(135, 200)
CLIPS = {
    "happy/level_1/001": "a picture for all frames",
    "happy/level_1/002": "a folder of pictures, hidden in frames 10 to 19",
    "happy/level_1/003": "a video of masks, hidden in frames 10 to 19",
    "happy/level_1/004": "no mask",
    "happy/level_1/005": "a mask of another size",
    "happy/level_1/006": "a mask over all of it",
    "sad/level_1/001": "a black mask on the crop",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording under several names, its landmarks, and masks of each kind. Not to be changed."""
    root = tmp_path_factory.mktemp("visibility")
    video = root / "face.mp4"
    with VideoWriter(video, 25, (SIZE, SIZE), preset="ultrafast") as writer:
        for number in range(FRAMES):
            writer.write(face_frame(number // 4))
    for clip in CLIPS:
        (root / "video" / clip).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video, root / "video" / f"{clip}.mp4")
    rows = [{"clip": clip, "status": "ok", "reason": "", "message": "", "video": f"{clip}.mp4"} for clip in CLIPS]
    write_index(root / "video/index.csv", rows, ["video"])
    detect_subject(
        *("S1", root / "video", root / "video/index.csv", root / "l.h5", root / "l.csv"), settings=LandmarkSettings()
    )
    mouth = np.zeros((SIZE, SIZE), np.uint8)
    mouth[MOUTH] = 255
    folder = root / "masks/S1/happy/level_1"
    (folder / "002").mkdir(parents=True)
    (root / "masks/S1/sad/level_1").mkdir(parents=True)
    Image.fromarray(mouth).save(folder / "001.png")
    for number in range(FRAMES):
        Image.fromarray(mouth * (10 <= number < 20)).save(folder / f"002/{number}.png")
    # A video of masks at the rate of a recording: 30 fps.
    with VideoWriter(folder / "003.mp4", 30, (SIZE, SIZE)) as writer:
        for number in range(round(FRAMES * 30 / 25)):
            hidden = 12 <= number < 24
            writer.write(np.repeat((mouth * hidden)[..., None], 3, axis=2))
    Image.fromarray(mouth[:100]).save(folder / "005.png")
    Image.fromarray(np.full_like(mouth, 255)).save(folder / "006.png")
    Image.fromarray(np.zeros((224, 224), np.uint8)).save(root / "masks/S1/sad/level_1/001.png")
    small_head().save(root / "head.npz")
    return root


def crop(root: Path, out: Path, visibility: VisibilitySettings | None = None, workers: int = 1) -> Path:
    inputs = ("S1", root / "video", root / "video/index.csv", root / "l.h5", out / "c.h5", out / "c.csv")
    crop_subject(*inputs, settings=CropSettings(), visibility=visibility, workers=workers)
    return out / "c.h5"


@pytest.fixture(scope="module")
def masked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clip store of the recordings with their masks. Not to be changed."""
    settings = VisibilitySettings(source="masks", masks=str(root / "masks"))
    return crop(root, tmp_path_factory.mktemp("masked"), settings)


def test_masks_decide_what_is_visible(root: Path, masked: Path) -> None:
    rows = {row["clip"]: row for row in read_index(masked.with_suffix(".csv"))}
    assert [row["reason"] for row in rows.values()] == ["", "", "", "no_mask", "bad_mask", "all_hidden", ""]
    assert "100 pixels, the video is 256 x 256" in rows["happy/level_1/005"]["message"]
    with h5py.File(masked) as file, h5py.File(root / "l.h5") as landmarks:
        assert file.attrs["visibility"] == "masks"
        whole = read_clip(file["happy/level_1/001"])
        source = np.asarray(landmarks["happy/level_1/001/landmarks_px"])[:, :468]
        pictures, video = (read_clip(file[f"happy/level_1/00{number}"]).lmk_visible for number in (2, 3))
        known = [read_clip(file[f"happy/level_1/00{number}"]).known_frames for number in (1, 2, 3)]
        free = read_clip(file["sad/level_1/001"])
    assert whole.lmk_visible is not None
    y = source[..., 1]
    # A pixel of the crop is less than two of the source.
    assert not whole.lmk_visible[(y > MOUTH.start + 2) & (y < MOUTH.stop - 2)].any()
    assert whole.lmk_visible[(y < MOUTH.start - 2) | (y > MOUTH.stop + 2)].all()
    assert whole.lmk_visible[:, list(LIPS)].mean() < 0.2
    assert pictures is not None
    assert pictures[:10].all()
    assert pictures[20:].all()
    np.testing.assert_array_equal(pictures[10:20], whole.lmk_visible[10:20])
    # Lossy and of another rate, all the same.
    assert video is not None
    assert (video != pictures).mean() < 0.01
    hidden = np.arange(FRAMES)
    assert [np.flatnonzero(values == 0).tolist() for values in known if values is not None] == [
        hidden.tolist(),
        hidden[10:20].tolist(),
        hidden[10:20].tolist(),
    ]
    assert rows["happy/level_1/002"]["frames_unknown"] == "10"
    assert float(rows["happy/level_1/002"]["landmarks_hidden"]) == pytest.approx(1 - pictures.mean(), abs=1e-4)
    assert free.lmk_visible is not None
    assert free.lmk_visible.all()


def test_the_program_finds_a_cover_over_the_mouth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A light cover from frame 13 to the end; looks at the clear frames before it are skipped, and made up for."""
    looked: list[int] = []
    look = OcclusionFinder.look

    def counted(finder: OcclusionFinder, frame: np.ndarray, *others: np.ndarray) -> np.ndarray:
        looked.append(len(looked))
        return look(finder, frame, *others)

    monkeypatch.setattr(OcclusionFinder, "look", counted)
    (tmp_path / "video/happy/level_1").mkdir(parents=True)
    with VideoWriter(tmp_path / "video/happy/level_1/001.mp4", 25, (SIZE, SIZE), preset="ultrafast") as writer:
        for number in range(FRAMES):
            frame = face_frame(0).copy()
            if number >= 13:
                frame[MOUTH, 60:200] = (170, 205, 225)
            writer.write(frame)
    row = {"clip": "happy/level_1/001", "status": "ok", "reason": "", "message": "", "video": "happy/level_1/001.mp4"}
    write_index(tmp_path / "video/index.csv", [row], ["video"])
    inputs = "S1", tmp_path / "video", tmp_path / "video/index.csv", tmp_path / "l.h5", tmp_path / "l.csv"
    detect_subject(*inputs, settings=LandmarkSettings())
    store = crop(tmp_path, tmp_path, VisibilitySettings(source="auto"))
    with h5py.File(store) as file:
        visible = read_clip(file["happy/level_1/001"]).lmk_visible
    assert visible is not None
    lips = visible[:, list(LIPS)].mean(axis=1)
    assert (lips[:12] == 1).all() and (lips[14:] < 0.2).all()
    # Of 13 turns of the network, at least two of the six before the cover are skipped.
    assert 7 <= len(looked) <= 11


def test_without_visibility_nothing_is_told_and_bytes_stay(root: Path, masked: Path, tmp_path: Path) -> None:
    one, two = crop(root, tmp_path / "one"), crop(root, tmp_path / "two", VisibilitySettings())
    assert one.read_bytes() == two.read_bytes()
    assert one.with_suffix(".csv").read_bytes() == two.with_suffix(".csv").read_bytes()
    with h5py.File(one) as file, h5py.File(masked) as masked_file:
        assert "visibility" not in file.attrs
        group, other = file["happy/level_1/001"], masked_file["happy/level_1/001"]
        assert set(other) - set(group) == {"lmk_visible", "known_frames"}
        for name in group:
            np.testing.assert_array_equal(group[name], other[name])


def test_a_clip_without_mask_may_count_as_visible_and_workers_change_nothing(root: Path, tmp_path: Path) -> None:
    settings = VisibilitySettings(source="masks", masks=str(root / "masks"), without_mask="visible")
    one, two = crop(root, tmp_path / "one", settings), crop(root, tmp_path / "two", settings, workers=2)
    assert one.read_bytes() == two.read_bytes()
    with h5py.File(one) as file:
        clip = read_clip(file["happy/level_1/004"])
    assert clip.lmk_visible is not None
    assert clip.lmk_visible.all()


def test_a_model_decides_what_is_visible(root: Path, tmp_path: Path) -> None:
    model = Path(mediapipe.__file__).parent / "modules/selfie_segmentation/selfie_segmentation.tflite"
    settings = VisibilitySettings(source="segmentation", model=str(model), visible=("selfie",))
    with h5py.File(crop(root, tmp_path, settings)) as file:
        clip = read_clip(file["happy/level_1/001"])
    assert clip.lmk_visible is not None
    # It separates persons from background: the whole face is a person.
    assert clip.lmk_visible.mean() > 0.98
    with pytest.raises(AssetError, match=r"visibility\.visible: .*its categories are selfie"):
        crop(root, tmp_path / "wrong", replace(settings, visible=("face-skin",)))
    with pytest.raises(AssetError, match=r"visibility\.model: there is no file nowhere\.tflite"):
        crop(root, tmp_path / "wrong", replace(settings, model="nowhere.tflite"))
    with pytest.raises(ConfigError, match=r"visibility\.masks: there is no folder nowhere"):
        crop(root, tmp_path / "wrong", VisibilitySettings(source="masks", masks="nowhere"))


def test_the_fit_never_looks_at_what_is_hidden(root: Path, masked: Path, tmp_path: Path) -> None:
    shutil.copyfile(masked, tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        for clip in ("happy/level_1/001", "happy/level_1/002"):
            group = file[clip]
            hidden = np.pad(np.asarray(group["lmk_visible"]) == 0, ((0, 0), (0, 10)))
            points = np.asarray(group["landmarks"])
            points[hidden] += np.random.default_rng(0).normal(0, 0.2, points[hidden].shape)
            group["landmarks"][...] = points
    # The small head is no face: only that nothing changes matters.
    settings = ReconstructionSettings(bad_fit_px=1e6)
    motions = []
    for clips, name in ((masked, "as_found"), (tmp_path / "c.h5", "as_changed")):
        reconstruct_subject(
            *("S1", clips, root / "head.npz", tmp_path / f"{name}.h5", tmp_path / f"{name}.csv"), settings=settings
        )
        with h5py.File(tmp_path / f"{name}.h5") as file:
            assert file.attrs["visibility"] == "masks"
            assert file["happy/level_1/002/known_frames"][()].sum() == FRAMES - 10
            motions.append({name: file[f"happy/level_1/002/{name}"][()] for name in ("exp", "jaw", "cam", "shape")})
    for name, values in motions[0].items():
        np.testing.assert_array_equal(values, motions[1][name])


def test_the_state_of_masks_changes_with_the_files_of_their_subject_alone(tmp_path: Path) -> None:
    for name in ("S1/happy/level_1/001.png", "S1/happy/level_1/002/7.png", "S10/sad/level_1/001.mp4", "talk.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"white")
    settings = VisibilitySettings(source="masks", masks=str(tmp_path))
    names = ("S1", "S10", "talk", "S2")
    before = [masks_state(settings, name) for name in names]
    assert before == [masks_state(settings, name) for name in names]
    assert len(set(before)) == 4
    for number, name in enumerate(("S1/happy/level_1/002/7.png", "S10/sad/level_1/001.mp4", "talk.png", "S2/a.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"another grey")
        after = [masks_state(settings, name) for name in names]
        assert [one != other for one, other in zip(before, after, strict=True)] == [n == number for n in range(4)]
        before = after
    assert masks_state(VisibilitySettings(), "S1") == ""
