"""The jobs of an evaluation: killed ones resume, memory, chunks, subjects without clips, bad clips."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_evaluation
from small_evaluation import CLIPS, SETTINGS, SUBJECT, sample, score, write_evaluation

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.errors import AssetError
from occlufacediff.evaluation import protocol
from occlufacediff.evaluation.rows import BY_CLIP_COLUMNS, read_failures
from occlufacediff.evaluation.scores import Reference
from occlufacediff.stages import sample_motions, score_motions
from occlufacediff.stages.evaluation_tables import Tables, read_scores, write_tables

FILES = [f"motions/{SUBJECT}.h5", f"motions/{SUBJECT}.csv", f"scores/{SUBJECT}.csv", f"failures/{SUBJECT}.csv"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_evaluation(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    sample(folder, out)
    score(folder, out)
    return out


def killed(folder: Path, out: Path, job: str, call: int) -> None:
    """Run a job in a process of its own, which is killed at a call."""
    command = [sys.executable, small_evaluation.__file__, str(folder), str(out), job, str(call)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == -signal.SIGKILL, result.stderr[-3000:]


def counted(module: object, name: str, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Calls of a function of a module from now on."""
    original, calls = getattr(module, name), []
    monkeypatch.setattr(module, name, lambda *args, **options: calls.append(args) or original(*args, **options))
    return calls


def same_files(one: Path, other: Path, names: list[str]) -> None:
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not list(one.rglob("*.parts"))


def test_a_killed_sampling_job_keeps_its_batches(
    folder: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(folder, tmp_path, "sample", 3)
    parts = tmp_path / "motions" / f".{SUBJECT}.h5.parts"
    assert len(list(parts.glob("*.json"))) == 2
    assert not (tmp_path / FILES[0]).exists()
    calls = counted(sample_motions, "reconstruct", monkeypatch)
    sample(folder, tmp_path)
    assert len(calls) == CLIPS - 2
    same_files(tmp_path, undisturbed, FILES[:2])


def test_a_killed_scoring_job_keeps_its_clips(
    folder: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(undisturbed / "motions", tmp_path / "motions")
    killed(folder, tmp_path, "score", 4)
    assert len(list((tmp_path / "scores" / f".{SUBJECT}.csv.parts").rglob("*.json"))) == 3
    calls = counted(score_motions, "score_truth", monkeypatch)
    score(folder, tmp_path)
    assert len(calls) == CLIPS - 3
    same_files(tmp_path, undisturbed, FILES)


def test_chunks_give_the_same_bytes(
    folder: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for chunk in ("2of2", "1of2"):
        sample(folder, tmp_path, chunk=chunk)
    assert not (tmp_path / FILES[0]).exists()
    calls = counted(sample_motions, "reconstruct", monkeypatch)
    sample(folder, tmp_path)
    for chunk in ("1of2", "2of2"):
        score(folder, tmp_path, chunk=chunk)
    score(folder, tmp_path)
    assert not calls
    same_files(tmp_path, undisturbed, FILES)


def most_alive(made: weakref.WeakSet[object], seen: list[int], thing: object) -> object:
    """Count a new object among those that still exist."""
    made.add(thing)
    seen.append(len(made))
    return thing


@pytest.mark.parametrize("clips", [3, 9])
def test_memory_does_not_depend_on_the_number_of_clips(
    clips: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_evaluation(tmp_path / "data", clips)
    cases, make_case = (weakref.WeakSet(), []), protocol.make_case
    monkeypatch.setattr(protocol, "make_case", lambda *args: most_alive(*cases, make_case(*args)))
    sample(tmp_path / "data", tmp_path)
    assert len(cases[1]) == clips * len(SETTINGS.occlusions)
    # Those of a batch of one clip, and of the previous one, whose samples may be asked for again.
    assert max(cases[1]) <= 2 * len(SETTINGS.occlusions)
    references, of = (weakref.WeakSet(), []), Reference.of
    monkeypatch.setattr(Reference, "of", lambda *args: most_alive(*references, of(*args)))
    score(tmp_path / "data", tmp_path)
    # Surfaces of the truth: one per clip, whatever the number of occlusions and methods.
    assert len(references[1]) == clips
    assert max(references[1]) == 1


def test_a_clip_that_cannot_be_scored_is_a_row(
    folder: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(undisturbed / "motions", tmp_path / "motions")
    original = score_motions.score

    def failing(prediction: object) -> object:
        # The neutral face of the second clip (50 frames) under the occlusion of the mouth.
        if not prediction.motion.any() and len(prediction.motion) == 50 and prediction.occluded.any():  # type: ignore[attr-defined]
            raise ValueError("injected\nfault")
        return original(prediction)

    monkeypatch.setattr(score_motions, "score", failing)
    score(folder, tmp_path)
    failures = read_failures(tmp_path / FILES[3])
    bad = [f"happy/level_1/{number:03d}" for number in (1, 3)]
    assert failures.to_numpy().tolist() == [
        ["mouth", SUBJECT, clip, "", "unexpected_error", "ValueError: injected fault"] for clip in bad
    ]
    whole, left = (read_scores([out / FILES[2]], SETTINGS.occlusions) for out in (undisturbed, tmp_path))
    lost = (whole["occlusion"] == "mouth") & whole["clip"].isin(bad)
    keys = ["method", "occlusion", "clip", "metric"]
    pd.testing.assert_frame_equal(
        left.astype(str).sort_values(keys, ignore_index=True),
        whole[~lost].astype(str).sort_values(keys, ignore_index=True),
    )


def test_a_subject_without_clips_to_score_gets_empty_files(folder: Path, undisturbed: Path, tmp_path: Path) -> None:
    sample(folder, tmp_path, subject="A1")
    score(folder, tmp_path, subject="A1")
    assert (tmp_path / "scores" / "A1.csv").read_text().split() == [",".join(BY_CLIP_COLUMNS)]
    assert read_failures(tmp_path / "failures" / "A1.csv").empty
    scores = [tmp_path / "scores" / "A1.csv", undisturbed / FILES[2]]
    pd.testing.assert_frame_equal(
        read_scores(scores, SETTINGS.occlusions), read_scores(scores[1:], SETTINGS.occlusions), check_categorical=False
    )


def test_tables_of_nothing_name_the_reason(folder: Path, tmp_path: Path) -> None:
    sample(folder, tmp_path, subject="A1")
    score(folder, tmp_path, subject="A1")
    tables = Tables(*(tmp_path / f"{number}.csv" for number in range(7)))
    networks = [folder / "motion_prior", folder / "denoiser"]

    def written() -> None:
        write_tables(
            folder / "manifest.csv",
            [tmp_path / "scores" / "A1.csv"],
            [tmp_path / "failures" / "A1.csv"],
            folder / "head.npz",
            networks,
            {},
            tables,
            dataset="small",
            settings=SETTINGS,
            occlusion_seed=4,
        )

    with pytest.raises(AssetError, match="no clip was scored"):
        written()
    with (tmp_path / "failures" / "A1.csv").open("a") as file:
        file.write("mouth,A1,happy/level_1/000,,no_region,no lips\n")
    with pytest.raises(AssetError, match=r"all 1 clips failed \(first A1/happy/level_1/000: no_region: no lips"):
        written()


def test_scores_keep_all_digits(undisturbed: Path) -> None:
    values = read_scores([undisturbed / FILES[2]], SETTINGS.occlusions)["value"].to_numpy()
    again = np.array([float(repr(value)) for value in values])
    np.testing.assert_array_equal(values, again)
    assert (values != np.float64([f"{value:.6g}" for value in values])).any()


def test_settings_of_tables_do_not_change_motions() -> None:
    assert EvaluationSettings(bootstrap=500).of_sampling() == EvaluationSettings().of_sampling()
    assert EvaluationSettings(steps=5).of_sampling() != EvaluationSettings().of_sampling()
