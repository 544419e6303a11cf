"""The test protocol: clips that fail, and random draws that depend on names only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from reordering import reversed_in_all_modules
from small_data import Files, write_small_data
from small_head import N_EXP

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import OCCLUSION_KINDS
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError
from occlufacediff.evaluation import protocol as protocol_module
from occlufacediff.evaluation.protocol import Protocol, Round, make_case
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.storage import StorageError

BAD, GOOD = "C1/happy/level_1/001", "C1/happy/level_1/000"
SETTINGS = EvaluationSettings(occlusions=("none", "mouth"), steps=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"))


def protocol_of(files: Files, settings: EvaluationSettings = SETTINGS) -> Protocol:
    """The protocol on the test split, with networks of random weights."""
    torch.manual_seed(0)
    asset = HeadAsset.load(files.head)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3)).eval()
    denoiser = Denoiser(DenoiserConfig.compact(prior.config.latent_dim)).eval()
    store = ClipStore(
        files.manifest, "test", head=asset, coefficients=files.coefficients, clips=files.clips, audio=files.audio
    )
    return Protocol(store, asset, denoiser, prior, settings, ReconstructionSettings(), 4, torch.device("cpu"))


def rounds_of(files: Files) -> list[Round]:
    return list(protocol_of(files).rounds(SETTINGS.occlusions))


@pytest.fixture(scope="module")
def complete(files: Files) -> list[Round]:
    return rounds_of(files)


def raising(name: str, monkeypatch: pytest.MonkeyPatch, is_bad: Callable[..., bool], error: Exception) -> None:
    """Make a function of the protocol raise ``error`` for the clip that fails."""
    original = getattr(protocol_module, name)

    def work(*args: object, **options: object) -> object:
        if is_bad(*args):
            raise error
        return original(*args, **options)

    monkeypatch.setattr(protocol_module, name, work)


#: Where a clip may raise: the function, and how its arguments name the clip.
PLACES: dict[str, Callable[..., bool]] = {
    "make_case": lambda clip_id, *rest: clip_id == BAD,
    "sampled": lambda cases, *rest: BAD in [case.clip_id for case in cases],
    "refine_motion": lambda basis, motion, *rest: len(motion) == 50,
    "score": lambda asset, clip, *rest: len(clip) == 50,
    "surface": lambda asset, clip, *rest: len(clip) == 50,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_clip_that_raises_is_left_out_and_the_others_stay_as_they_are(
    place: str, files: Files, complete: list[Round], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raising(place, monkeypatch, PLACES[place], RuntimeError("injected\nfault"))
    found = rounds_of(files)
    assert "Traceback" in caplog.text
    for whole, part in zip(complete, found, strict=True):
        assert [(one.clip_id, one.reason, one.message) for one in part.failures] == [
            (BAD, "unexpected_error", "RuntimeError: injected fault")
        ]
        assert part.failures[0].occlusion == part.occlusion
        assert [case.clip_id for case in part.cases] == [GOOD]
        expected = [result for result in whole.results if result.clip_id == GOOD]
        assert [one.method for one in part.results] == [one.method for one in expected]
        for one, other in zip(part.results, expected, strict=True):
            assert one.clip_id == GOOD
            np.testing.assert_allclose(one.motion, other.motion, atol=1e-4)


@pytest.mark.parametrize("error", [AssetError("a damaged head"), StorageError("a full disk")])
@pytest.mark.parametrize("place", ["make_case", "sampled", "score"])
def test_errors_that_concern_all_clips_end_the_evaluation(
    place: str, error: Exception, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(place, monkeypatch, PLACES[place], error)
    with pytest.raises(type(error), match=str(error)):
        rounds_of(files)


def test_a_clip_with_unreadable_landmarks_is_left_out(files: Files, tmp_path: Path) -> None:
    broken = tmp_path / "C1.h5"
    broken.write_bytes(files.clips[-1].read_bytes())
    with h5py.File(broken, "r+") as store:
        del store["happy/level_1/001/landmarks"]
        store["happy/level_1/001/landmarks"] = np.zeros((50, 3), np.float32)
    found = rounds_of(replace(files, clips=[*files.clips[:-1], broken]))
    assert [[failure.clip_id for failure in one.failures] for one in found] == [[BAD], [BAD]]
    assert all(result.clip_id == GOOD for one in found for result in one.results)


def test_draws_do_not_depend_on_the_order_of_kinds(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = protocol_of(files).store[0]
    kinds = tuple(kind for kind in OCCLUSION_KINDS if kind != "picture")
    before = {kind: make_case(GOOD, clip, kind, SETTINGS, 1) for kind in kinds}
    reversed_in_all_modules(monkeypatch, "OCCLUSION_KINDS")
    for kind in kinds:
        np.testing.assert_array_equal(make_case(GOOD, clip, kind, SETTINGS, 1).visible, before[kind].visible)
    spans = {
        kind: tuple(np.flatnonzero(case.occlusion.frames)[[0, -1]])
        for kind, case in before.items()
        if case.occlusion.frames.any() and not case.occlusion.frames.all()
    }
    assert len(set(spans.values())) > len(spans) // 2


def test_several_samples_add_metrics_over_samples(files: Files) -> None:
    one, several = (
        next(protocol_of(files, replace(SETTINGS, samples=samples, refine=False)).rounds(["mouth"]))
        for samples in (1, 3)
    )
    extra = {"mee", "ce", "diversity", "coverage_50", "coverage_90"}
    for method in ("ours", "ours_without_audio"):
        single, many = (
            next(one.metrics for one in found.results if (one.method, one.clip_id) == (method, GOOD))
            for found in (one, several)
        )
        # The small head has no region of the upper face.
        assert set(many.values) - set(single.values) == extra
        assert many.values["mee"] == many.values["lve_frame"]
        assert many.values["diversity"] > 0
        assert many.weight("ce") == 70
        assert 0 <= many.values["coverage_50"] <= many.values["coverage_90"] <= 1
    assert not extra & set(next(one.metrics.values for one in several.results if one.method == "neutral"))


def test_the_truth_has_metrics_of_its_own(complete: list[Round]) -> None:
    for found in complete:
        assert set(found.truths) == {BAD, GOOD}
        truth = found.truths[GOOD].values
        assert truth["jitter"] > 0
        assert truth["lip_intensity"] > 0
        # The detected landmarks are those of the truth's mesh.
        assert truth["mouth_closure"] == pytest.approx(0, abs=1e-6)
        still = next(one.metrics.values for one in found.results if (one.method, one.clip_id) == ("neutral", GOOD))
        assert still["lip_intensity"] == 0
        assert still["lip_dtw"] > 0
        # A mouth that never moves has no extrema to match.
        assert "mtm" not in still


def test_clips_without_occluded_landmarks_have_no_error_there(complete: list[Round]) -> None:
    none, mouth = complete
    for result in none.results:
        assert "lmk_2d_error_hidden" not in result.metrics.values
        assert result.metrics.values["lmk_2d_error_visible"] == result.metrics.values["lmk_2d_error"]
    for result in mouth.results:
        values = result.metrics.values
        assert values["lmk_2d_error_hidden"] == values["lmk_2d_error_hidden_pooled"]
        points = result.metrics.weight("lmk_2d_error_hidden_pooled")
        case = next(case for case in mouth.cases if case.clip_id == result.clip_id)
        assert points == (case.visible == 0).sum()


def test_occlusions_can_have_a_seed_of_their_own(files: Files) -> None:
    def visible(**seeds: int | None) -> np.ndarray:
        found = next(replace(protocol_of(files), **seeds).rounds(["mouth"]))
        return np.concatenate([case.visible for case in found.cases])

    np.testing.assert_array_equal(visible(seed=4), visible(seed=9, occlusion_seed=4))
    assert (visible(seed=4) != visible(seed=9)).any()
