"""Prediction from end to end on a moving photograph, with untrained networks: files, bad input, repeatability."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from colour_segmenter import write_colour_segmenter
from glb_reader import Glb
from node_tools import browser, run_node
from PIL import Image
from skimage import data
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.face_mesh import IBUG_68, LIPS
from occlufacediff.media.audio import fit_to_frames, log_mel, read_waveform
from occlufacediff.media.encode import VideoWriter
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior
from occlufacediff.models.sample import sample_motion
from occlufacediff.prediction import pipeline
from occlufacediff.prediction.observation import Observation, observe

# Fixtures are costly: all tests of the file on one worker.
pytestmark = pytest.mark.xdist_group("predict")

FRAMES = 26


@pytest.fixture(scope="module")
def talk(predict: Callable[..., tuple[int, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a video with audio and an occluded mouth."""
    out = tmp_path_factory.mktemp("out")
    status, output = predict("talk.mp4", out, "--occlusion", "mouth", "--profile")
    assert status == 0, output
    assert "motion" in output
    return out / "talk"


def test_motion_and_animation(talk: Path, folder: Path) -> None:
    with np.load(talk / "motion.npz", allow_pickle=False) as motion:
        shapes = {name: motion[name].shape for name in motion.files}
        assert set(shapes) == {
            "exp", "jaw", "global_pose", "cam", "shape", "lmk_2d", "lmk_mask", "lmk_probability", "crop_boxes",
            "n_faces", "confidence", "spread", "fit_exp", "fit_jaw", "expression_names", "head_name", "head_digest",
            "fps", "video_fps", "gaze", "gaze_visible", "notes", "source_name", "source_digest",
        }  # fmt: skip
        assert shapes["exp"] == shapes["fit_exp"] == (FRAMES, N_EXP)
        assert shapes["jaw"] == shapes["global_pose"] == shapes["cam"] == shapes["crop_boxes"] == (FRAMES, 3)
        assert shapes["shape"] == (N_SHAPE,)
        assert shapes["lmk_2d"] == (FRAMES, 468, 2)
        assert shapes["lmk_mask"] == (FRAMES, 468)
        assert shapes["expression_names"] == (N_EXP,)
        assert motion["fps"] == 25
        assert motion["head_name"] == "small"
        assert motion["head_digest"] == small_head().digest
        assert motion["source_name"] == "talk.mp4"
        assert motion["source_digest"] == hashlib.sha256((folder / "talk.mp4").read_bytes()).hexdigest()
        assert (motion["n_faces"] == 1).all()
        # These networks do not know the spread of their motion.
        assert np.isnan(motion["spread"]).all()
        assert motion["spread"].shape == (FRAMES, N_EXP + 3)
        assert (motion["confidence"] == 0).all()
        assert all(np.isfinite(motion[name]).all() for name in ("exp", "jaw", "global_pose", "cam", "shape", "lmk_2d"))
        assert motion["lmk_mask"][:, 13].sum() == 0
        assert motion["lmk_mask"][:, 10].sum() == FRAMES
    with av.open(str(talk / "animation.mp4")) as container:
        assert container.streams.video[0].average_rate == 25
        assert len(container.streams.audio) == 1
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_equal_seeds_give_equal_bytes(predict: Callable[..., tuple[int, str]], talk: Path, tmp_path: Path) -> None:
    for seed, equal in (("0", True), ("1", False)):
        assert predict("talk.mp4", tmp_path / seed, "--occlusion", "mouth", "--seed", seed)[0] == 0
        for name in ("motion.npz", "animation.mp4"):
            assert ((tmp_path / seed / "talk" / name).read_bytes() == (talk / name).read_bytes()) == equal
        # The encoder's threads decide about the end of the viewer's audio.
        pages = [
            re.sub(r"data:audio[^\"]*", "", (one / "talk" / "viewer.html").read_text())
            for one in (tmp_path / seed, talk.parent)
        ]
        assert (pages[0] == pages[1]) == equal


def viewer_data(folder: Path) -> dict[str, Any]:
    """The data of a viewer's page; its glTF file is written beside it as ``embedded.glb``."""
    page = (folder / "viewer.html").read_text(encoding="utf-8")
    found = json.loads(page.split('<script type="application/json" id="ofd-data-0">')[1].split("</script>")[0])
    (folder / "embedded.glb").write_bytes(base64.b64decode(found.pop("glb")))
    return found


def glb_weights(path: Path) -> np.ndarray:
    """Morph weights (T, E) of the first animation of a .glb file."""
    return next(values for (_, kind), values in Glb(path).channels(0).items() if kind == "weights").reshape(
        FRAMES, N_EXP
    )


def test_blender_writes_exports_too(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    blender = tmp_path / "blender"
    copy = "Path(sys.argv[-2]).write_bytes(Path(sys.argv[-3]).read_bytes()[:4] + sys.argv[-1].encode())"
    blender.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{copy}\n")
    blender.chmod(0o755)
    options = ("--export", "fbx,abc", "--blender", str(blender), "--fps", "30", "--no-viewer")
    status, output = predict("mute.mp4", tmp_path / "out", *options)
    assert status == 0, output
    for name in ("motion.fbx", "motion.abc"):
        assert (tmp_path / "out" / "mute" / name).read_bytes() == b"glTF30.0"
        assert f"mute/{name}" in output


def test_a_mapping_gives_arkit_weights(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.npz"
    exp = np.random.default_rng(2).uniform(-1, 1, (2, N_EXP))
    np.savez(mapping, names=np.asarray(["jawOpen", "mouthFunnel"]), exp=exp, jaw=np.zeros((2, 3)))
    options = ("--export", "audio2face", "--arkit-mapping", str(mapping), "--no-viewer")
    status, output = predict("mute.mp4", tmp_path / "out", *options)
    assert status == 0, output
    assert "mapped to 2 ARKit weights" in output
    content = json.loads((tmp_path / "out" / "mute" / "motion.a2f.json").read_text())
    used = np.asarray(content["weightMat"]).any(axis=0)
    assert {content["facsNames"][number] for number in np.flatnonzero(used)} <= {"jawOpen", "mouthFunnel"}
    # A wrong mapping stops several videos before the first.
    options = ("--export", "livelink", "--arkit-mapping", str(tmp_path / "none.npz"))
    status, output = predict(".", tmp_path / "none", *options)
    assert (status, "none.npz: there is no such file" in output, (tmp_path / "none").exists()) == (2, True, False)


def test_the_viewer_and_exports_have_the_motion(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    status, output = predict("talk.mp4", tmp_path, "--export", "glb", "--smoothing", "off", "--profile")
    assert status == 0, output
    folder = tmp_path / "talk"
    names = ["animation.mp4", "motion.glb", "motion.npz", "motion.wav", "viewer.html"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(str(folder / name) in output for name in names if name != "motion.wav")
    assert {"export", "viewer"} <= set(output.split())
    data = viewer_data(folder)
    with np.load(folder / "motion.npz") as motion:
        np.testing.assert_array_equal(glb_weights(folder / "embedded.glb"), motion["exp"])
        np.testing.assert_array_equal(glb_weights(folder / "motion.glb"), motion["exp"])
        confidence = motion["confidence"]
        lips = motion["lmk_mask"][:, list(LIPS)].mean(axis=1)
    (clip,) = data["clips"]
    assert (clip["frames"], clip["fps"], clip["video"]) == (FRAMES, 25, "animation.mp4")
    assert clip["audio"].startswith("data:audio/mp4;base64,")
    np.testing.assert_allclose(clip["tracks"][0]["series"][0]["values"], confidence, atol=1e-3)
    np.testing.assert_allclose(clip["tracks"][1]["series"][0]["values"], lips, atol=1e-3)
    assert [entry["name"] for entry in data["files"]] == ["motion.npz", "animation.mp4", "motion.glb", "motion.wav"]


def test_a_video_without_audio_has_no_audio_file_and_the_viewer_can_be_left_out(
    predict: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    status, output = predict("mute.mp4", tmp_path, "--export", "glb", "--no-viewer")
    assert status == 0, output
    assert sorted(path.name for path in (tmp_path / "mute").iterdir()) == ["animation.mp4", "motion.glb", "motion.npz"]
    assert predict("mute.mp4", tmp_path)[0] == 0
    assert viewer_data(tmp_path / "mute")["clips"][0]["audio"] is None


@pytest.mark.slow
def test_the_browser_shows_the_weights_of_the_motion(talk: Path) -> None:
    shown = run_node(
        "viewer/look_at_page.mjs", browser(), str(talk / "viewer.html"), '{"frames": [0, 7, 25], "video": true}'
    )
    assert (shown["problems"], shown["requests"]) == ([], [(talk / "animation.mp4").as_uri()])
    with np.load(talk / "motion.npz") as motion:
        for frame in (0, 7, 25):
            (weights,) = shown["frames"][str(frame)]["heads"]
            assert list(weights) == motion["expression_names"].tolist()
            np.testing.assert_allclose(list(weights.values()), motion["exp"][frame], rtol=0, atol=1e-7)
    assert abs(shown["video"]["time"] - shown["video"]["expected"]) < 0.05
    assert 0 < shown["playing"]["frame"] < FRAMES


def test_points_that_the_detector_never_gives_do_not_move_the_occlusion(
    predict: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a detector of 68 points: the others lie in the crop's middle, below the eyes."""

    def observe_68(*arguments: Any, **settings: Any) -> Observation:
        seen = observe(*arguments, **settings)
        others = np.setdiff1d(np.arange(468), IBUG_68)
        seen.known[:, others], seen.lmk_2d[:, others] = False, 0
        return seen

    monkeypatch.setattr(pipeline, "observe", observe_68)
    assert predict("talk.mp4", tmp_path, "--occlusion", "upper")[0] == 0
    with np.load(tmp_path / "talk/motion.npz") as motion:
        nose, eyes = motion["lmk_mask"][:, [197, 5]], motion["lmk_mask"][:, [160, 385]]
    assert nose.all()
    assert not eyes.any()


def test_as_published(predict: Callable[..., tuple[int, str]], folder: Path, tmp_path: Path) -> None:
    """The motion is that of the sampler for these landmarks and this audio, with one guidance weight."""
    options = ("--occlusion", "mouth", "--as-published", "--steps", "3", "--guidance-audio", "2")
    assert predict("talk.mp4", tmp_path, *options)[0] == 0
    with np.load(tmp_path / "talk" / "motion.npz", allow_pickle=False) as file:
        motion = {name: file[name] for name in ("exp", "jaw", "lmk_2d", "lmk_mask")}
    sound, _ = fit_to_frames(read_waveform(folder / "talk.mp4"), FRAMES)
    expected = sample_motion(
        load_denoiser(folder / "models" / "denoiser")[0],
        load_motion_prior(folder / "models" / "motion_prior")[0],
        torch.from_numpy(motion["lmk_2d"]),
        torch.from_numpy(motion["lmk_mask"]),
        torch.from_numpy(log_mel(sound)),
        seed=0,
        clip_id="talk",
        solver="ddim",
        steps=3,
        guidance=(1.0, 2.0),
        hop=64,
    )[0].numpy()
    np.testing.assert_allclose(np.concatenate([motion["exp"], motion["jaw"]], axis=1), expected, atol=1e-6)


def test_a_video_without_audio_works_with_a_note(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    status, output = predict("mute.mp4", tmp_path, "--occlusion", "audio_driven")
    assert status == 0
    assert "the video has no audio track" in output
    assert "the face is occluded in all frames" in output
    assert "no usable audio either: the motion is the average motion of any face" in output


def test_a_mask_occludes_landmarks(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    mask = np.zeros((240, 240), np.uint8)
    mask[:, :120] = 255
    Image.fromarray(mask).save(tmp_path / "left.png")
    status, output = predict("mute.mp4", tmp_path / "out", "--mask", str(tmp_path / "left.png"))
    assert status == 0, output
    with np.load(tmp_path / "out" / "mute" / "motion.npz") as motion:
        box = motion["crop_boxes"][:, None]
        x = (motion["lmk_2d"][..., 0] + 1) * 112 * box[..., 2] / 223 + box[..., 0]
        hidden = motion["lmk_mask"] == 0
        assert hidden[x < 118].all()
        assert not hidden[x > 122].any()
    Image.fromarray(np.full((240, 240), 255, np.uint8)).save(tmp_path / "all.png")
    status, output = predict("mute.mp4", tmp_path / "none", "--mask", str(tmp_path / "all.png"))
    assert status == 0
    assert "no frame shows any of the face" in output
    with np.load(tmp_path / "none" / "mute" / "motion.npz") as motion:
        assert (motion["shape"] == 0).all()
        assert (motion["fit_jaw"] == 0).all()
        assert (motion["confidence"] == 0).all()
        assert np.isfinite(motion["cam"]).all()


def test_a_mask_video_occludes_by_frame(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    mask = np.zeros((240, 240, 3), np.uint8)
    mask[120:] = 255
    with VideoWriter(tmp_path / "masks.mp4", 25, (240, 240)) as writer:
        for number in range(FRAMES):
            writer.write(mask * (number >= 10))
    status, output = predict("mute.mp4", tmp_path / "out", "--mask", str(tmp_path / "masks.mp4"))
    assert status == 0, output
    with np.load(tmp_path / "out" / "mute" / "motion.npz") as motion:
        box = motion["crop_boxes"][:, None]
        y = (motion["lmk_2d"][..., 1] + 1) * 112 * box[..., 2] / 223 + box[..., 1]
        hidden = motion["lmk_mask"] == 0
    assert not hidden[:10].any()
    assert hidden[10:][y[10:] > 122].all()
    assert not hidden[10:][y[10:] < 118].any()


def test_a_segmentation_model_occludes_other_categories(
    folder: Path, predict: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    model = write_colour_segmenter(tmp_path / "colours.tflite")
    photograph = data.astronaut()[:240, 100:340].copy()
    # Blue is background to this model: a bar over the mouth, which the detector sees through.
    photograph[140:165, 60:160] = (0, 0, 255)
    with VideoWriter(folder / "barred.mp4", 25, (240, 240)) as writer:
        for _ in range(FRAMES):
            writer.write(photograph)
    status, output = predict("barred.mp4", tmp_path / "out", "--segmentation", str(model))
    assert status == 0, output
    with np.load(tmp_path / "out" / "barred" / "motion.npz") as motion:
        box = motion["crop_boxes"][:, None]
        pixel = (motion["lmk_2d"] + 1) * 112 * box[..., 2:] / 223 + box[..., :2]
        hidden = motion["lmk_mask"] == 0
    # The margin of 3 px of the crop, and the blurred edge of the bar.
    inside = ((pixel > (70, 150)) & (pixel < (150, 155))).all(axis=-1)
    outside = ((pixel < (55, 135)) | (pixel > (165, 170))).any(axis=-1)
    assert inside.sum() > FRAMES
    assert hidden[inside].all()
    assert not hidden[outside].any()
    status, output = predict("barred.mp4", tmp_path / "no", "--segmentation", str(model), "--visible", "skin")
    assert status == 2
    assert "has no category 'skin'; its categories are background, hair" in output


def test_an_occluder_image_occludes_and_is_shown(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    occluder = np.zeros((256, 256, 4), np.uint8)
    occluder[128:] = (255, 0, 255, 255)
    Image.fromarray(occluder).save(tmp_path / "half.png")
    status, output = predict("mute.mp4", tmp_path / "out", "--occluder", str(tmp_path / "half.png"))
    assert status == 0, output
    with np.load(tmp_path / "out" / "mute" / "motion.npz") as motion:
        y = motion["lmk_2d"][..., 1]
        hidden = motion["lmk_mask"] == 0
        # A clip of a second is too short to leave frames at its ends free.
        assert hidden[y > 0.01].all()
        assert not hidden[y < -0.01].any()
    with av.open(str(tmp_path / "out" / "mute" / "animation.mp4")) as container:
        panel = next(container.decode(video=0)).to_ndarray(format="rgb24")[28:, 364:724].astype(int)
    magenta = (panel[..., 0] > 180) & (panel[..., 1] < 80) & (panel[..., 2] > 180)
    assert magenta[200:300, 60:300].mean() > 0.95
    assert not magenta[:160].any()
    status, output = predict("mute.mp4", tmp_path / "both", "--occluder", "half.png", "--occlusion", "mouth")
    assert status == 2
    assert "--occluder: got --occlusion mouth as well; give only one of them" in output


def test_frames_without_a_face_are_drawn_as_occluded(
    predict: Callable[..., tuple[int, str]], folder: Path, tmp_path: Path
) -> None:
    photograph = data.astronaut()[:240, 100:340]
    with VideoWriter(tmp_path / "gone.mp4", 25, (240, 240)) as writer:
        for number in range(40):
            writer.write(np.ascontiguousarray(photograph if number < 26 else np.zeros_like(photograph)))
    status, output = predict(str(tmp_path / "gone.mp4"), tmp_path / "out")
    assert status == 0 and "no face in 14 of 40 frames" in output
    with av.open(str(tmp_path / "out/gone/animation.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24")[28:].astype(int) for frame in container.decode(video=0)]
    mesh = [picture[:, 728:1088] for picture in pictures]
    warm = [(one[..., 0] - one[..., 2] > 40).mean() for one in mesh]
    cold = [(one[..., 2] - one[..., 0] > 15).mean() for one in mesh]
    # The small head covers little.
    assert cold[10] > 0.001 and warm[30] > 0.001 and cold[30] < 0.0002
    seen = pictures[30][:, 364:724]
    assert np.abs(seen[120:240, 120:240].mean(axis=(0, 1)) - (118, 122, 130)).max() < 12, "hatched grey"


@pytest.mark.slow
@pytest.mark.parametrize("video", ["talk.mp4", "nobody.mp4"])
def test_native_log_lines_do_not_reach_the_error_output(folder: Path, tmp_path: Path, video: str) -> None:
    arguments = ["predict", str(folder / video), "--out", str(tmp_path), "--device", "cpu"]
    arguments += ["--checkpoint", str(folder / "models"), "--head", str(folder / "head.npz"), "--occlusion", "mouth"]
    done = subprocess.run(
        [sys.executable, "-m", "occlufacediff", *arguments], capture_output=True, text=True, timeout=300
    )
    errors = done.stderr.splitlines()
    if video == "talk.mp4":
        assert (done.returncode, errors) == (0, ["note: the audio is not speech (music or noise?); occluded motion is "
                                                 "predicted from the video alone"])  # fmt: skip
    else:
        assert done.returncode == 2 and len(errors) == 1
        assert errors[0].startswith(f"occlufacediff: {folder / video}: no face was found in its 26 frames")


def test_paths_with_brackets_are_printed_unchanged(
    predict: Callable[..., tuple[int, str]], folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "mute.mp4", folder / "Talk [dQw4w9WgXcQ].mp4")
    status, output = predict("Talk [dQw4w9WgXcQ].mp4", tmp_path)
    assert status == 0
    for name in ("motion.npz", "animation.mp4"):
        path = tmp_path / "Talk [dQw4w9WgXcQ]" / name
        assert path.is_file() and str(path) in output.splitlines()
