# What the rules share: the checked configuration, names of files, subjects, fingerprints of code.
import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The package beside this Snakefile is the one that runs and is fingerprinted, in scripts too.
sys.path.insert(0, str(workflow.basedir))
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys(
        [
            str(workflow.basedir),
            *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
        ]
    )
)

from occlufacediff.config.load import load_config
from occlufacediff.config.section import as_params
from occlufacediff.config.source import (
    audio_archive,
    check_inputs,
    sentence_table,
    split_settings,
    subjects,
)
from occlufacediff.errors import OccluFaceError
from occlufacediff.fingerprint import fingerprint

try:
    cfg = load_config(config)
    SUBJECTS = subjects(cfg)
    check_inputs(cfg)
except OccluFaceError as error:
    raise WorkflowError(str(error)) from None

D = f"results/{cfg.dataset}"
LOGS = f"logs/{cfg.dataset}"
BENCHMARKS = f"benchmarks/results/{cfg.dataset}"
ARCHIVES = cfg.archives if cfg.source == "local" else f"{D}/archives"
HEAD = cfg.head or "resources/open_head.npz"
MODELS = cfg.checkpoint or f"{D}/models"
# Stages that write one HDF5 file and one index a subject.
STAGES = ["audio", "landmarks", "clips", "coefficients"]
# Files that make a trained network.
NETWORK = ["model.safetensors", "config.yaml"]


def of_subjects(pattern):
    """One file a subject, in the order of subjects."""
    return expand(pattern, subject=SUBJECTS)


def shard_threads():
    """Processes for one subject: as configured, else the cores that are left when all subjects run at once."""
    return cfg.dask.workers or max(1, (workflow.cores or 1) // len(SUBJECTS))


def gpus():
    """GPUs that a training asks for: one where there is one, or where the configuration demands it."""
    return int(
        cfg.device == "cuda"
        or (cfg.device == "auto" and Path("/dev/nvidiactl").exists())
    )


@cache
def _touched(subject):
    raw = Path(D, "raw", subject)
    index = raw / "index.csv"
    if not index.exists():
        return []
    made = index.stat().st_mtime_ns
    times = {
        path.relative_to(raw).as_posix(): path.stat().st_mtime_ns
        for path in raw.rglob("*")
        if path.is_file()
    }
    return sorted(f"{name} {time}" for name, time in times.items() if time > made)


def touched(wildcards):
    """Raw files of a subject that changed after they were unpacked.

    They lie beside the declared output (Snakemake deletes declared outputs before a rerun, and finished clips must
    survive), so Snakemake does not watch them. As a param of the rules that read them, this list makes a changed clip rerun
    its subject; it stays as it is until the subject is unpacked anew, so the next run has nothing to do.
    """
    return _touched(wildcards.subject)


def predicted(wildcards):
    """What the target `predict` makes of the configured video."""
    if cfg.video is None:
        raise WorkflowError(
            "Configuration, video: predict needs a video; give it with --config video=FILE."
        )
    return expand(
        f"{D}/predictions/{Path(cfg.video).stem}/{{file}}",
        file=["motion.npz", "animation.mp4"],
    )


def histories():
    """Loss histories of the networks; a checkpoint from elsewhere may have none."""
    paths = [
        f"{MODELS}/{network}/history.csv" for network in ("motion_prior", "denoiser")
    ]
    return [path for path in paths if cfg.checkpoint is None or Path(path).exists()]


def missing_intermediates():
    """Declared files of the subjects' stages that do not exist."""
    patterns = [f"{D}/raw/{{subject}}/index.csv", f"{D}/video25/{{subject}}/index.csv"]
    patterns += [
        f"{D}/{stage}/{{subject}}.{kind}" for stage in STAGES for kind in ("h5", "csv")
    ]
    if cfg.source == "synthetic":
        patterns += [
            f"{ARCHIVES}/{{subject}}/{name}"
            for name in ("video.tar", "audio.tar", "sentences.csv")
        ]
    return [
        path
        for pattern in patterns
        for path in of_subjects(pattern)
        if not Path(path).exists()
    ]


def audio_tar(wildcards):
    """The subject's audio archive; a local folder may lack it."""
    if cfg.source == "synthetic":
        return f"{ARCHIVES}/{wildcards.subject}/audio.tar"
    return audio_archive(ARCHIVES, wildcards.subject)


def sentence_tables():
    """The tables of who says what, of all subjects that have one."""
    if cfg.source == "synthetic":
        return of_subjects(f"{ARCHIVES}/{{subject}}/sentences.csv")
    return [path for subject in SUBJECTS for path in sentence_table(ARCHIVES, subject)]
