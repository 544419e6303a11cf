# What the rules share: the checked configuration, names of files, subjects, fingerprints of code.
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

from snakemake.exceptions import WorkflowError

# The package beside this Snakefile is the one that runs and is fingerprinted, in scripts too.
sys.path.insert(0, str(workflow.basedir))
os.environ.update(
    PYTHONPATH=os.pathsep.join(dict.fromkeys([str(workflow.basedir), *os.getenv("PYTHONPATH", "").split(os.pathsep)]))
)

from occlufacediff.acquire.sources import archives, asset
from occlufacediff.acquire.terms import notice
from occlufacediff.config.load import load_config
from occlufacediff.config.names import NAME
from occlufacediff.config.section import as_params
from occlufacediff.benchmark.videos import find_videos
from occlufacediff.workflow.chunks import names as chunk_names
from occlufacediff.workflow.inputs import (
    audio_archive,
    check_inputs,
    masks_state,
    occluders_state,
    emote_coefficients,
    emote_landmarks,
    sentence_table,
    split_settings,
    subjects,
    video_archive,
)
from occlufacediff.stages.open_head import workflow_head
from occlufacediff.synthetic.shards import shard_names
from occlufacediff.errors import OccluFaceError
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.weights import open_weights

try:
    cfg = load_config(config)
    SUBJECTS = subjects(cfg)
    check_inputs(cfg)
    # Archives in the shared folder: (subject, file) -> where it lies.
    REMOTE = archives(cfg.download) if cfg.source == "download" else {}
except OccluFaceError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{cfg.dataset}"
LOGS = f"logs/{cfg.dataset}"
ARCHIVES = cfg.archives if cfg.source == "local" else f"{RESULTS}/archives"
HEAD = cfg.head or str(workflow_head(cfg))
MODELS = cfg.checkpoint or f"{RESULTS}/models"
# The model that tells what is visible, where one does.
SEGMENTATION = [cfg.visibility.model] if cfg.visibility.source == "segmentation" else []
# Stages that write one HDF5 file and one index a subject.
STAGES = ["audio", "landmarks", "clips", "coefficients"]
# Files that make a trained network.
NETWORK = ["model.safetensors", "config.yaml"]
NETWORKS = ["motion_prior", "denoiser"]


def of_subjects(pattern):
    """One file a subject, in the order of subjects."""
    return expand(pattern, subject=SUBJECTS)


def of_chunks(*patterns):
    """Markers that a subject's chunks leave beside its files, the subject's name left open; none without chunks."""
    return [f"{pattern}.{chunk}" for chunk in chunk_names(cfg.chunks) for pattern in patterns]


def cores(of_a_node):
    """Cores that one job may use: those given to this run; on a cluster, where none are given, so many of a node."""
    return of_a_node if workflow.remote_exec or workflow.resource_settings.cores is None else workflow.cores


def shard_threads():
    """Processes for one job of a subject: as configured, else the cores that are left when all such jobs run at once."""
    if cfg.dask.scheduler is not None:
        return 1
    jobs = len(SUBJECTS) * cfg.chunks
    return cfg.dask.workers or max(1, cores(4 * jobs) // jobs)


def scaled_by_attempt(amount, each=0):
    """An amount of a resource, `each` more a thread, twice as much at every retry (only profiles/slurm retries)."""
    return lambda wildcards, threads, attempt: (amount + each * threads) * 2 ** (attempt - 1)


def gpus():
    """GPUs that a training asks for: one where there is one, or where the configuration demands it."""
    return int(cfg.device == "cuda" or (cfg.device == "auto" and shutil.which("nvidia-smi") is not None))


def _times(folder):
    """Names and times of change of all files below a folder, with one look at each."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _times(entry.path)
            else:
                yield entry.path, entry.stat().st_mtime_ns


@cache
def _touched(subject):
    raw = Path(RESULTS, "raw", subject)
    index = raw / "index.csv"
    if not index.exists():
        return []
    made = index.stat().st_mtime_ns
    return sorted(f"{Path(name).relative_to(raw).as_posix()} {time}" for name, time in _times(raw) if time > made)


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
        raise WorkflowError("Configuration, video: predict needs a video; give it with --config video=FILE.")
    return expand(f"{RESULTS}/predictions/{Path(cfg.video).stem}/{{file}}", file=["motion.npz", "animation.mp4"])


def predicting(network):
    """Files of a network that predicts: trained here, or of the open weights."""

    def files(wildcards):
        try:
            folder = open_weights() if cfg.prediction.weights == "open" else MODELS
        except OccluFaceError as error:
            raise WorkflowError(str(error)) from None
        return expand(f"{folder}/{network}/{{file}}", file=NETWORK)

    return files


def benchmark_videos(wildcards):
    """Videos that the target `benchmark` works on."""
    if cfg.benchmark_videos is None:
        raise WorkflowError(
            "Configuration, benchmark_videos: benchmark needs videos; give --config benchmark_videos=FOLDER."
        )
    return [str(path) for path in find_videos(Path(cfg.benchmark_videos)).values()]


def histories():
    """Loss histories of the networks; a checkpoint from elsewhere may have none."""
    paths = [f"{MODELS}/{network}/history.csv" for network in NETWORKS]
    return [path for path in paths if cfg.checkpoint is None or Path(path).exists()]


def missing_intermediates():
    """Files before the report that do not exist, but for those of training."""
    patterns = [f"{RESULTS}/raw/{{subject}}/index.csv", f"{RESULTS}/video25/{{subject}}/index.csv"]
    patterns += [f"{RESULTS}/{stage}/{{subject}}.{kind}" for stage in STAGES for kind in ("h5", "csv")]
    if cfg.source == "synthetic":
        patterns += [f"{ARCHIVES}/{{subject}}/{name}" for name in ("video.tar", "audio.tar", "sentences.csv")]
        patterns += [f"{RESULTS}/truth/{{subject}}.h5"]
    paths = [HEAD, f"{RESULTS}/manifest.csv", *(path for pattern in patterns for path in of_subjects(pattern))]
    paths += expand(f"{RESULTS}/evaluation/{{file}}", file=["metrics.csv", "metrics_by_clip.csv", "predictions.h5"])
    return [path for path in paths if not Path(path).exists()]


def missing_networks():
    """Files of training that do not exist."""
    files = expand(f"{MODELS}/{{network}}/{{file}}", network=NETWORKS, file=[*NETWORK, "history.csv"])
    return [path for path in files if cfg.checkpoint is None and not Path(path).exists()]


def video_tar(wildcards):
    """The subject's video archive, a list of one; a folder of a local source may lack it: of none."""
    if cfg.source == "local":
        return video_archive(ARCHIVES, wildcards.subject)
    return [f"{ARCHIVES}/{wildcards.subject}/video.tar"]


def audio_tar(wildcards):
    """The subject's audio archive, a list of one; a local folder may lack it: of none."""
    if cfg.source == "synthetic" or (wildcards.subject, "audio.tar") in REMOTE:
        return [f"{ARCHIVES}/{wildcards.subject}/audio.tar"]
    return audio_archive(ARCHIVES, wildcards.subject)


def sentence_tables():
    """The tables of who says what, of all subjects that have one; the user's own comes last and wins."""
    own = [cfg.split.sentence_table] if cfg.split.sentence_table else []
    if cfg.source == "synthetic":
        return of_subjects(f"{ARCHIVES}/{{subject}}/sentences.csv") + own
    if cfg.source == "download":
        return [f"{ARCHIVES}/{name}/sentences.csv" for name in SUBJECTS if (name, "sentences.csv") in REMOTE] + own
    return [path for subject in SUBJECTS for path in sentence_table(ARCHIVES, subject)] + own


def fetched_from(wildcards):
    """What names the content of an archive in the shared folder."""
    return REMOTE[wildcards.subject, wildcards.archive].identity


def asset_from(wildcards):
    """Whose terms apply to a licensed asset, and what names the content of its files."""
    files = asset(cfg.download, wildcards.asset).values()
    terms = dict.fromkeys(name for remote in files for name in remote.terms)
    return [notice(terms), *(remote.identity for remote in files)]


def licensed(wildcards):
    """What the target `fetch` gets."""
    if not cfg.download.assets:
        raise WorkflowError("Configuration, download.assets: got nothing, needs what to fetch, such as [flame2020].")
    return expand("resources/licensed/{asset}/index.csv", asset=cfg.download.assets)


def up_to_date(target):
    """Whether Snakemake, asked in a dry run of the same configuration, finds nothing to do for one file."""
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            workflow.main_snakefile,
            "--dry-run",
            "--nolock",
        ]
        answer = subprocess.run(
            [*command, "--configfile", file.name, "--", target],
            capture_output=True,
            text=True,
        )
    return answer.returncode == 0 and "Nothing to be done" in answer.stdout + answer.stderr


def wanted(wildcards):
    """What the default target asks for: the report, or intermediate files that were deleted and nothing else.

    Snakemake leaves a deleted intermediate file alone while everything made from it is up to date, and makes all that
    follows again when it is asked for both. Equal inputs give equal bytes here, so where the report is up to date, making
    the deleted files alone is enough. Training is the exception: its history has times in it, so what follows follows.
    """
    page = f"{RESULTS}/report.html"
    if not workflow.is_main_process or not Path(page).exists():
        return [page]
    if networks := missing_networks():
        return [page, *networks]
    missing = missing_intermediates()
    return missing if missing and up_to_date(page) else [page]


def require_writable():
    """Refuse to start where a job's folder cannot be written to; Snakemake would end with its own traceback."""
    files = (path for job in workflow.dag.needrun_jobs() for path in [*job.output, *job.log])
    for folder in sorted({Path(path).absolute().parent for path in files}):
        there = next(parent for parent in [folder, *folder.parents] if parent.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise WorkflowError(
                f"{folder}: cannot be written to: {there} is read-only or not this user's; allow writing there, or "
                "work in another folder (--directory), then run again: what is finished is kept"
            )
