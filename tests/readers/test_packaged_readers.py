"""The readers in the package on clips of subjects and sentences that their training did not see.

``fitted_clips.npz`` has the 20 test clips of the default synthetic data set (M104 and W104): the motion that was
fitted to their videos (float16), the exact viseme letters of the frames, emotion and text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from occlufacediff.config.synthetic import KNOWN_EMOTIONS
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.reading import Found, Panel, Said
from occlufacediff.files import sha256
from occlufacediff.head.asset import HeadAsset
from occlufacediff.readers.reading import Readers, belongs_to, load_readers, save_readers
from occlufacediff.readers.viseme_letters import LETTERS, joined, viseme_text
from occlufacediff.synthetic.espeak import phonemes_of
from occlufacediff.weights import open_readers

#: Digest of the open head with its default settings.
OPEN_HEAD = "5eb1fbc3ad7477150a0969ec81376eed4157e36d6f82d2d42fe446db74186de6"


@dataclass(frozen=True)
class FittedClip:
    """A clip with its fitted motion (T, 43) and the letters of its frames (T,)."""

    motion: NDArray[np.float32]
    letters: NDArray[np.int64]
    emotion: str
    text: str


@pytest.fixture(scope="module")
def clips() -> list[FittedClip]:
    with np.load(Path(__file__).parent / "fitted_clips.npz") as file:
        return [
            FittedClip(
                file[f"{number}/motion"].astype(np.float32),
                file[f"{number}/letters"].astype(np.int64),
                str(file[f"{number}/emotion"]),
                str(file[f"{number}/text"]),
            )
            for number in range(20)
        ]


@pytest.fixture(scope="module")
def head(small_open_head: Path) -> HeadAsset:
    """An open head that moves as the default one does; only its identities and landmarks are coarser."""
    return HeadAsset.load(small_open_head).with_digest(OPEN_HEAD)


@pytest.fixture(scope="module")
def readers(head: HeadAsset) -> Readers:
    return load_readers(open_readers(), head)


def metrics(readers: Readers, head: HeadAsset, clips: list[FittedClip], neutral: bool = False) -> dict[str, float]:
    """Means over clips."""
    panel, rows = Panel(head, readers=readers), []
    for clip in clips:
        visemes = joined(viseme_text(phonemes_of(clip.text)).replace(" ", ""))
        said = Said(clip.text, clip.emotion, visemes, clip.letters, np.zeros(0, np.float32))
        found = Found(readers.read(np.zeros_like(clip.motion) if neutral else clip.motion))
        rows.append(panel.compare(said, found, found, np.ones(len(clip.motion), dtype=bool)))
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def test_the_truth_of_unseen_subjects_is_read_well_above_chance(readers, head, clips):
    found = metrics(readers, head, clips)
    # Chance: the most frequent viseme has a share of 0.19 in speech, the most frequent emotion 0.3 in these clips.
    assert found["viseme_accuracy"] > 0.5
    assert found["viseme_error_rate"] < 0.55
    assert found["emotion_accuracy"] >= 0.55
    assert found["viseme_accuracy_hidden"] == found["viseme_accuracy"]


def test_a_neutral_face_is_read_at_chance(readers, head, clips):
    found = metrics(readers, head, clips, neutral=True)
    frames = np.concatenate([clip.letters[clip.letters > 0] for clip in clips])
    most = np.bincount(frames).max() / len(frames)
    assert found["viseme_accuracy"] <= most + 0.02
    assert found["viseme_error_rate"] > 0.9
    # One answer for all clips.
    shares = [sum(clip.emotion == name for clip in clips) / len(clips) for name in KNOWN_EMOTIONS]
    assert any(found["emotion_accuracy"] == pytest.approx(share) for share in shares)


def test_the_motion_of_another_clip_is_read_worse(readers, head, clips):
    shuffled = [
        replace(clip, motion=np.resize(other.motion, clip.motion.shape))
        for clip, other in zip(clips, clips[7:] + clips[:7], strict=True)
    ]
    found, right = metrics(readers, head, shuffled), metrics(readers, head, clips)
    assert found["viseme_accuracy"] < right["viseme_accuracy"] - 0.25
    assert found["viseme_error_rate"] > right["viseme_error_rate"] + 0.25


def test_visemes_do_not_depend_on_the_upper_face(readers, head, clips):
    motion = clips[0].motion
    brows = motion.copy()
    upper = [number for number, name in enumerate(head.expression_names) if name.startswith("brow")]
    brows[:, upper] = 0.9
    np.testing.assert_array_equal(readers.read(motion).letters, readers.read(brows).letters)
    assert not np.allclose(readers.read(motion).emotions, readers.read(brows).emotions)


def test_readers_of_another_head_are_refused(small_open_head: Path):
    other = HeadAsset.load(small_open_head)
    assert not belongs_to(open_readers(), other)
    with pytest.raises(AssetError, match=r"belong to the head model 5eb1fbc3ad74.*snakemake reader_weights"):
        load_readers(open_readers(), other)


def test_saved_readers_are_loaded_unchanged(readers, head, clips, tmp_path: Path):
    save_readers(tmp_path / "r.safetensors", readers, head.digest)
    digests = {sha256(tmp_path / "r.safetensors")}
    for number in range(10):
        save_readers(tmp_path / f"{number}.safetensors", readers, head.digest)
        digests.add(sha256(tmp_path / f"{number}.safetensors"))
    assert len(digests) == 1
    again = load_readers(tmp_path / "r.safetensors", head)
    np.testing.assert_array_equal(again.read(clips[0].motion).letters, readers.read(clips[0].motion).letters)
    assert open_readers().stat().st_size < 1_000_000


def test_damaged_files_are_refused(readers, head, tmp_path: Path):
    path = tmp_path / "r.safetensors"
    with pytest.raises(AssetError, match="cannot be loaded"):
        load_readers(path, head)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(AssetError, match="not a file of readers"):
        load_readers(path, head)
    save_readers(path, readers, head.digest)
    tensors = load_file(path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    del tensors["visemes.output.bias"]
    save_file(tensors, path, metadata=about)
    with pytest.raises(AssetError, match="entries are missing"):
        load_readers(path, head)


def test_the_letters_have_the_order_of_the_weights():
    assert "".join(LETTERS) == "_ptSTfksriu@aeEoO"
