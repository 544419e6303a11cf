"""The jobs of an evaluation on small data with networks of random weights; run as a script they can be killed.

``python small_evaluation.py FOLDER OUT JOB CALL`` runs the job ``sample`` or ``score`` on a folder of
`write_evaluation`. It kills itself with SIGKILL at the given call of the function that processes a batch or clip.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch
from small_data import Files, write_small_data
from small_head import N_EXP

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.checkpoint import save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.stages import sample_motions, score_motions
from occlufacediff.stages.sample_motions import Checkpoints, sample_subject
from occlufacediff.stages.score_motions import score_subject

SUBJECT = "C1"
CLIPS = 5
#: Each batch has one clip.
SETTINGS = EvaluationSettings(occlusions=("none", "mouth"), steps=1, batch_size=1, methods=("ours", "neutral"))


def write_evaluation(folder: Path, clips: int = CLIPS) -> Files:
    """Write a data set and a checkpoint."""
    files = write_small_data(folder, clips=clips)
    asset = HeadAsset.load(files.head)
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    denoiser = Denoiser(DenoiserConfig.compact(prior.config.latent_dim))
    for name, model in (("motion_prior", prior), ("denoiser", denoiser)):
        save_checkpoint(
            folder / name,
            model,
            head_name=asset.name,
            head_digest=asset.digest,
            expression_names=asset.expression_names,
        )
    return files


def files_in(folder: Path) -> Files:
    """The data set of `write_evaluation`."""
    paths = {kind: sorted((folder / kind).glob("*.h5")) for kind in ("clips", "audio", "coefficients")}
    return Files(folder / "manifest.csv", head=folder / "head.npz", **paths)


def of_subject(files: Files, subject: str = SUBJECT) -> list[Path]:
    """Clips, audio and coefficients of a subject."""
    return [folder[0].with_stem(subject) for folder in (files.clips, files.audio, files.coefficients)]


def sample(
    folder: Path, out: Path, settings: EvaluationSettings = SETTINGS, subject: str = SUBJECT, chunk: str | None = None
) -> None:
    """Sample the motions of a subject into ``out``."""
    files = files_in(folder)
    sample_subject(
        subject,
        files.manifest,
        *of_subject(files, subject),
        files.head,
        Checkpoints(folder / "motion_prior", folder / "denoiser"),
        out / "motions" / f"{subject}.h5",
        out / "motions" / f"{subject}.csv",
        settings=settings,
        reconstruction=ReconstructionSettings(),
        seed=4,
        occlusion_seed=4,
        device="cpu",
        chunk=chunk,
    )


def score(folder: Path, out: Path, subject: str = SUBJECT, chunk: str | None = None) -> None:
    """Score the motions of a subject in ``out``."""
    files = files_in(folder)
    score_subject(
        subject,
        out / "motions" / f"{subject}.h5",
        out / "motions" / f"{subject}.csv",
        *of_subject(files, subject),
        files.head,
        files.manifest,
        out / "scores" / f"{subject}.csv",
        out / "failures" / f"{subject}.csv",
        chunk=chunk,
    )


def kill_at(module: object, function: str, call: int) -> None:
    """Make this process kill itself at a call of a function of a module."""
    original, calls = getattr(module, function), 0

    def counted(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)

    setattr(module, function, counted)


if __name__ == "__main__":
    torch.set_num_threads(1)
    place, out_folder, job, number = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if job == "sample":
        kill_at(sample_motions, "reconstruct", number)
        sample(place, out_folder)
    else:
        kill_at(score_motions, "score_truth", number)
        score(place, out_folder)
