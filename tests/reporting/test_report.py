"""The report's page, written from a small fabricated run."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from skimage import data
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.config.report import ReportSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.evaluation import aggregation
from occlufacediff.evaluation.predictions import write_motion, write_occlusion
from occlufacediff.evaluation.training_overlap import SEEN
from occlufacediff.files import new_hdf5
from occlufacediff.landmarks.store import StoredClip, encode_crop, write_clip
from occlufacediff.occlusion.occlude import Occlusion
from occlufacediff.reporting import sources
from occlufacediff.reporting.published_tables import PUBLISHED_COLUMNS
from occlufacediff.reporting.report_parts import splits_note
from occlufacediff.reporting.videos import ResultClip
from occlufacediff.stages.report import DataSetFiles, EvaluationFiles, make_report

FRAMES = 20
SUBJECTS = {"M101": "train", "NA": "test", "001": "test"}
CLIPS = ("happy/level_1/001", "neutral/level_1/002")
METHODS = {"ours": 2.0, "ours_without_audio": 3.0, "interpolation": 3.6, "neutral": 4.4}


def fabricate(folder: Path) -> dict[str, Any]:
    """Files of a run of three subjects and two clips each; gives the arguments of the stage."""
    rng = np.random.default_rng(0)
    small_head().save(folder / "head.npz")
    photograph = np.ascontiguousarray(data.astronaut()[:224, 110:334])
    jpegs = [encode_crop(np.roll(photograph, number, axis=1), 90) for number in range(FRAMES)]
    files: dict[str, list[Path]] = {"clips": [], "audio": [], "coefficients": []}
    motions: dict[str, np.ndarray] = {}
    for subject in SUBJECTS:
        for kind, paths in files.items():
            paths.append(folder / kind / f"{subject}.h5")
        with new_hdf5(files["clips"][-1]) as store, new_hdf5(files["audio"][-1]) as sound:
            for clip in CLIPS:
                stored = StoredClip(
                    landmarks=np.zeros((FRAMES, 478, 2), np.float32),
                    valid_frames_idx=np.arange(FRAMES),
                    crop_boxes=np.tile(np.float32([0, 0, 223]), (FRAMES, 1)),
                    width=224,
                    height=224,
                    fps=25.0,
                    n_faces_max=1,
                )
                write_clip(store.create_group(clip), stored, jpegs)
                tone = 0.2 * np.sin(np.arange(FRAMES * 640) / 16000 * 2 * np.pi * 180)
                sound.create_group(clip)["waveform"] = tone.astype(np.float32)
        with new_hdf5(files["coefficients"][-1]) as file:
            for clip in CLIPS:
                group = file.create_group(clip)
                motion = np.concatenate([rng.random((FRAMES, N_EXP)), np.zeros((FRAMES, 3))], axis=1)
                motion[:, -3] = 0.2 + 0.2 * np.sin(np.arange(FRAMES) / 3)
                motions[f"{subject}/{clip}"] = motion
                group["exp"], group["jaw"] = motion[:, :-3], motion[:, -3:]
                group["global_pose"] = np.zeros((FRAMES, 3))
                group["cam"] = np.tile([6.5, 0.0, 0.0], (FRAMES, 1))
                group["shape"] = np.zeros(N_SHAPE)
                group.attrs["error_px"], group.attrs["opening_correlation"] = rng.uniform(0.5, 1.0), 0.99
    (folder / "motions").mkdir()
    for subject in SUBJECTS:
        with new_hdf5(folder / "motions" / f"{subject}.h5") as file:
            for name in (f"{subject}/{clip}" for clip in CLIPS):
                boxes = np.tile(np.array([40, 110, 180, 223]), (FRAMES, 1))
                hidden = Occlusion("mouth", boxes, np.arange(FRAMES) > 4)
                write_occlusion(file, name, hidden, np.ones((FRAMES, 468), np.float32))
                samples = np.stack([motions[name] * part for part in (0.6, 0.8)])
                write_motion(file, "mouth", "ours", name, motions[name] * 0.7, samples)
                write_motion(file, "mouth", "interpolation", name, motions[name] * 0.3)
    rows = [
        (method, occlusion, *name.split("/", 1), metric, "mm", value + rng.normal(0, 0.3) + (occlusion == "mouth"))
        for method, value in METHODS.items()
        for occlusion in ("none", "mouth", "audio_driven")
        for name in motions
        for metric in ("mvpe", "lve")
    ]
    by_clip = pd.DataFrame(rows, columns=["method", "occlusion", "subject", "clip", "metric", "unit", "value"])
    by_clip.to_csv(folder / "by_clip.csv", index=False)
    means = aggregation.means(by_clip, 200, seed=0).assign(seen_in_training="no")
    means.to_csv(folder / "metrics.csv", index=False)
    aggregation.paired(by_clip, 200, seed=0).to_csv(folder / "paired.csv", index=False)
    aggregation.by_group(by_clip, 200, seed=0).to_csv(folder / "metrics_by_group.csv", index=False)
    table = [
        (subject, clip, clip.split("/")[0], clip[-1], split, FRAMES, "ok", "", "")
        for subject, split in SUBJECTS.items()
        for clip in CLIPS
    ]
    table.append(("M101", "sad/level_3/009", "sad", "9", "", 0, "failed", "no_face", "no face in <video> & co"))
    columns = ["subject", "clip", "emotion", "sentence_id", "split", "frames", "status", "reason", "message"]
    pd.DataFrame(table, columns=columns).to_csv(folder / "manifest.csv", index=False)
    steps = np.arange(1, 12) * 50
    history = {"step": steps, "loss": 1 / steps, "val_loss": 1.5 / steps, "windows_per_s": 90.0}
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    columns = ["occlusion", "subject", "clip", "method", "reason", "message"]
    failed = [("mouth", "NA", "sad/level_1/003", "", "unexpected_error", "ValueError: <odd>")]
    pd.DataFrame(failed, columns=columns).to_csv(folder / "failures.csv", index=False)
    description = {
        "weights_sha256": "0123456789abcdef0123",
        "provenance": {
            "dataset": "recorded",
            "run": "first",
            "seed": 7,
            "split_rule": "lists",
            "subjects": ["A", "B"],
            "clips": 31,
            "versions": {"torch": "2.99"},
            "start": None,
        },
    }
    for name, content in (("motion_prior", description), ("denoiser", {"weights_sha256": "fedcba"})):
        (folder / name).mkdir()
        (folder / name / "config.yaml").write_text(yaml.safe_dump(content))
    return {
        "manifest": folder / "manifest.csv",
        "data": DataSetFiles(**files, head=folder / "head.npz"),
        "evaluation": EvaluationFiles(
            folder / "metrics.csv",
            folder / "by_clip.csv",
            [folder / "motions" / f"{subject}.h5" for subject in SUBJECTS],
            folder / "failures.csv",
            folder / "paired.csv",
            folder / "metrics_by_group.csv",
        ),
        "networks": [folder / name / "config.yaml" for name in ("motion_prior", "denoiser")],
        "histories": {"motion_prior": folder / "history.csv", "denoiser": folder / "history.csv"},
        "config": {"dataset": "fabricated", "seed": 1, "crop": {"scale": 1.485}},
        "versions": {"occlufacediff": "0.1.0", "torch": "2.11"},
        "report_html": folder / "report.html",
        "settings": ReportSettings(panel_px=64, videos=2),
        "seed": 1,
    }


class Page(HTMLParser):
    """Collects where a page points to, and checks that elements are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Arguments of a run and its page."""
    arguments = fabricate(tmp_path_factory.mktemp("report"))
    make_report(**arguments)
    return arguments, arguments["report_html"].read_text(encoding="utf-8")


def test_the_page_needs_no_network(made: tuple[dict[str, Any], str]) -> None:
    page = Page()
    page.feed(made[1])
    assert not page.open
    assert page.links
    assert all(link.startswith(("data:", "#")) for link in page.links)


def test_the_page_shows_configuration_results_and_failures(made: tuple[dict[str, Any], str]) -> None:
    for words in (
        "fabricated",
        "scale: 1.485",
        "2.11",
        "no_face",
        "no face in &lt;video&gt; &amp; co",
        "ours, without audio",
        "lip vertices (LVE), mm",
        "6 / 7",
        "motion prior",
        "correlation of the lip opening",
        "all landmarks, px",
        "With evaluation.samples of 2 or more, a band shows the range of the samples.",
        "NA/sad/level_1/003",
        "ValueError: &lt;odd&gt;",
        "run <b>main</b>",
        "trained on recorded: 31 clips of 2 subjects (run first, seed 7, split by &#39;lists&#39;); ",
        "weights 0123456789ab;",
        "ddim, 10 steps, overlapping windows, no guidance, last fit to the visible landmarks, 1 sample, seed 1",
        "torch 2.99",
        "its training is not recorded; weights fedcba",
    ):
        assert words in made[1], words


@pytest.mark.parametrize("seen", ["no", "no_subjects", "subjects", "clips", "unknown", None])
def test_unseen_clips_are_claimed_only_if_training_did_not_use_them(tmp_path: Path, seen: str | None) -> None:
    arguments = fabricate(tmp_path)
    table = pd.read_csv(tmp_path / "metrics.csv", dtype=str, keep_default_na=False)
    table = table.drop(columns="seen_in_training") if seen is None else table.assign(seen_in_training=seen)
    table.to_csv(tmp_path / "metrics.csv", index=False)
    make_report(**arguments)
    page = arguments["report_html"].read_text(encoding="utf-8")
    claims = {name: text for name, text in SEEN.items() if text in page}
    assert list(claims) == ["unknown" if seen is None else seen]
    assert ('class="warning"' in page) == (seen not in ("no", "no_subjects"))


def test_the_page_shows_published_figures_and_clips_that_a_method_lacks(tmp_path: Path) -> None:
    arguments = fabricate(tmp_path)
    means = pd.read_csv(tmp_path / "metrics.csv", dtype={"subject": str})
    few = {"method": "EMOCA", "occlusion": "mouth", "metric": "lve", "unit": "mm"}
    rows = [few | {"mean": 0.5, "n": 4, "missing": 2}, few | {"occlusion": "none", "n": 0, "missing": 6}]
    means = pd.concat([means.assign(missing=0), pd.DataFrame(rows)], ignore_index=True)
    means.assign(protocol="published-12ab", seen_in_training="no").to_csv(tmp_path / "metrics.csv", index=False)
    failures = pd.read_csv(tmp_path / "failures.csv", dtype=str, keep_default_na=False)
    lacking = [
        ("mouth", "001", clip, "EMOCA", "external_length", f"{clip} has 19 frames, the clip has 20") for clip in CLIPS
    ]
    lacking.append(("", "", "(folder)", "EMOCA", "external_unmatched", "1 of 5 files belong to no clip"))
    table = pd.concat([failures, pd.DataFrame(lacking, columns=failures.columns)])
    table.to_csv(tmp_path / "failures.csv", index=False)
    figures = [
        ("ours", "audio_driven", "all", "mvpe", "mm", 1.23456, 6, 0, "ddim, 100 steps", "published-12ab"),
        ("ours", "audio_driven", "all", "lmk2d_vis_reproj_error", "crop/2", 0.05, 6, 2, "ddim, 100 steps", "x"),
        ("EMOCA", "audio_driven", "all", "mvpe", "mm", 0.98765, 4, 0, "ddim, 100 steps", "x"),
        ("EMOCA", "audio_driven", "all", "lmk2d_vis_reproj_error", "crop/2", np.nan, 0, 0, "ddim, 100 steps", "x"),
    ]
    pd.DataFrame(figures, columns=list(PUBLISHED_COLUMNS)).to_csv(tmp_path / "published.csv", index=False)
    arguments["evaluation"] = replace(arguments["evaluation"], published=tmp_path / "published.csv")
    make_report(**arguments)
    page = arguments["report_html"].read_text(encoding="utf-8")
    for words in (
        "Protocol: published (list of clips, occlusions and windows of the published evaluation).",
        "Published figures, audio driven (published: all): 6 clips",
        "<td>mvpe, mm</td><td>1.235</td><td>0.9877 (4 clips)</td>",
        "<td>lmk2d_vis_reproj_error, crop/2</td><td>0.05 (2 of 6 as 0)</td><td></td>",
        "Sampling: ddim, 100 steps.",
        "EMOCA lacks clips (mouth 2 of 6, none 6 of 6).",
        "0.50 (4 of 6 clips)",
        "(0 of 6 clips)",
        "external_length: the result has another number of frames",
        "happy/level_1/001 has 19 frames, the clip has 20",
        "1 of 5 files belong to no clip",
    ):
        assert words in page, words
    assert "mouth occluded: EMOCA (4 of 6 clips)" in page
    # The smallest mean is over other clips, so it is not marked.
    assert '<td class="best">0.50' not in page
    assert "NA/sad/level_1/003" in page


def test_results_have_intervals_differences_and_groups(made: tuple[dict[str, Any], str]) -> None:
    means = pd.read_csv(made[0]["evaluation"].metrics)
    row = means[(means["method"] == "ours") & (means["occlusion"] == "mouth") & (means["metric"] == "lve")].iloc[0]
    assert f"<small>[{row['low']:.2f}, {row['high']:.2f}]</small>" in made[1]
    paired = pd.read_csv(made[0]["evaluation"].paired)
    chosen = (paired["metric"] == "lve") & (paired["occlusion"] == "mouth") & (paired["against"] == "neutral")
    row = paired[chosen & (paired["method"] == "ours")].iloc[0]
    assert f"<td>{row['difference']:.2f} [{row['low']:.2f}, {row['high']:.2f}]</td>" in made[1]
    for words in (
        "95 % intervals by a bootstrap over 3 subjects",
        "by emotion: mouth occluded",
        "by level: mouth occluded",
        "by subject: mouth occluded",
        "happy (3 clips)",
        "Mean vertex error by region",
    ):
        assert (words in made[1]) == (words != "Mean vertex error by region"), words
    # The differences are a plot, too: a dot and an interval for each method and occlusion.
    assert "ours minus the other method, mm" in made[1]
    # The interval of each bar is a line of the plot, those of the two histograms of the fit are bands.
    assert made[1].count("#b3261e") == len(METHODS) * 3 + 2


def test_the_page_compares_the_run_with_others(tmp_path: Path) -> None:
    arguments = fabricate(tmp_path / "runs" / "main" / "evaluation")
    fabricate(tmp_path / "runs" / "seed2" / "evaluation")
    folders = [tmp_path / "runs" / name / "evaluation" for name in ("main", "seed2")]
    for folder in folders:
        (folder / "by_clip.csv").rename(folder / "metrics_by_clip.csv")
        table = pd.read_csv(folder / "metrics.csv").assign(protocol="default-1", identity="all")
        table.to_csv(folder / "metrics.csv", index=False)
    by_clip = pd.read_csv(folders[1] / "metrics_by_clip.csv", dtype={"subject": str}, keep_default_na=False)
    by_clip.assign(value=by_clip["value"] + 0.25).to_csv(folders[1] / "metrics_by_clip.csv", index=False)
    arguments["evaluation"] = replace(
        arguments["evaluation"], metrics_by_clip=folders[0] / "metrics_by_clip.csv", compared=[folders[1].parent]
    )
    make_report(**arguments)
    page = arguments["report_html"].read_text(encoding="utf-8")
    assert "Comparison with other runs" in page
    assert "main and seed2: lip vertices (LVE), mm" in page
    # All clips of the other run are 0.25 mm worse.
    assert "<td>-0.25 [-0.25, -0.25]</td><td>100 %</td>" in page
    table = pd.read_csv(folders[1] / "metrics.csv").assign(protocol="default-2")
    table.to_csv(folders[1] / "metrics.csv", index=False)
    make_report(**arguments)
    page = arguments["report_html"].read_text(encoding="utf-8")
    assert "different test protocols (default-1 and default-2)" in page
    assert "main and seed2" not in page


def test_shared_subjects_and_sentences_of_splits_are_counted(tmp_path: Path) -> None:
    arguments = fabricate(tmp_path)
    make_report(**arguments)
    # All subjects of the fabricated data set speak the same two sentences.
    assert "The splits train and test share 2 sentences." in arguments["report_html"].read_text(encoding="utf-8")
    columns = ["subject", "sentence_id", "split", "status"]
    rows = [("A", "1", "train", "ok"), ("B", "2", "test", "ok"), ("A", "1", "test", "failed"), ("A", "1", "", "ok")]
    table = pd.DataFrame(rows, columns=columns)
    assert splits_note(table) == "The splits train, test share neither subjects nor sentences."
    table.loc[2, "status"] = "ok"
    assert splits_note(table) == "The splits train and test share 1 subject and 1 sentence."


def test_secrets_of_the_configuration_are_not_shown(tmp_path: Path) -> None:
    arguments = fabricate(tmp_path)
    secrets = {name: f"hidden-{name}" for name in ("token_variable", "user_variable", "password_variable")}
    arguments["config"]["download"] = secrets | {"token_command": ["print", "hidden-word"], "jobs": 3}
    make_report(**arguments)
    page = arguments["report_html"].read_text(encoding="utf-8")
    assert "token_command: (not shown)" in page
    assert "jobs: 3" in page
    assert "hidden-" not in page


def test_a_video_that_cannot_be_drawn_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = fabricate(tmp_path)
    original = sources.result_clip
    drawn = []

    def result_clip(*args: Any) -> ResultClip:
        drawn.append(args)
        if len(drawn) == 1:
            raise IndexError("no frame <0>")
        return original(*args)

    monkeypatch.setattr(sources, "result_clip", result_clip)
    make_report(**arguments)
    page = arguments["report_html"].read_text(encoding="utf-8")
    assert page.count("<video") == 1
    assert "(the video cannot be drawn: IndexError: no frame &lt;0&gt;)" in page
    assert "Traceback" in caplog.text
    monkeypatch.setattr(sources, "result_clip", lambda *args: (_ for _ in ()).throw(AssetError("a damaged store")))
    with pytest.raises(AssetError, match="a damaged store"):
        make_report(**arguments)


def test_videos_have_audio_and_all_frames(made: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    videos = re.findall(r"data:video/mp4;base64,([^\"]+)", made[1])
    assert len(videos) == 2
    (tmp_path / "v.mp4").write_bytes(base64.b64decode(videos[0]))
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert len(container.streams.audio) == 1
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_equal_inputs_give_equal_pages(made: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    """All but the packets of the audio, whose end the encoder's threads decide."""
    make_report(**(made[0] | {"report_html": tmp_path / "again.html"}))
    video = re.compile(r"data:(video|audio)/mp4;base64,[^\"]+")
    assert video.sub("", (tmp_path / "again.html").read_text(encoding="utf-8")) == video.sub("", made[1])


def test_missing_inputs_are_named_and_leave_no_page(made: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    target, evaluation = {"report_html": tmp_path / "report.html"}, made[0]["evaluation"]
    with pytest.raises(ConfigError, match=r"there is no file .*nothing\.csv"):
        make_report(**(made[0] | target | {"evaluation": replace(evaluation, metrics=tmp_path / "nothing.csv")}))
    (tmp_path / "narrow.csv").write_text("subject,clip\nM101,x\n")
    with pytest.raises(ConfigError, match=r"narrow\.csv has no column emotion"):
        make_report(**(made[0] | target | {"manifest": tmp_path / "narrow.csv"}))
    motions = [tmp_path / path.name for path in evaluation.motions]
    for path in motions:
        h5py.File(path, "w").close()
    with pytest.raises(AssetError, match="mouth/ours/"):
        make_report(**(made[0] | target | {"evaluation": replace(evaluation, motions=motions)}))
    assert not (tmp_path / "report.html").exists()


def test_an_occlusion_that_was_not_scored_gives_a_page_without_videos(
    made: tuple[dict[str, Any], str], tmp_path: Path
) -> None:
    settings = ReportSettings(panel_px=64, video_occlusion="upper", headline_occlusion="upper", contact_pictures=0)
    make_report(**(made[0] | {"report_html": tmp_path / "plain.html", "settings": settings}))
    text = (tmp_path / "plain.html").read_text(encoding="utf-8")
    assert "data:video" not in text
    assert "data:image" not in text
