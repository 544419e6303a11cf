"""A wrong configuration or source ends the run at once, with one message that names the key and the remedy."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from occlufacediff.prediction.source import SOURCE_DIGEST, SOURCE_NAME, Source

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "crop={scael: 2}"], ["crop.scael", "did you mean crop.scale", "config/README.md"]),
        (["--config", "seed=many"], ["seed", "'many'", "integer"]),
        (["--config", "subjects=[M999]"], ["subjects", "'M999'", "M101"]),
        (["--config", "source=local"], ["archives", "--config archives=FOLDER"]),
        (["--config", "source=local", "archives=nowhere"], ["archives", "nowhere"]),
        (["--config", "checkpoint=nowhere"], ["checkpoint", "nowhere/motion_prior", "make run"]),
        (["--config", "head=nowhere.npz"], ["head", "nowhere.npz"]),
        (
            ["--config", "visibility={source: masks, masks: nowhere}"],
            ["visibility.masks", "nowhere", "white = occluded"],
        ),
        (["--config", "visibility={source: segmentation, model: no.tflite}"], ["visibility.model", "no.tflite"]),
        (["--config", "split={rule: all_test}"], ["split.train", "every clip a test clip", "config/mead.yaml"]),
        (["--config", "evaluation={readers: no.safetensors}"], ["evaluation.readers", "no.safetensors", "readers.md"]),
        (
            ["--config", "evaluation={lip_reading: {reader: no.pt, kind: features}}"],
            ["evaluation.lip_reading.reader", "no.pt"],
        ),
        (
            ["--config", "evaluation={lip_reading: {reader: no.pt}}"],
            ["evaluation.lip_reading", "labels: got nothing", "av_hubert"],
        ),
        (["--config", "evaluation={emotion_recogniser: no.ckpt}"], ["evaluation.emotion_recogniser", "no.ckpt"]),
        (["predict"], ["video", "--config video=FILE"]),
        (["predict", "--config", "video=nowhere.mp4"], ["video", "nowhere.mp4"]),
        (["predict", "--config", "video=talk{1}.mp4"], ["video", "talk{1}.mp4", "wildcards", "rename"]),
        (["benchmark"], ["benchmark_videos", "--config benchmark_videos=FOLDER"]),
        (["fetch"], ["download.assets", "[flame2020]"]),
        (["resources/licensed/unknown/index.csv"], ["download.assets", "'unknown'", "flame2020"]),
        (["--config", "run={name: a/b}"], ["run.name", "'a/b'", "letters"]),
        (["--config", "denoiser={preset: published}"], ["denoiser.preset", "needs the published motion prior"]),
    ],
)
def test_message_names_key_value_and_remedy(bare, arguments, words):
    result = bare.run("--dry-run", *arguments)
    assert result.returncode != 0
    message = result.stdout.split("Configuration, ")[-1]
    for word in words:
        assert word in message, result.stdout
    assert "most recent call last" not in result.stdout
    assert result.stdout.count("Configuration, ") == 1
    # The message stands alone: without the place in the workflow's files, the rule and its wildcards.
    assert message.count("\n") == 1
    assert "common.smk" not in result.stdout and "Exception" not in result.stdout


def test_weights_of_wav2vec2_of_another_size_are_refused_when_the_run_starts(bare, tmp_path):
    file = tmp_path / "pytorch_model.bin"
    sizes = Wav2Vec2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    torch.save(Wav2Vec2ForCTC(sizes).state_dict(), file)
    networks = f"""
    motion_prior: {{preset: published, fit_to_head: true}}
    denoiser: {{preset: published, wav2vec2: {{weights: {file}}}}}
    """
    result = bare.run("--dry-run", config=bare.override(networks))
    assert result.returncode != 0
    (message,) = result.stdout.split("Configuration, ")[1:]
    assert message.strip() == (
        f"denoiser.wav2vec2.weights: {file}: entry 'wav2vec2.feature_projection.projection.weight' has shape "
        "(32, 512), needs (768, 512); give another file as denoiser.wav2vec2.weights, or set the sizes of this one in "
        "denoiser.wav2vec2."
    )


def test_a_tracker_that_is_not_installed_is_refused_when_the_run_starts(bare):
    assert find_spec("wandb") is None
    for network in ("motion_prior", "denoiser"):
        result = bare.run("--dry-run", "--config", f"{network}={{loop: {{trackers: [tensorboard, wandb]}}}}")
        assert result.returncode != 0
        assert f"{network}.loop.trackers: wandb is not installed; run pip install wandb" in result.stdout
        assert "common.smk" not in result.stdout
    assert bare.run("--dry-run", "--config", "denoiser={loop: {trackers: [tensorboard]}}").returncode == 0


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", ["nowhere", "there is no folder"]), ("videos", ["{1}.mp4", "rename"])]
)
def test_message_of_an_input_function_is_one_line(bare, tmp_path, name, words):
    if name == "videos":
        (tmp_path / name).mkdir()
        (tmp_path / name / "talk{1}.mp4").touch()
    result = bare.run("--dry-run", "benchmark", "--config", f"benchmark_videos={tmp_path / name}")
    assert result.returncode != 0
    (line,) = [line for line in result.stdout.splitlines() if all(word in line for word in words)]
    assert "benchmark" in line
    assert "most recent call last" not in result.stdout


def test_results_of_another_video_of_equal_name_are_not_replaced(bare, tmp_path):
    first, second = tmp_path / "first" / "talk.mp4", tmp_path / "second" / "talk.mp4"
    for video in (first, second):
        video.parent.mkdir()
        video.write_text(str(video))
        os.utime(video, (1e9, 1e9))
    results = bare.results / "predictions" / "talk"
    results.mkdir(parents=True)
    source = Source.of(first)
    np.savez(results / "motion.npz", **{SOURCE_NAME: np.asarray(source.name), SOURCE_DIGEST: np.asarray(source.digest)})
    result = bare.run("--dry-run", "predict", "--config", f"video={second}")
    assert result.returncode != 0
    assert "holds the results of another video" in result.stdout
    assert "most recent call last" not in result.stdout
    # Its own video is predicted again where other outputs are missing.
    assert bare.run("--dry-run", "predict", "--config", f"video={first}").returncode == 0
    shutil.rmtree(results)


def test_readers_are_trained_on_generated_clips_only(bare, tmp_path):
    archives = tmp_path / "archives" / "M101"
    archives.mkdir(parents=True)
    for name in ("video.tar", "audio.tar"):
        (archives / name).touch()
    result = bare.run("--dry-run", "reader_weights", "--config", "source=local", f"archives={archives.parent}")
    assert result.returncode != 0
    assert "source: got 'local', the target reader_weights needs 'synthetic'" in result.stdout
    assert "most recent call last" not in result.stdout
