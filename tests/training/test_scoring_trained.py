"""Checkpoints of a training can be evaluated."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.predictions import read_motion, read_occlusion
from occlufacediff.face_mesh import LIPS
from occlufacediff.stages.evaluation_tables import Tables, write_tables
from occlufacediff.stages.sample_motions import Checkpoints, sample_subject
from occlufacediff.stages.score_motions import score_subject

# Fixtures are costly: all tests that use them run on one worker.
pytestmark = pytest.mark.xdist_group("training")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def evaluated(files: Files, prior: Path, denoiser: Path, out: Path, settings: EvaluationSettings) -> Tables:
    """Sample, score and write the tables of all subjects of the split, into ``out``."""
    tables = Tables(*(out / f"{item.name}.csv" for item in fields(Tables)))
    scores = []
    for clips, audio, coefficients in zip(files.clips, files.audio, files.coefficients, strict=True):
        subject = clips.stem
        motions, failed = (out / "motions" / f"{subject}.{ending}" for ending in ("h5", "csv"))
        sample_subject(
            subject,
            files.manifest,
            clips,
            audio,
            coefficients,
            files.head,
            Checkpoints(prior, denoiser),
            motions,
            failed,
            settings=settings,
            reconstruction=ReconstructionSettings(),
            seed=4,
            occlusion_seed=4,
            device="cpu",
        )
        scores.append([out / folder / f"{subject}.csv" for folder in ("scores", "failures")])
        score_subject(subject, motions, failed, clips, audio, coefficients, files.head, files.manifest, *scores[-1])
    write_tables(
        files.manifest,
        [pair[0] for pair in scores],
        [pair[1] for pair in scores],
        files.head,
        [prior, denoiser],
        {},
        tables,
        dataset="small",
        settings=settings,
        occlusion_seed=4,
    )
    return tables


def test_the_protocol_scores_every_method_and_occlusion(
    files: Files, prior: Path, denoiser: Path, tmp_path: Path
) -> None:
    picture = np.zeros((224, 224, 4), np.uint8)
    picture[112:] = 255
    Image.fromarray(picture).save(tmp_path / "half.png")
    settings = EvaluationSettings(
        occlusions=("none", "mouth", "audio_driven", "picture"),
        occlusion=OcclusionSettings(pictures=str(tmp_path / "half.png")),
        steps=2,
    )
    outputs = [evaluated(files, prior, denoiser, tmp_path / str(run), settings) for run in range(2)]
    motions = [tmp_path / str(run) / "motions" / "C1.h5" for run in range(2)]
    assert outputs[0].metrics.read_bytes() == outputs[1].metrics.read_bytes()
    assert motions[0].read_bytes() == motions[1].read_bytes()
    table = pd.read_csv(outputs[0].metrics).set_index(["method", "occlusion", "metric"])
    # Rows of the truth hold what can be measured without a prediction, such as its jitter.
    assert set(table.index.get_level_values("method")) == {*settings.methods, "truth"}
    assert (table["n"] == 2).all()
    assert table["unit"].notna().all()
    assert table.loc[("interpolation", "none", "lve"), "mean"] < 1e-3
    assert ("ours", "none", "lve_hidden") not in table.index
    hidden = table.loc[("interpolation", "audio_driven", "lve_hidden"), "mean"]
    assert hidden == pytest.approx(table.loc[("neutral", "audio_driven", "lve"), "mean"])
    exp, jaw = read_motion(motions[0], "mouth", "ours", "C1/happy/level_1/000")
    assert exp.shape == (70, 6)
    assert jaw.shape == (70, 3)
    occlusion, visible = read_occlusion(motions[0], "audio_driven", "C1/happy/level_1/000")
    assert occlusion.frames.all()
    assert not visible.any()
    occlusion, visible = read_occlusion(motions[0], "picture", "C1/happy/level_1/000")
    assert np.array_equal(occlusion.picture, picture)
    assert 0 < visible.mean() < 1
    with pytest.raises(AssetError, match="mouth/theirs"):
        read_motion(motions[0], "mouth", "theirs", "C1/happy/level_1/000")


def test_a_clip_without_the_region_fails_and_the_others_are_scored(
    files: Files, prior: Path, denoiser: Path, tmp_path: Path
) -> None:
    clips = tmp_path / "C1.h5"
    shutil.copyfile(files.clips[-1], clips)
    with h5py.File(clips, "r+") as store:
        landmarks = store["happy/level_1/001/landmarks"]
        points = landmarks[()]
        points[:, LIPS] = np.nan
        landmarks[...] = points
    settings = EvaluationSettings(occlusions=("none", "mouth", "upper"), methods=("neutral",), steps=2)
    outputs = evaluated(replace(files, clips=[*files.clips[:-1], clips]), prior, denoiser, tmp_path / "out", settings)
    counts = pd.read_csv(outputs.metrics).groupby("occlusion")["n"].max().to_dict()
    assert counts == {"none": 2, "mouth": 1, "upper": 2}
    failures = pd.read_csv(outputs.failures, dtype=str)
    assert failures[["occlusion", "subject", "clip", "reason"]].values.tolist() == [
        ["mouth", "C1", "happy/level_1/001", "no_region"]
    ]
    assert re.search("the detector gives no landmark of the .*lips.* in 50 of 50 frames", failures["message"][0])
