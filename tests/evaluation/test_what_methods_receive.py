"""What methods receive of a clip, several checkpoints, and methods without the last fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_data import Files, write_small_data
from small_head import N_EXP, N_SHAPE

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.baselines import bridge, interpolate
from occlufacediff.evaluation.cases import Case, from_visible, make_case
from occlufacediff.evaluation.methods import AS_PUBLISHED, Network, methods_of
from occlufacediff.evaluation.scores import Prediction, Reference, score
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.normalise import crop_boxes, from_crop
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.sample import SampleInput, sample_clips
from occlufacediff.speech.phones import Phones

CLIP = "C1/happy/level_1/000"
#: A short occlusion, so that most frames are visible.
SETTINGS = EvaluationSettings(steps=2, occlusion=OcclusionSettings(min_frames=20, min_fraction=0.2))
FIT = ReconstructionSettings()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def basis(files: Files) -> LandmarkBasis:
    return LandmarkBasis.of(HeadAsset.load(files.head))


def case_of(files: Files, kind: str = "mouth") -> Case:
    store = ClipStore(
        files.manifest, "test", coefficients=files.coefficients, clips=files.clips, audio=files.audio, audio_as=None
    )
    case = make_case(CLIP, store[0], kind, SETTINGS, 1)
    return replace(case, audio={"log_mel": store.audio_of(0, "log_mel")})


def networks(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3)).eval()
    return Network(Denoiser(DenoiserConfig.compact(prior.config.latent_dim)).eval(), prior)


def motions(
    case: Case,
    basis: LandmarkBasis,
    settings: EvaluationSettings,
    network: Network | None = None,
    others: Mapping[str, Network] | None = None,
) -> dict[str, np.ndarray]:
    """The motion of a case by every method."""
    methods = methods_of(settings, network or networks(), basis, FIT, seed=3, device=torch.device("cpu"), others=others)
    return {name: method([case])[0].motion for name, method in methods.items()}


def boxes_for(case: Case) -> np.ndarray:
    """Boxes of crops whose landmarks span a face of 200 pixels."""
    return np.tile(np.float32([40, 50, 300]), (len(case.clip), 1))


def moved(case: Case, basis: LandmarkBasis) -> tuple[Case, Case]:
    """A case, and the same one whose occluded landmarks lie elsewhere, as methods receive them."""
    assert case.clip.lmk_2d is not None
    other = case.clip.lmk_2d.copy()
    other[case.visible == 0] += np.float32(0.3)
    changed = replace(case, clip=replace(case.clip, lmk_2d=other))
    made = (from_visible(one, boxes_for(one), basis, FIT, 1.485) for one in (case, changed))
    return next(made), next(made)


def test_methods_receive_nothing_of_what_is_occluded(files: Files, basis: LandmarkBasis) -> None:
    case = case_of(files)
    first, second = moved(case, basis)
    for name in ("lmk_2d", "motion", "shape", "boxes"):
        np.testing.assert_array_equal(getattr(first.seen, name), getattr(second.seen, name))
    assert np.isnan(first.seen.lmk_2d[case.visible == 0]).all()
    assert np.isfinite(first.seen.lmk_2d[case.visible > 0]).all()
    settings = replace(SETTINGS, methods=("ours", "network_only", "interpolation", "bridge"), identity="visible")
    for name, motion in motions(first, basis, settings).items():
        np.testing.assert_array_equal(motion, motions(second, basis, settings)[name])


def test_the_estimate_from_visible_landmarks_is_near_the_truth(files: Files, basis: LandmarkBasis) -> None:
    case = case_of(files)
    seen = from_visible(case, boxes_for(case), basis, FIT, 1.485).seen
    shown = ~case.occlusion.frames
    assert shown.sum() > 20
    assert not np.array_equal(seen.motion, case.clip.motion)
    jaw = np.abs(seen.motion[shown, -3] - case.clip.motion[shown, -3]).mean()
    assert jaw < 0.3 * np.abs(case.clip.motion[shown, -3]).mean()
    assert seen.boxes is not None
    # The crop of a frame without occlusion is that of its landmarks.
    assert case.clip.lmk_2d is not None
    frame = int(np.flatnonzero(shown)[0])
    expected = crop_boxes(from_crop(case.clip.lmk_2d[frame], boxes_for(case)[frame]), 1.485)
    np.testing.assert_allclose(seen.boxes[frame], expected, atol=1e-3)


def test_without_any_visible_landmark_methods_receive_a_neutral_face(files: Files, basis: LandmarkBasis) -> None:
    case = case_of(files, "audio_driven")
    assert not case.visible.any()
    seen = from_visible(case, boxes_for(case), basis, FIT, 1.485).seen
    assert not seen.motion.any()
    assert not seen.shape.any()
    assert np.isnan(seen.lmk_2d).all()
    assert seen.pose is None


def test_an_estimated_head_changes_only_errors_in_the_crop(files: Files) -> None:
    case = case_of(files)
    reference = Reference.of(HeadAsset.load(files.head), case.clip)
    head = np.zeros(N_SHAPE, np.float32), case.clip.global_pose, case.clip.cam + np.float32([0.5, 0, 0])
    plain, estimated = (
        score(Prediction.of(reference, case.clip.motion, case.visible, case.occlusion.frames, head=one)).values
        for one in (None, head)
    )
    differ = {name for name in plain if plain[name] != estimated[name]}
    assert differ
    assert all(name.startswith(("lmk_2d_error", "mouth_closure")) for name in differ)


def test_network_only_is_ours_without_the_last_fit(files: Files, basis: LandmarkBasis) -> None:
    case = case_of(files)
    found = motions(case, basis, replace(SETTINGS, methods=("ours", "network_only")))
    without = motions(case, basis, replace(SETTINGS, methods=("ours",), refine=False))
    np.testing.assert_array_equal(found["network_only"], without["ours"])
    assert not np.array_equal(found["ours"], found["network_only"])


def test_methods_of_one_network_sample_once(
    files: Files, basis: LandmarkBasis, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(
        "occlufacediff.evaluation.methods.sample_clips",
        lambda *args, **options: calls.append(options["use_audio"]) or sample_clips(*args, **options),
    )
    motions(case_of(files), basis, replace(SETTINGS, methods=("ours", "network_only", "ours_without_audio")))
    assert calls == [True, False]


def test_as_published_samples_windows_side_by_side(files: Files, basis: LandmarkBasis) -> None:
    case, network = case_of(files), networks()
    settings = replace(SETTINGS, methods=("as_published",), samples=4, guidance_all=2.0)
    found = motions(case, basis, settings, network)["as_published"]
    assert case.clip.lmk_2d is not None
    arrays = (case.clip.lmk_2d, case.visible, case.audio["log_mel"])
    clip = SampleInput(CLIP, *(torch.from_numpy(np.ascontiguousarray(part)) for part in arrays))
    expected = sample_clips(network.denoiser, network.prior, [clip], seed=3, steps=100, solver="ddim", hop=64)
    np.testing.assert_allclose(found, expected[0][0].numpy(), atol=1e-6)
    assert AS_PUBLISHED["refine"] is False


def test_further_checkpoints_are_methods_of_their_own(files: Files, basis: LandmarkBasis) -> None:
    case, other = case_of(files), networks(1)
    settings = replace(SETTINGS, methods=("ours",))
    found = motions(case, basis, settings, others={"second": other})
    assert list(found) == ["ours", "second"]
    np.testing.assert_array_equal(found["second"], motions(case, basis, settings, other)["ours"])
    assert not np.array_equal(found["ours"], found["second"])


def test_baselines_fill_occluded_frames(files: Files, basis: LandmarkBasis) -> None:
    case = case_of(files)
    found = motions(case, basis, replace(SETTINGS, methods=("interpolation", "bridge")))
    frames = case.occlusion.frames
    np.testing.assert_array_equal(found["interpolation"], interpolate(case.clip.motion, frames))
    np.testing.assert_array_equal(found["bridge"], bridge(case.clip.motion, frames, SETTINGS.bridge_s))


def test_viseme_rules_move_the_mouth_by_phones(files: Files, basis: LandmarkBasis) -> None:
    case = case_of(files)
    end = len(case.clip) / 25
    phones = Phones.from_starts([("SIL", 0.0), ("AA", end * 0.4), ("M", end * 0.6)], end)
    settings = replace(SETTINGS, methods=("phone_rules",), refine=False)
    frames = case.occlusion.frames
    found = motions(replace(case, phones=phones), basis, settings)["phone_rules"]
    silent = motions(replace(case, phones=Phones.from_starts([("SIL", 0.0)], end)), basis, settings)["phone_rules"]
    np.testing.assert_allclose(found[~frames], case.clip.motion[~frames], atol=1e-6)
    assert np.abs(found[frames] - silent[frames]).max() > 0.05


def test_viseme_rules_without_phones_are_refused(files: Files, basis: LandmarkBasis) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.methods: got 'phone_rules', which needs the phones"):
        motions(case_of(files), basis, replace(SETTINGS, methods=("phone_rules",)))


def test_lips_are_occluded_in_the_cases_of_these_tests(files: Files) -> None:
    case = case_of(files)
    assert not case.visible[case.occlusion.frames][:, LIPS].any()
