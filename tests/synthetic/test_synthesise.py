"""Stage synthesise: archives in MEAD's layout that match the true coefficients, with faces that MediaPipe detects."""

from __future__ import annotations

import csv
import subprocess
import sys
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import av
import h5py
import numpy as np
import pytest

from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.openhead.build import basic_asset
from occlufacediff.stages.synthesise import expression_for
from occlufacediff.synthetic.appearance import draw_appearance
from occlufacediff.synthetic.clip import generate_clip
from occlufacediff.synthetic.plan import subject_clips
from occlufacediff.synthetic.speakers import make_speaker

# Fixtures are expensive: all tests of this file run on one worker.
pytestmark = pytest.mark.xdist_group("synthesise")

SETTINGS = SyntheticSettings(training_subjects=1, training_clips=2, max_seconds=2.7, picture_size=192)
RUN = """
import sys
from pathlib import Path
from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.stages.synthesise import synthesise_subject

head, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
settings = SyntheticSettings(training_subjects=1, training_clips=2, max_seconds=2.7, picture_size=192)
names = ("video.tar", "audio.tar", "sentences.csv", "truth.h5")
synthesise_subject("M101", head, *(out / name for name in names), settings=settings, seed=3, workers=workers)
"""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open head with few identity components. Its landmark embedding is not used."""
    path = tmp_path_factory.mktemp("head") / "open_head.npz"
    basic_asset(OpenHeadSettings(identities=40, shape_components=12), 0).save(path)
    return path


def _run(head: Path, out: Path, workers: int) -> Path:
    subprocess.run([sys.executable, "-c", RUN, str(head), str(out), str(workers)], check=True, timeout=120)
    return out


@pytest.fixture(scope="module")
def made(head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the archives of one subject with two clips."""
    return _run(head, tmp_path_factory.mktemp("made"), 1)


def _images(folder: Path) -> dict[str, list[np.ndarray]]:
    with tarfile.open(folder / "video.tar") as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        result = {}
        for name, file in files.items():
            assert file is not None
            with av.open(BytesIO(file.read())) as video:
                assert not video.streams.audio
                assert video.streams.video[0].average_rate == 30
                assert video.streams.video[0].codec_context.name == "h264"
                result[name] = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    return result


def test_archives_have_meads_layout_and_match_the_truth(made: Path) -> None:
    clips = subject_clips("M101", SETTINGS)
    images = _images(made)
    assert sorted(images) == [f"video/front/{clip.clip}.mp4" for clip in clips]
    with tarfile.open(made / "audio.tar") as archive:
        assert archive.getnames() == [f"audio/{clip.clip}.m4a" for clip in clips]
        sounds = {}
        for name in archive.getnames():
            file = archive.extractfile(name)
            assert file is not None
            with av.open(BytesIO(file.read())) as sound:
                stream = sound.streams.audio[0]
                assert (stream.codec_context.name, stream.rate, stream.channels) == ("aac", 48_000, 2)
                sounds[name] = float(stream.duration * stream.time_base)
    with (made / "sentences.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["clip"], int(row["sentence_id"]), row["text"]) for row in rows] == [
        (clip.clip, clip.sentence_id, clip.text) for clip in clips
    ]
    with h5py.File(made / "truth.h5") as truth:
        for clip in clips:
            frames = images[f"video/front/{clip.clip}.mp4"]
            group = truth[clip.clip]
            generated = generate_clip(clip, SETTINGS, 3)
            assert len(frames) == len(group["exp"]) == len(generated.exp)
            assert frames[0].shape == (192, 192, 3)
            np.testing.assert_array_equal(group["jaw"][()], generated.jaw)
            assert group["exp"].dtype == group["shape"].dtype == group["cam_picture"].dtype == np.float32
            assert group.attrs["fps"] == 30 and group.attrs["sentence"] == clip.text
            assert abs(sounds[f"audio/{clip.clip}.m4a"] - len(frames) / 30) < 0.05
    assert not list(made.glob(".*"))


def test_bytes_do_not_depend_on_the_number_of_workers(head: Path, made: Path, tmp_path: Path) -> None:
    again = _run(head, tmp_path, 2)
    for name in ("video.tar", "audio.tar", "sentences.csv", "truth.h5"):
        assert sha256(again / name) == sha256(made / name), name


def test_mediapipe_detects_the_face_and_its_mouth_follows_the_truth(made: Path) -> None:
    from mediapipe.python.solutions.face_mesh import FaceMesh

    gaps, jaws = [], []
    with (
        FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=2) as mesh,
        h5py.File(made / "truth.h5") as truth,
    ):
        for name, frames in _images(made).items():
            jaw = truth[name.removeprefix("video/front/").removesuffix(".mp4")]["jaw"][:, 0]
            for number in range(0, len(frames), 4):
                found = mesh.process(frames[number]).multi_face_landmarks
                assert found and len(found) == 1, (name, number)
                points = found[0].landmark
                gaps.append(points[14].y - points[13].y)
                jaws.append(jaw[number])
    assert np.corrcoef(gaps, jaws)[0, 1] > 0.8


def test_appearance_is_deterministic_and_differs_between_subjects(head: Path) -> None:
    asset = HeadAsset.load(head)
    man, woman = (make_speaker(name, 0, spread=1.0) for name in ("M101", "W101"))
    one, again, other = (
        draw_appearance(man, asset, 64, 0),
        draw_appearance(man, asset, 64, 0),
        draw_appearance(woman, asset, 64, 0),
    )
    np.testing.assert_array_equal(one.shape, again.shape)
    np.testing.assert_array_equal(one.colours, again.colours)
    assert np.abs(one.shape - other.shape).max() > 0.3
    assert not np.array_equal(one.colours, other.colours)


def test_other_heads_are_rejected(head: Path) -> None:
    asset = HeadAsset.load(head)
    with pytest.raises(AssetError, match=r"open head.*'flame2020'"):
        draw_appearance(make_speaker("M101", 0, spread=1.0), replace(asset, name="flame2020"), 64, 0)
    names = tuple(name.replace("browDown", "frown") for name in asset.expression_names)
    with pytest.raises(AssetError, match="browDown"):
        expression_for(
            generate_clip(subject_clips("M101", SETTINGS)[0], SETTINGS, 3), replace(asset, expression_names=names)
        )
