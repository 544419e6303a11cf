"""Fine-tuning on ordinary videos, from a folder of each speaker's recordings to the report."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config
from tiny_tree import Tree, copy_workflow

from occlufacediff.files import sha256
from occlufacediff.media.archives import unpack
from occlufacediff.media.ffmpeg import ffmpeg_binary

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("workflow")]

SPEAKERS = ("ann", "bob", "eve")


def place(folder: Path, name: str) -> Path:
    """Where a recording of an archive is unpacked."""
    return folder / "-".join(Path(name).parts[-3:])


def write_videos(folder: Path, archives: Path) -> None:
    """One video with sound for each speaker, from the recordings of the generated speakers."""
    for speaker, source in zip(SPEAKERS, sorted(archives.iterdir()), strict=True):
        aside = folder.with_name("recordings") / speaker
        for kind in ("video", "audio"):
            unpack(source / f"{kind}.tar", partial(place, aside))
        picture = min(aside.glob("*.mp4"))
        (folder / speaker).mkdir(parents=True)
        command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-i", picture, "-i", picture.with_suffix(".m4a")]
        out = folder / speaker / "a talk.mp4"
        subprocess.run([*command, "-map", "0:v", "-map", "1:a", "-c", "copy", out], check=True)


def test_a_checkpoint_is_finetuned_on_videos_and_compared_on_another_speaker(finished: Tree, tmp_path: Path) -> None:
    tree = copy_workflow(tmp_path)
    write_videos(tmp_path / "videos", finished.results / "archives")
    config = yaml.safe_load((tree.folder / "config" / "own_videos.yaml").read_text())
    loop = {"max_steps": 2, "batch_size": 2, "validate_every": 2, "validation_windows": 2, "save_every": 2}
    changes = {
        "videos": "videos",
        # The networks of the tiny run, instead of the open weights, with their head model.
        "head": str(next((finished.folder / "resources" / "heads").glob("*.npz"))),
        "run": {"init_from": str(finished.main_run)},
        "denoiser": {"preset": "compact", "loop": loop},
        "evaluation": {"occlusions": ["mouth"], "steps": 2, "samples": 1},
        "report": {"videos": 1, "video_seconds": 0.5, "panel_px": 128, "contact_pictures": 2},
    }
    update_config(config, changes)
    (tree.folder / "own.yaml").write_text(yaml.safe_dump(config))
    result = tree.run("--", "report", config="own.yaml")
    assert result.returncode == 0, result.stdout[-6000:]

    results = tree.folder / "results" / "own_videos"
    manifest = pd.read_csv(results / "manifest.csv", dtype=str, keep_default_na=False)
    assert (manifest["status"] == "ok").all(), manifest[["subject", "clip", "reason", "message"]].to_string()
    assert sorted(manifest["split"]) == ["test", "train", "validation"]
    speaker = dict(zip(manifest["split"], manifest["subject"], strict=True))
    assert set(speaker.values()) == set(SPEAKERS)
    run = results / "runs" / "finetuned"
    provenance = yaml.safe_load((run / "denoiser" / "config.yaml").read_text())["provenance"]
    assert provenance["subjects"] == [speaker["train"]]
    assert provenance["start"]["weights_sha256"] == sha256(finished.main_run / "denoiser" / "model.safetensors")
    scores = pd.read_csv(run / "evaluation" / "metrics_by_clip.csv", dtype={"subject": str})
    assert set(scores["subject"]) == {speaker["test"]}
    means = pd.read_csv(run / "evaluation" / "metrics.csv").set_index(["method", "metric"])["mean"]
    assert means["ours", "lve_hidden"] != means["before_finetuning", "lve_hidden"]
    assert "ours, before fine-tuning" in (run / "report.html").read_text()
