"""Results of other systems, and the published protocol, from motions to tables."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from small_data import Files, write_small_data
from small_head import N_EXP

from occlufacediff.cli import main
from occlufacediff.config.evaluation import ClipFilter, EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.external import ExternalResult
from occlufacediff.evaluation.external_scores import external_prediction, posed
from occlufacediff.evaluation.predictions import read_occlusion
from occlufacediff.evaluation.published_figures import FIGURES
from occlufacediff.evaluation.scores import Reference, surface
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.models.checkpoint import save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.stages.evaluation_tables import Tables, write_tables
from occlufacediff.stages.sample_motions import Checkpoints, sample_subject
from occlufacediff.stages.score_motions import score_subject

SUBJECT = "C1"
CLIPS = ("happy/level_1/000", "happy/level_1/001")
FRAMES = (70, 50)
SETTINGS = EvaluationSettings(occlusions=("none", "mouth"), methods=("ours", "neutral"), steps=2, refine=False)


@dataclass(frozen=True)
class Setup:
    """A small data set with networks of random weights."""

    files: Files
    networks: Checkpoints

    @property
    def asset(self) -> HeadAsset:
        return HeadAsset.load(self.files.head)

    def clip(self, number: int):
        """A clip of the test split with its landmarks."""
        files = self.files
        store = ClipStore(files.manifest, "test", head=self.asset, coefficients=files.coefficients, clips=files.clips)
        return store[number]


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    folder = tmp_path_factory.mktemp("others")
    files = write_small_data(folder)
    manifest = pd.read_csv(files.manifest, dtype=str, keep_default_na=False)
    manifest["frames"] = [{CLIPS[0]: "70", CLIPS[1]: "50"}.get(clip, "") for clip in manifest["clip"]]
    manifest.to_csv(files.manifest, index=False)
    torch.manual_seed(0)
    head = HeadAsset.load(files.head)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    networks = Checkpoints(folder / "motion_prior", folder / "denoiser")
    denoiser = Denoiser(DenoiserConfig.compact(prior.config.latent_dim))
    about = {"head_name": head.name, "head_digest": head.digest, "expression_names": head.expression_names}
    save_checkpoint(networks.motion_prior, prior, **about)
    save_checkpoint(networks.denoiser, denoiser, **about)
    return Setup(files, networks)


def evaluated(setup: Setup, out: Path, settings: EvaluationSettings = SETTINGS) -> dict[str, pd.DataFrame | str]:
    """Sample, score and write the tables of the test subject; the tables by name."""
    files = setup.files
    place = [path.stem for path in files.clips].index(SUBJECT)
    clips, audio, coefficients = files.clips[place], files.audio[place], files.coefficients[place]
    motions, failed = (out / "evaluation" / "motions" / f"{SUBJECT}.{ending}" for ending in ("h5", "csv"))
    sample_subject(
        SUBJECT,
        files.manifest,
        clips,
        audio,
        coefficients,
        files.head,
        setup.networks,
        motions,
        failed,
        settings=settings.of_sampling(),
        reconstruction=ReconstructionSettings(),
        seed=4,
        occlusion_seed=4,
        device="cpu",
    )
    scores = [out / "evaluation" / folder / f"{SUBJECT}.csv" for folder in ("scores", "failures")]
    external = {name: Path(folder) for name, folder in settings.external.items()}
    score_subject(
        SUBJECT, motions, failed, clips, audio, coefficients, files.head, files.manifest, *scores, external=external
    )
    endings = {"markdown": "md", "latex": "tex"}
    paths = {item.name: out / f"{item.name}.{endings.get(item.name, 'csv')}" for item in fields(Tables)}
    if settings.protocol != "published":
        paths["published"] = None
    write_tables(
        files.manifest,
        [scores[0]],
        [scores[1]],
        files.head,
        [setup.networks.motion_prior, setup.networks.denoiser],
        {},
        Tables(**paths),
        dataset="small",
        settings=settings,
        occlusion_seed=4,
    )
    return {
        name: path.read_text() if name in endings else pd.read_csv(path, keep_default_na=False, na_values=[""])
        for name, path in paths.items()
        if path is not None
    }


@pytest.fixture(scope="module")
def own(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an evaluated run."""
    out = tmp_path_factory.mktemp("own") / "run"
    evaluated(setup, out)
    return out


def with_external(**folders: Path) -> EvaluationSettings:
    return replace(SETTINGS, external={name: str(folder) for name, folder in folders.items()})


def write(folder: Path, clip: str, **entries: object) -> None:
    path = folder / SUBJECT / f"{clip}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **entries)


def values_of(table: pd.DataFrame, method: str) -> pd.Series:
    """Values of a method by occlusion, clip and metric."""
    rows = table[table["method"] == method]
    return rows.set_index(["occlusion", "clip", "metric"])["value"].sort_index()


@pytest.mark.parametrize("through", ["export", "motions"])
def test_our_own_motions_as_external_results_give_our_numbers(
    through: str, setup: Setup, own: Path, tmp_path: Path
) -> None:
    folder = own / "evaluation" / "motions"
    if through == "export":
        folder = tmp_path / "exported"
        done = CliRunner().invoke(main, ["export-motions", str(own), "--to", str(folder)])
        assert done.exit_code == 0, done.output
        assert "4 motions of ours (mouth 2, none 2)" in done.output
        assert (folder / "mouth" / SUBJECT / f"{CLIPS[0]}.npz").is_file()
    tables = evaluated(setup, tmp_path / "run", with_external(copy=folder))
    pd.testing.assert_series_equal(values_of(tables["by_clip"], "copy"), values_of(tables["by_clip"], "ours"))
    assert tables["failures"].empty
    assert set(tables["metrics"].loc[tables["metrics"]["method"] == "copy", "missing"]) == {0}
    paired = tables["paired"]
    same = paired[(paired["method"] == "ours") & (paired["against"] == "copy")]
    assert len(same) > 10
    assert (same["difference"] == 0).all()


def test_export_names_what_it_does_not_find(own: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    missing = runner.invoke(main, ["export-motions", str(own), "--to", str(tmp_path), "--method", "EMOCA"])
    assert missing.exit_code == 2
    assert "has no motion of 'EMOCA'; it has neutral, ours" in missing.output
    empty = runner.invoke(main, ["export-motions", str(tmp_path / "none"), "--to", str(tmp_path)])
    assert empty.exit_code == 2
    assert "has no motions; give the folder of an evaluated run" in empty.output


def test_true_coefficients_vertices_and_offsets_have_no_error(setup: Setup, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("coefficients", "vertices", "offsets")}
    for number, name in enumerate(CLIPS):
        clip = setup.clip(number)
        still = vertices_numpy(setup.asset, clip.shape, clip.exp, np.zeros_like(clip.global_pose), clip.jaw)
        neutral = vertices_numpy(
            setup.asset, clip.shape, 0 * clip.exp, np.zeros_like(clip.global_pose), np.zeros_like(clip.jaw)
        )
        write(folders["coefficients"], name, exp=clip.exp, jaw=clip.jaw)
        write(folders["vertices"], name, vertices=still)
        write(folders["offsets"], name, offsets=still - neutral)
    tables = evaluated(setup, tmp_path / "run", with_external(**folders))
    means = tables["metrics"].set_index(["method", "occlusion", "metric"])["mean"]
    for name in folders:
        for kind in SETTINGS.occlusions:
            assert means[name, kind, "lve"] < 1e-3
            assert means[name, kind, "mvve"] < 0.05
            assert means[name, kind, "jitter"] == pytest.approx(means["truth", kind, "jitter"], rel=1e-3)
    # Vertices without coefficients have no metrics of coefficients.
    assert means["coefficients", "none", "expression_error"] == 0
    assert ("vertices", "none", "expression_error") not in means.index
    assert means["neutral", "none", "lve"] > 1


def test_vertices_turn_with_the_head(setup: Setup) -> None:
    clip = setup.clip(0)
    turned = replace(clip, global_pose=np.tile(np.float32([0.1, 0.6, -0.2]), (len(clip), 1)))
    still = vertices_numpy(setup.asset, clip.shape, clip.exp, np.zeros_like(clip.global_pose), clip.jaw)
    expected = surface(setup.asset, turned, turned.motion).vertices
    np.testing.assert_allclose(posed(setup.asset, turned, still), expected, atol=1e-6)
    reference = Reference.of(setup.asset, turned)
    everything = np.ones((len(clip), 468), np.float32)
    found = external_prediction(reference, ExternalResult(vertices=still), everything, np.zeros(len(clip), bool))
    assert found.motion is None
    np.testing.assert_allclose(found.surface.landmarks_2d, reference.truth.landmarks_2d, atol=1e-4)


def test_bad_results_are_counted_named_and_never_averaged(setup: Setup, own: Path, tmp_path: Path) -> None:
    clip = setup.clip(0)
    good = {"exp": clip.exp, "jaw": clip.jaw}
    partial, broken, empty, misnamed = (tmp_path / name for name in ("partial", "broken", "empty", "misnamed"))
    empty.mkdir()
    write(partial, CLIPS[0], **good)
    write(broken, CLIPS[0], exp=np.where(np.arange(70)[:, None] == 3, np.nan, clip.exp), jaw=clip.jaw)
    write(broken, CLIPS[1], **good)
    write(misnamed, "happy/level_1/zero", **good)
    settings = with_external(partial=partial, broken=broken, empty=empty, misnamed=misnamed)
    tables = evaluated(setup, tmp_path / "run", settings)
    failures = tables["failures"].fillna("")
    reasons = {(row["method"], row["occlusion"], row["clip"]): row["reason"] for row in failures.to_dict("records")}
    expected = {("misnamed", "", "(folder)"): "external_unmatched"}
    for kind in SETTINGS.occlusions:
        expected[("partial", kind, CLIPS[1])] = "external_missing"
        expected[("broken", kind, CLIPS[0])] = "external_not_finite"
        expected[("broken", kind, CLIPS[1])] = "external_length"
        for name in ("empty", "misnamed"):
            for clip_name in CLIPS:
                expected[(name, kind, clip_name)] = "external_missing"
    assert reasons == expected
    assert "1 of 1 files belong to no clip of the evaluation (C1/happy/level_1/zero)" in "".join(failures["message"])
    means = tables["metrics"].set_index(["method", "occlusion", "metric"])
    # The mean of the one clip that there is, and its number.
    row = means.loc[("partial", "mouth", "lve")]
    assert (row["n"], row["missing"]) == (1, 1)
    assert row["mean"] < 1e-3
    for name in ("broken", "empty", "misnamed"):
        row = means.loc[(name, "mouth", "lve")]
        assert (row["n"], row["missing"]) == (0, 2)
        assert np.isnan(row["mean"])
    # Our methods are not touched by results of others.
    before = pd.read_csv(own / "by_clip.csv")
    pd.testing.assert_series_equal(values_of(tables["by_clip"], "ours"), values_of(before, "ours"))
    assert means.loc[("ours", "mouth", "lve"), "n"] == 2
    paired = tables["paired"].set_index(["method", "against", "occlusion", "metric"])
    assert paired.loc[("ours", "partial", "mouth", "lve"), "n"] == 1
    text = tables["markdown"]
    assert "partial lacks clips (none 1 of 2, mouth 1 of 2)." in text
    assert "empty lacks clips (none 2 of 2, mouth 2 of 2)." in text
    first = text.split("\n\n")[1]
    partial_row, empty_row = (
        next(line for line in first.splitlines() if line.startswith(f"| {name} ")) for name in ("partial", "empty")
    )
    assert partial_row.count("(1 of 2 clips)") == 2
    assert empty_row == "| empty | (0 of 2 clips) | (0 of 2 clips) |"
    # A mean over other clips is not marked as the best.
    assert "**" not in partial_row
    assert "(1 of 2 clips)" in tables["latex"]


def test_results_by_occlusion_are_used_for_their_occlusion_only(setup: Setup, tmp_path: Path) -> None:
    for number, name in enumerate(CLIPS):
        clip = setup.clip(number)
        write(tmp_path / "system" / "mouth", name, exp=clip.exp, jaw=clip.jaw)
    tables = evaluated(setup, tmp_path / "run", with_external(system=tmp_path / "system"))
    means = tables["metrics"].set_index(["method", "occlusion", "metric"])
    assert means.loc[("system", "mouth", "lve"), "n"] == 2
    assert means.loc[("system", "none", "lve"), ["n", "missing"]].tolist() == [0, 2]


def test_scores_are_made_again_when_a_result_changes(setup: Setup, tmp_path: Path) -> None:
    clip = setup.clip(0)
    write(tmp_path / "system", CLIPS[0], exp=clip.exp, jaw=clip.jaw)
    settings = with_external(system=tmp_path / "system")
    first = evaluated(setup, tmp_path / "run", settings)["by_clip"]
    write(tmp_path / "system", CLIPS[0], exp=0 * clip.exp, jaw=0 * clip.jaw)
    second = evaluated(setup, tmp_path / "run", settings)["by_clip"]
    values = [values_of(table, "system")["none", CLIPS[0], "lve"] for table in (first, second)]
    assert values[0] < 1e-3
    assert values[1] == pytest.approx(values_of(second, "neutral")["none", CLIPS[0], "lve"])


PUBLISHED = EvaluationSettings(
    protocol="published", occlusions=("none", "mouth", "audio_driven", "missing"), methods=("ours", "neutral"), steps=2
)


@pytest.fixture(scope="module")
def published(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame | str]]:
    out = tmp_path_factory.mktemp("published")
    return out, evaluated(setup, out, PUBLISHED)


def test_the_published_protocol_has_its_occlusions_and_windows(
    published: tuple[Path, dict[str, pd.DataFrame | str]], own: Path
) -> None:
    motions = published[0] / "evaluation" / "motions" / f"{SUBJECT}.h5"
    occlusion, visible = read_occlusion(motions, "mouth", f"{SUBJECT}/{CLIPS[0]}")
    assert (occlusion.boxes == occlusion.boxes[0]).all()
    assert 40 <= occlusion.frames.sum() <= 70
    everything, visible = read_occlusion(motions, "audio_driven", f"{SUBJECT}/{CLIPS[0]}")
    assert everything.frames.all()
    assert not visible.any()
    # Other windows and other noise than in our protocol.
    with h5py.File(motions) as file, h5py.File(own / "evaluation" / "motions" / f"{SUBJECT}.h5") as ours:
        place = f"none/ours/{SUBJECT}/{CLIPS[0]}/jaw"
        assert np.abs(file[place][()] - ours[place][()]).max() > 1e-3


def test_the_published_table_has_the_published_means(
    published: tuple[Path, dict[str, pd.DataFrame | str]],
) -> None:
    tables = published[1]
    table, by_clip = tables["published"], tables["by_clip"]
    assert len(table) == 2 * 4 * 14
    assert set(table["protocol"].str.partition("-")[0]) == {"published"}
    assert set(table["sampling"]) == {"ddim, 2 steps, windows side by side, no guidance, no last fit"}
    assert dict(zip(table["occlusion"], table["exp_name"], strict=True)) == {
        "none": "non_occ",
        "mouth": "mouth",
        "audio_driven": "all",
        "missing": "missing_frames",
    }
    found = table.set_index(["method", "occlusion", "figure"])
    for figure in FIGURES:
        for kind in PUBLISHED.occlusions:
            rows = by_clip[(by_clip["occlusion"] == kind) & (by_clip["metric"] == figure.metric)]
            rows = rows[rows["method"] == ("truth" if figure.of_truth else "ours")]
            # Plain mean over both clips; a clip without a value is 0.
            assert found.loc[("ours", kind, figure.name), "mean"] == pytest.approx(rows["value"].sum() / 2, rel=1e-4)
    # Without occlusion no landmark is hidden; under audio_driven none is visible.
    assert found.loc[("ours", "none", "lmk2d_invis_reproj_error"), ["mean", "n", "n_zero"]].tolist() == [0, 2, 2]
    assert found.loc[("ours", "audio_driven", "lmk2d_vis_reproj_error"), ["mean", "n", "n_zero"]].tolist() == [0, 2, 2]
    assert found.loc[("ours", "mouth", "lmk2d_invis_reproj_error"), "mean"] > 0
    # All other tables leave such clips out.
    ours = tables["metrics"].set_index(["method", "occlusion", "metric"])
    assert ("ours", "none", "lmk_2d_error_hidden") not in ours.index


def test_a_further_checkpoint_of_another_head_is_refused_by_its_key(setup: Setup, tmp_path: Path) -> None:
    asset = setup.asset
    about = {"head_name": asset.name, "head_digest": "0" * 64, "expression_names": asset.expression_names}
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    save_checkpoint(tmp_path / "other" / "motion_prior", prior, **about)
    denoiser = Denoiser(DenoiserConfig.compact(prior.config.latent_dim))
    save_checkpoint(tmp_path / "other" / "denoiser", denoiser, **about)
    networks = replace(setup.networks, others={"second": tmp_path / "other"})
    message = r"evaluation\.checkpoints\.second: .*trained with the head model .*0000.*, but the head model in use is"
    with pytest.raises(AssetError, match=message):
        evaluated(replace(setup, networks=networks), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.h5"))


def test_every_table_says_its_protocol(
    published: tuple[Path, dict[str, pd.DataFrame | str]], setup: Setup, tmp_path: Path
) -> None:
    for name, table in published[1].items():
        if isinstance(table, str):
            assert "Protocol: published (list of clips" in table
        elif len(table):
            assert table["protocol"].str.startswith("published-").all(), name
            assert (table["identity"] == "all").all(), name
    assert "## Figures of the published evaluation" in published[1]["markdown"]
    assert "Sampling: ddim, 2 steps, windows side by side" in published[1]["markdown"]
    assert "**Published figures, audio driven (published: all): 2 clips**" in published[1]["markdown"]
    ours = evaluated(setup, tmp_path)
    assert "Protocol: default" in ours["markdown"]
    assert "Figures of the published evaluation" not in ours["markdown"]
    assert ours["metrics"]["protocol"].str.startswith("default-").all()


def test_the_list_of_the_published_protocol_is_narrowed_and_short_clips_are_named(setup: Setup, tmp_path: Path) -> None:
    files = setup.files
    manifest = pd.read_csv(files.manifest, dtype=str, keep_default_na=False)
    short = (manifest["subject"] == SUBJECT) & (manifest["clip"] == CLIPS[1])
    manifest.loc[short, "frames"] = "24"
    shutil.copytree(files.manifest.parent, tmp_path / "data", ignore=shutil.ignore_patterns("packed", "*_prior"))
    manifest.to_csv(tmp_path / "data" / files.manifest.name, index=False)
    changed = replace(setup, files=replace(files, manifest=tmp_path / "data" / files.manifest.name))
    tables = evaluated(changed, tmp_path / "run", replace(PUBLISHED, occlusions=("none",)))
    assert set(tables["by_clip"]["clip"]) == {CLIPS[0]}
    failure = tables["failures"].iloc[0]
    assert (failure["clip"], failure["reason"]) == (CLIPS[1], "too_short")
    assert "skips clips of fewer than 25" in failure["message"]
    only = replace(PUBLISHED, occlusions=("none",), only=ClipFilter(sentences=("s1",)))
    assert set(evaluated(setup, tmp_path / "only", only)["by_clip"]["clip"]) == {CLIPS[1]}
