"""Both configurations for MEAD from archives to the report, on generated archives with MEAD's names and sentences."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import h5py
import mead_stand_ins as mead
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file
from tiny_tree import Tree, copy_workflow

from occlufacediff.cli import main

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("workflow")]

#: Subject -> clips and their sentences. The numbers of the clips are not those of the sentences.
CLIPS = {
    "M003": {"happy/level_1/021": 4, "sad/level_2/003": 15},
    "M011": {"happy/level_1/005": 11, "neutral/level_1/007": 12, "sad/level_3/030": 4},
    "M040": {"angry/level_2/001": 20, "angry/level_2/002": 21},
}
SPLITS = {
    "M003": ["test", "unused"],
    "M011": ["train", "train", "unused"],
    "M040": ["validation", "unused"],
}
#: Sizes of wav2vec2 for tests.
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
LOOP = {"batch_size": 2, "validate_every": 2, "validation_windows": 2, "save_every": 2, "loader_workers": 0}
TINY = {
    "evaluation": {"occlusions": ["mouth"], "steps": 2},
    "report": {"videos": 1, "video_seconds": 0.5, "panel_px": 128, "contact_pictures": 2},
}


@pytest.fixture(scope="module")
def own(finished: Tree, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The workflow, run with ``config/mead.yaml`` and tiny sizes."""
    folder = tmp_path_factory.mktemp("mead") / "tree"
    folder.mkdir()
    tree = copy_workflow(folder)
    videos = cycle(mead.unpack_recordings(finished.results / "archives", folder / "recordings").values())
    recordings = [
        mead.Recording(subject, clip, sentence, next(videos))
        for subject, clips in CLIPS.items()
        for clip, sentence in clips.items()
    ]
    mead.write_archives(folder / "archives", recordings)
    mead.write_table(folder / "transcripts.txt", recordings)
    changes = {
        "archives": "archives",
        "head": str(open_head(finished)),
        "split": {"transcripts": "transcripts.txt"},
        "motion_prior": {"loop": LOOP | {"max_steps": 2}},
        "denoiser": {"loop": LOOP | {"max_steps": 2}, "sampled": {"windows": 2, "steps": 2}},
    }
    result = tree.run("--", "report", config=configuration(tree, "mead", changes))
    assert result.returncode == 0, result.stdout[-6000:]
    return tree


def open_head(finished: Tree) -> Path:
    """The open head of the tiny run."""
    return next((finished.folder / "resources" / "heads").glob("*.npz"))


def configuration(tree: Tree, name: str, changes: dict[str, object], file: str = "tiny") -> str:
    """Write a configuration of the repository with changes and `TINY`; gives the name of the new file."""
    source = tree.folder / "config" / f"{name}.yaml"
    mead.write_configuration(source, tree.folder / f"{name}_{file}.yaml", TINY, changes)
    return f"{name}_{file}.yaml"


def check_results(results: Path) -> None:
    """Splits by the transcripts, a training on M011 alone, scores of M003, a report."""
    manifest = pd.read_csv(results / "manifest.csv", dtype=str, keep_default_na=False)
    assert (manifest["status"] == "ok").all(), manifest[["subject", "clip", "reason", "message"]].to_string()
    for subject, clips in CLIPS.items():
        theirs = manifest[manifest["subject"] == subject].set_index("clip").loc[list(clips)]
        assert theirs["sentence_id"].tolist() == [str(sentence) for sentence in clips.values()]
        assert theirs["split"].tolist() == SPLITS[subject]
    run = results / "runs" / "main"
    for network in ("motion_prior", "denoiser"):
        about = yaml.safe_load((run / network / "config.yaml").read_text())["provenance"]
        assert (about["split_rule"], about["subjects"], about["sentences"]) == ("mead", ["M011"], ["11", "12"])
        history = pd.read_csv(run / network / "history.csv")
        assert history["validation_loss"].notna().all()
    scores = pd.read_csv(run / "evaluation" / "metrics_by_clip.csv", dtype={"subject": str})
    assert set(scores["subject"] + "/" + scores["clip"]) == {"M003/happy/level_1/021"}
    metrics = pd.read_csv(run / "evaluation" / "metrics.csv")
    assert set(metrics["seen_in_training"]) == {"no"}
    assert "lve_hidden" in set(metrics["metric"])
    assert "share neither subjects nor sentences" in (run / "report.html").read_text()


def test_our_recipe_from_archives_to_the_report(own: Tree):
    check_results(own.folder / "results" / "mead")
    history = pd.read_csv(own.folder / "results" / "mead" / "runs" / "main" / "denoiser" / "history.csv")
    assert history["validation_sampled_lips"].notna().all()


def published_changes(tree: Tree, wav2vec2: Path) -> dict[str, object]:
    return {
        "archives": "archives",
        "head": "models/flame2020.npz",
        "emote": {"folder": "processed"},
        "split": {"transcripts": "transcripts.txt"},
        "motion_prior": {"loop": LOOP | {"epochs": 2}},
        "denoiser": {
            "wav2vec2": {"weights": str(wav2vec2)} | SMALL,
            "sampled": {"windows": 2, "steps": 2},
            # The best weights could be those of a visual phase, which has not trained wav2vec2.
            "loop": LOOP | {"epochs": 3, "accumulate": 2, "keep": "last"},
        },
    }


def write_emote(folder: Path, preprocessed: Path) -> None:
    """Write EMOTE's folder ``processed`` of `CLIPS`, with the landmarks that were detected in them."""
    for subject, clips in CLIPS.items():
        with h5py.File(preprocessed / "landmarks" / f"{subject}.h5") as file:
            for number, clip in enumerate(clips):
                found = np.asarray(file[clip]["landmarks_px"])
                arrays = mead.coefficient_arrays(len(found), number)
                mead.write_emote_clip(folder, f"{subject}/front/{clip}", found, arrays)


def test_the_published_recipe_from_archives_to_the_report(own: Tree, finished: Tree):
    folder = own.folder
    write_emote(folder / "processed", folder / "results" / "mead")
    flame = mead.write_flame(folder / "FLAME2020", open_head(finished))
    converted = CliRunner().invoke(main, ["convert", str(flame), "--to", str(folder / "models" / "flame2020.npz")])
    assert converted.exit_code == 0, converted.output
    weights = folder / "models" / "wav2vec2" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    # Missing weights are named when the run starts.
    config = configuration(own, "mead_published", published_changes(own, weights.parent))
    refused = own.run("--dry-run", config=config)
    assert refused.returncode == 1
    assert "denoiser.wav2vec2.weights: there are no weights at" in refused.stdout
    initial = mead.write_small_wav2vec2(weights, SMALL)
    result = own.run("--", "report", config=config)
    assert result.returncode == 0, result.stdout[-6000:]
    results = folder / "results" / "mead_published"
    check_results(results)
    run = results / "runs" / "main"
    # The published protocol has its figures in a table of their own.
    figures = pd.read_csv(run / "evaluation" / "published_metrics.csv")
    of_method = figures[figures["method"] == "ours"]
    assert len(of_method) == 14
    assert set(of_method["exp_name"]) == {"mouth"}
    assert (of_method["n"] == 1).all()
    assert of_method["mean"].notna().all()
    assert set(figures["sampling"]) == {"ddim, 2 steps, windows side by side, no guidance, no last fit"}
    assert figures["protocol"].str.startswith("published-").all()
    page = (run / "report.html").read_text()
    assert "Figures of the published evaluation" in page
    assert "Protocol: published" in page
    # Two training clips give 5 micro-batches of 2 windows per epoch: 15 in all, 7 steps of 2.
    history = pd.read_csv(run / "denoiser" / "history.csv")
    assert history["step"].iloc[-1] == 7
    # Epoch 3 is an audio phase: steps 6 and 7.
    assert history["audio_phase"].tolist() == [0, 0, 0.5, 1]
    assert history["validation_sampled_lips"].notna().all()
    trained = load_file(run / "denoiser" / "model.safetensors")
    prefix = next(name for name in trained if name.endswith("feature_projection.projection.weight"))
    prefix = prefix.removesuffix("feature_projection.projection.weight")
    same = {
        name: torch.equal(trained[prefix + name], value) for name, value in initial.items() if prefix + name in trained
    }
    # The convolutions are never trained; the rest of wav2vec2 is trained in the audio phase, epoch 3.
    assert all(equal for name, equal in same.items() if name.startswith("feature_extractor."))
    assert not same["feature_projection.projection.weight"]


def test_validation_on_the_test_clips_is_an_option(own: Tree):
    changes: dict[str, object] = {"dataset": "mead_two", "archives": "archives", "subjects": ["M003", "M011"]}
    refused = own.run("--dry-run", config=configuration(own, "mead", changes, "refused"))
    assert refused.returncode == 1
    assert "none of its subjects ['M040', 'W040'] is in the data set" in refused.stdout
    changes["split"] = {"validation_is_test": True}
    assert own.plan(config=configuration(own, "mead", changes, "option"))["train_denoiser"] == 1
