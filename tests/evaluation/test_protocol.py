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
from occlufacediff.config.occlusion import KINDS_WITH_IMAGES, OCCLUSION_KINDS
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError
from occlufacediff.evaluation import methods as methods_module
from occlufacediff.evaluation import protocol as protocol_module
from occlufacediff.evaluation.cases import make_case
from occlufacediff.evaluation.methods import Method, Network, methods_of
from occlufacediff.evaluation.protocol import Reconstruction, batches, reconstruct
from occlufacediff.evaluation.scores import Prediction, Reference, Scores, score, score_truth
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.storage import StorageError

BAD, GOOD = "C1/happy/level_1/001", "C1/happy/level_1/000"
SETTINGS = EvaluationSettings(occlusions=("none", "mouth"), steps=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"))


def store_of(files: Files) -> ClipStore:
    """The clips of the test split."""
    asset = HeadAsset.load(files.head)
    return ClipStore(
        files.manifest, "test", head=asset, coefficients=files.coefficients, clips=files.clips, audio=files.audio
    )


def methods_for(files: Files, settings: EvaluationSettings = SETTINGS, seed: int = 4) -> dict[str, Method]:
    """The methods, with networks of random weights."""
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3)).eval()
    network = Network(Denoiser(DenoiserConfig.compact(prior.config.latent_dim)).eval(), prior)
    basis = LandmarkBasis.of(HeadAsset.load(files.head))
    return methods_of(settings, network, basis, ReconstructionSettings(), seed=seed, device=torch.device("cpu"))


def reconstructed(
    files: Files, settings: EvaluationSettings = SETTINGS, numbers: tuple[int, ...] = (0, 1), occlusion_seed: int = 4
) -> Reconstruction:
    return reconstruct(store_of(files), numbers, methods_for(files, settings), settings, occlusion_seed)


def scores_of(files: Files, found: Reconstruction) -> dict[tuple[str, str, str], Scores]:
    """Scores by occlusion kind, method and clip id."""
    asset, store = HeadAsset.load(files.head), store_of(files)
    clips = {store.clip_id(number): store[number] for number in range(len(store))}
    result = {}
    for (kind, method, clip_id), made in found.made.items():
        case = found.cases[kind, clip_id]
        samples = () if made.samples is None else list(made.samples)
        reference = Reference.of(asset, clips[clip_id])
        prediction = Prediction.of(reference, made.motion, case.visible, case.occlusion.frames, samples)
        result[kind, method, clip_id] = score(prediction)
    return result


@pytest.fixture(scope="module")
def complete(files: Files) -> Reconstruction:
    return reconstructed(files)


@pytest.fixture(scope="module")
def scored(files: Files, complete: Reconstruction) -> dict[tuple[str, str, str], Scores]:
    return scores_of(files, complete)


def raising(place: str, monkeypatch: pytest.MonkeyPatch, is_bad: Callable[..., bool], error: Exception) -> None:
    """Make a function of the protocol or of the methods raise ``error`` for the clip that fails."""
    module = methods_module if hasattr(methods_module, place) else protocol_module
    original = getattr(module, place)

    def work(*args: object, **options: object) -> object:
        if is_bad(*args):
            raise error
        return original(*args, **options)

    monkeypatch.setattr(module, place, work)


#: Where a clip may raise: the function, and how its arguments name the clip.
PLACES: dict[str, Callable[..., bool]] = {
    "make_case": lambda clip_id, *rest: clip_id == BAD,
    "sampled": lambda cases, *rest: BAD in [case.clip_id for case in cases],
    "refine_motion": lambda basis, motion, *rest: len(motion) == 50,
    "interpolate": lambda motion, *rest: len(motion) == 50,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_clip_that_raises_is_left_out_and_the_others_stay_as_they_are(
    place: str,
    files: Files,
    complete: Reconstruction,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    raising(place, monkeypatch, PLACES[place], RuntimeError("injected\nfault"))
    found = reconstructed(files)
    assert "Traceback" in caplog.text
    assert [(one.occlusion, one.clip_id, one.reason, one.message) for one in found.failures] == [
        (kind, BAD, "unexpected_error", "RuntimeError: injected fault") for kind in SETTINGS.occlusions
    ]
    assert set(found.cases) == {(kind, GOOD) for kind in SETTINGS.occlusions}
    assert list(found.made) == [place for place in complete.made if place[2] == GOOD]
    for place_of, made in found.made.items():
        np.testing.assert_allclose(made.motion, complete.made[place_of].motion, atol=1e-4)


@pytest.mark.parametrize("error", [AssetError("a damaged head"), StorageError("a full disk")])
@pytest.mark.parametrize("place", ["make_case", "sampled", "refine_motion"])
def test_errors_that_concern_all_clips_end_the_evaluation(
    place: str, error: Exception, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(place, monkeypatch, PLACES[place], error)
    with pytest.raises(type(error), match=str(error)):
        reconstructed(files)


def test_a_clip_with_unreadable_landmarks_is_left_out(files: Files, tmp_path: Path) -> None:
    broken = tmp_path / "C1.h5"
    broken.write_bytes(files.clips[-1].read_bytes())
    with h5py.File(broken, "r+") as store:
        del store["happy/level_1/001/landmarks"]
        store["happy/level_1/001/landmarks"] = np.zeros((50, 3), np.float32)
    found = reconstructed(replace(files, clips=[*files.clips[:-1], broken]))
    assert [(failure.occlusion, failure.clip_id) for failure in found.failures] == [("none", BAD), ("mouth", BAD)]
    assert {clip_id for _, clip_id in found.cases} == {GOOD}
    assert {clip_id for _, _, clip_id in found.made} == {GOOD}


def test_draws_do_not_depend_on_the_order_of_kinds(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = store_of(files)[0]
    kinds = tuple(kind for kind in OCCLUSION_KINDS if kind not in KINDS_WITH_IMAGES)
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
    settings = replace(SETTINGS, occlusions=("mouth",), refine=False)
    one, several = (
        scores_of(files, reconstructed(files, replace(settings, samples=samples), (0,))) for samples in (1, 3)
    )
    extra = {"mee", "ce", "diversity", "coverage_50", "coverage_90"}
    for method in ("ours", "ours_without_audio"):
        single, many = (found["mouth", method, GOOD] for found in (one, several))
        # The small head has no region of the upper face.
        assert set(many.values) - set(single.values) == extra
        assert many.values["mee"] == many.values["lve_frame"]
        assert many.values["diversity"] > 0
        assert many.weight("ce") == 70
        assert 0 <= many.values["coverage_50"] <= many.values["coverage_90"] <= 1
    assert not extra & set(several["mouth", "neutral", GOOD].values)


def test_the_truth_has_metrics_of_its_own(files: Files, scored: dict[tuple[str, str, str], Scores]) -> None:
    asset, clip = HeadAsset.load(files.head), store_of(files)[0]
    loud = np.full(1600, 0.5, np.float32)
    truth = score_truth(Reference.of(asset, clip, loud)).values
    assert truth["jitter"] > 0
    assert truth["lip_intensity"] > 0
    assert truth["speech_intensity"] == 0.5
    assert "speech_intensity" not in score_truth(Reference.of(asset, clip)).values
    # The detected landmarks are those of the truth's mesh.
    assert truth["mouth_closure"] == pytest.approx(0, abs=1e-6)
    for kind in SETTINGS.occlusions:
        still = scored[kind, "neutral", GOOD].values
        assert still["lip_intensity"] == 0
        assert still["lip_dtw"] > 0
        # A mouth that never moves has no extrema to match.
        assert "mtm" not in still


def test_further_metrics_are_functions_in_a_list(files: Files, complete: Reconstruction) -> None:
    reference = Reference.of(HeadAsset.load(files.head), store_of(files)[0])
    case = complete.cases["mouth", GOOD]
    prediction = Prediction.of(reference, case.clip.motion, case.visible, case.occlusion.frames)
    found = score(prediction, [lambda one: {"frames": (float(len(one.motion)), 3.0), "absent": (None, None)}])
    assert found == Scores({"frames": 70.0}, {"frames": 3.0})


def test_clips_without_occluded_landmarks_have_no_error_there(
    complete: Reconstruction, scored: dict[tuple[str, str, str], Scores]
) -> None:
    for (kind, _, clip_id), found in scored.items():
        values = found.values
        if kind == "none":
            assert "lmk_2d_error_hidden" not in values
            assert values["lmk_2d_error_visible"] == values["lmk_2d_error"]
        else:
            assert values["lmk_2d_error_hidden"] == values["lmk_2d_error_hidden_pooled"]
            hidden = (complete.cases[kind, clip_id].visible == 0).sum()
            assert found.weight("lmk_2d_error_hidden_pooled") == hidden


def test_occlusions_have_a_seed_of_their_own(files: Files) -> None:
    def made(seed: int, occlusion_seed: int) -> Reconstruction:
        settings = replace(SETTINGS, occlusions=("mouth",))
        return reconstruct(store_of(files), (0,), methods_for(files, settings, seed), settings, occlusion_seed)

    one, other_noise, other_occlusion = made(4, 4), made(9, 4), made(4, 9)
    place = ("mouth", GOOD)
    np.testing.assert_array_equal(one.cases[place].visible, other_noise.cases[place].visible)
    assert (one.cases[place].visible != other_occlusion.cases[place].visible).any()
    ours = ("mouth", "ours", GOOD)
    assert (one.made[ours].motion != other_noise.made[ours].motion).any()


def test_motions_do_not_depend_on_the_clips_of_a_batch(files: Files, complete: Reconstruction) -> None:
    alone = [reconstructed(files, numbers=(number,)) for number in (0, 1)]
    joined = alone[0].made | alone[1].made
    assert set(joined) == set(complete.made)
    for place, made in complete.made.items():
        np.testing.assert_allclose(joined[place].motion, made.motion, atol=2e-5)


def test_batches_are_as_large_as_the_network_calls(files: Files) -> None:
    store = store_of(files)
    # Clips of 70 and 50 frames have 2 and 1 windows, each under two occlusions.
    for size, expected in ((1, [[0], [1]]), (4, [[0], [1]]), (5, [[0, 1]]), (64, [[0, 1]])):
        assert batches(store, replace(SETTINGS, batch_size=size)) == expected
