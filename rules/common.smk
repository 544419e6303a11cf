# Shared by all rules: the checked configuration, paths, and functions for inputs, params and resources.
import os
import shutil
import sys
from dataclasses import asdict
from functools import wraps
from pathlib import Path

import yaml

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import update_config

# The package beside this workflow is the one that runs and is fingerprinted, in scripts too. The variable is set here,
# so the user does not have to define it.
ROOT = Path(str(workflow.current_basedir)).parent
sys.path.insert(0, str(ROOT))
package_paths = [str(ROOT), *os.getenv("PYTHONPATH", "").split(os.pathsep)]
os.environ.update(PYTHONPATH=os.pathsep.join(dict.fromkeys(package_paths)))

from occlufacediff.acquire.sources import archives, asset
from occlufacediff.acquire.terms import notice
from occlufacediff.benchmark.videos import find_videos
from occlufacediff.config.load import load_config, with_numbers
from occlufacediff.config.names import EXPORT_SUFFIXES, NAME
from occlufacediff.config.section import as_params
from occlufacediff.errors import ConfigError, OccluFaceError
from occlufacediff.prediction.source import check_replaceable
from occlufacediff.stages.open_head import workflow_head
from occlufacediff.synthetic.plan import split_subjects
from occlufacediff.synthetic.shards import shard_names
from occlufacediff.weights import occlusion_weights, open_readers, open_weights
from occlufacediff.workflow.audio_kind import AUDIO_OF_PRESET, audio_kind, evaluation_needs_phones
from occlufacediff.workflow.chunks import names as chunk_names
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.checkpoints import (
    checkpoint_files,
    compared_runs,
    evaluated_checkpoints,
    initial_checkpoint,
    kept_motion_prior,
)
from occlufacediff.workflow.external_inputs import external_state
from occlufacediff.workflow.file_states import masks_state, occluders_state
from occlufacediff.workflow.initial_weights import FETCHED_WAV2VEC2, wav2vec2_inputs
from occlufacediff.workflow.inputs import (
    audio_archive,
    check_inputs,
    check_splits,
    emote_coefficients,
    emote_landmarks,
    ordinary_videos,
    refuse_braces,
    scored_subjects,
    sentence_table,
    split_settings,
    subjects,
    video_archive,
    videos_to_predict,
)
from occlufacediff.workflow.mapping_input import check_mapping
from occlufacediff.workflow.resources import (
    check_batch,
    check_devices,
    check_trackers,
    gpus_here,
    training_tasks,
)
from occlufacediff.workflow.training_inputs import check_training


def stop(error):
    """End Snakemake with an error meant for users.

    An exception would be shown with its place in the workflow's files, and one of an input function with its rule and
    wildcards too.
    """
    logger.error(str(error))
    sys.exit(1)


def one_line_errors(function):
    """Decorate an input or params function: an error meant for users is shown alone and ends Snakemake."""

    @wraps(function)
    def reporting(*arguments):
        try:
            return function(*arguments)
        except OccluFaceError as error:
            stop(error)

    return reporting


# The defaults lie below --configfile and --config, and below the configuration that another workflow gives to `module`.
defaults = yaml.safe_load((ROOT / "config" / "default.yaml").read_text(encoding="utf-8"))
update_config(defaults, config)
config.update(defaults)

try:
    # Scripts read `config` too.
    config.update(with_numbers(config, workflow.config_settings.config))
    cfg = load_config(config)
    SUBJECTS = subjects(cfg)
    check_inputs(cfg)
    check_mapping(cfg)
    # Result folders and videos of the target predict, if it has several.
    PREDICTED = videos_to_predict(cfg)
    # Subjects of the evaluated split.
    SCORED = scored_subjects(cfg)
    # Further checkpoints to score: name of the method -> folder.
    CHECKPOINTS = evaluated_checkpoints(cfg)
    # Metrics of the runs of `report.compare`.
    COMPARED = compared_runs(cfg)
    # Archives in the shared folder: (subject, file) -> its location.
    REMOTE = archives(cfg.download) if cfg.source == "download" else {}
except OccluFaceError as error:
    stop(error)

# Paths of the user's files are marked with local(): a `module` with `prefix` must not change them.
RESULTS = f"results/{cfg.dataset}"
LOGS = f"logs/{cfg.dataset}"
# A run shares the preprocessing of its data set with all other runs.
RUN = f"{RESULTS}/runs/{cfg.run.name}"
RUN_SEED = cfg.seed if cfg.run.seed is None else cfg.run.seed
ARCHIVES = cfg.archives if cfg.source == "local" else f"{RESULTS}/archives"
OPEN_HEAD = str(workflow_head(cfg))
HEAD = local(cfg.head) if cfg.head else OPEN_HEAD
# Viseme and emotion readers for this head model, of the target reader_weights.
READERS = f"results/readers/{Path(HEAD).stem}"
MODELS = cfg.checkpoint or RUN
# Checkpoint that the run starts from; None: from random weights.
INITIAL = initial_checkpoint(cfg)
# Files of the motion prior that the run uses without training it; empty: it is trained.
KEPT_PRIOR = kept_motion_prior(cfg)
# The model that determines visibility, if one is configured: the user's, or the network of the package.
if cfg.visibility.source == "segmentation":
    VISIBILITY_MODEL = [local(cfg.visibility.model)]
elif cfg.visibility.source == "auto":
    VISIBILITY_MODEL = [local(os.path.relpath(occlusion_weights()))]
else:
    VISIBILITY_MODEL = []
NETWORKS = ["motion_prior", "denoiser"]
# Files of a trained network.
NETWORK = ["model.safetensors", "config.yaml"]


# Private interfaces of Snakemake (requirements allow the versions that were tested):
# workflow.remote_exec, workflow.resource_settings, workflow.deployment_settings and workflow.dag are used in cores,
# require_writable and training; workflow.config_settings, the values of --config, above.
def cores(of_a_node):
    """Cores for one job: those of this run; on a cluster, where a run has no number of cores, ``of_a_node``."""
    return of_a_node if workflow.remote_exec or workflow.resource_settings.cores is None else workflow.cores


def require_writable():
    """Stop before the first job if a folder of outputs or logs is read-only; Snakemake would show a traceback."""
    files = (path for job in workflow.dag.needrun_jobs() for path in [*job.output, *job.log])
    for folder in sorted({Path(path).absolute().parent for path in files}):
        existing = next(parent for parent in [folder, *folder.parents] if parent.exists())
        if not os.access(existing, os.W_OK | os.X_OK):
            raise WorkflowError(
                f"{folder}: cannot be written to: {existing} is read-only or belongs to another user; allow writing, or "
                "work in another folder (--directory), then run again: finished results are kept"
            )


def of_subjects(pattern):
    """One file per subject, in the order of subjects."""
    return expand(pattern, subject=SUBJECTS)


def manifest_with(*splits, use="training"):
    """Input function: the manifest. A configuration that leaves one of ``splits`` without clips is refused."""

    @one_line_errors
    def manifest(wildcards):
        check_splits(cfg, splits, use)
        if use == "training":
            check_training(cfg)
        return f"{RESULTS}/manifest.csv"

    return manifest


@one_line_errors
def wav2vec2_weights(wildcards):
    """Input function: files of wav2vec2's initial weights; a configuration that needs them and has none is refused."""
    files = wav2vec2_inputs(cfg)
    return [file if Path(file).parent == FETCHED_WAV2VEC2 else local(file) for file in files]


def network(folder, name):
    """Files of a trained network in a folder of networks."""
    files = [f"{folder}/{name}/{file}" for file in NETWORK]
    return local(files) if folder in (cfg.checkpoint, INITIAL) else files


def of_chunks(*patterns):
    """Input function: markers that a subject's chunks leave beside its files; none for a job that is a chunk itself."""

    def markers(wildcards):
        if "chunk" in wildcards.keys():
            return []
        return expand([f"{pattern}.{{chunk}}" for pattern in patterns], chunk=chunk_names(cfg.chunks), **wildcards)

    return markers


def chunk_markers(**files):
    """Outputs of a chunk: empty markers beside the subject's files, removed after the subject's own job."""
    return {name: temp(touch(f"{file}.{{chunk}}")) for name, file in files.items()}


def shard_threads():
    """Processes for one job of a subject: as configured, else an equal share of the cores for all such jobs at once."""
    if cfg.dask.scheduler is not None:
        return 1
    jobs = len(SUBJECTS) * cfg.chunks
    return cfg.dask.workers or max(1, cores(4 * jobs) // jobs)


def scoring_threads():
    """Processes for scoring one subject: as configured, else an equal share of the cores for all such jobs at once."""
    if cfg.dask.scheduler is not None:
        return 1
    jobs = max(1, len(SCORED)) * cfg.chunks
    return cfg.dask.workers or max(1, cores(4 * jobs) // jobs)


def scaled_by_attempt(amount, each=0):
    """Amount of a resource: ``amount`` plus ``each`` per thread, doubled at every retry (profiles/slurm retries)."""
    return lambda wildcards, threads, attempt: (amount + each * threads) * 2 ** (attempt - 1)


def gpus():
    """GPUs that a job requests: one if this machine has one, or if the configuration requires it."""
    return int(cfg.device == "cuda" or (cfg.device == "auto" and shutil.which("nvidia-smi") is not None))


@one_line_errors
def training(section, key):
    """GPUs, tasks and nodes of a training; on a cluster the node that submits need not have a GPU."""
    # A dry run has one core in any case; only profiles and options for a cluster set a number of jobs.
    settings = workflow.resource_settings
    on_cluster = workflow.remote_exec or settings.cores is None or settings.nodes is not None
    check_batch(section.loop, f"{key}.loop")
    # With --software-deployment-method conda, trainings run in an environment of their own.
    if not workflow.deployment_settings.deployment_method:
        check_trackers(section.loop, f"{key}.loop")
    if not on_cluster:
        check_devices(section.loop, f"{key}.loop", cfg.device, gpus_here())
    return training_tasks(section.loop, int(cfg.device != "cpu") if on_cluster else gpus())


@one_line_errors
def external_results(wildcards):
    """State of the results by other systems, of the subject or of all."""
    return external_state(cfg.evaluation, wildcards.get("subject"))


@one_line_errors
def predicted(wildcards):
    """Results of the target `predict` for the configured video."""
    if cfg.video is None:
        raise ConfigError("Configuration, video: predict needs a video; give it with --config video=FILE.")
    if PREDICTED:
        return f"{RESULTS}/predictions/summary.csv"
    folder = f"{RESULTS}/predictions/{Path(cfg.video).stem}"
    check_replaceable(Path(folder, "motion.npz"), Path(cfg.video))
    return [f"{folder}/motion.npz", f"{folder}/animation.mp4"]


def video_to_predict(wildcards):
    """Input function: the video of a result folder; none if it does not exist, which fails in its row of the summary."""
    path = PREDICTED.get(wildcards.video, cfg.video)
    return local([path] if path and (not PREDICTED or Path(path).is_file()) else [])


def prediction_files():
    """Outputs of the prediction of a video: its files; with several videos only its row of the summary.

    A failed video has no files, and must not stop the others.
    """
    folder = f"{RESULTS}/predictions/{{video}}"
    if PREDICTED:
        return {"summary": f"{folder}/summary.csv"}
    shown = {"category": "Predictions"}
    return {
        "motion": f"{folder}/motion.npz",
        "animation": report(
            f"{folder}/animation.mp4",
            caption="../report/animation.rst",
            labels={"video": "{video}", "shows": "animation"},
            **shown,
        ),
        "viewer": report(
            f"{folder}/viewer.html",
            caption="../report/viewer.rst",
            labels={"video": "{video}", "shows": "3D view"},
            **shown,
        ),
        "exports": [f"{folder}/motion{EXPORT_SUFFIXES[name]}" for name in cfg.prediction.export],
    }


def predicting(name):
    """Input function: files of a network that predicts, trained here or of the open weights."""

    @one_line_errors
    def files(wildcards):
        return network(open_weights() if cfg.prediction.weights == "open" else MODELS, name)

    return files


@one_line_errors
def benchmark_videos(wildcards):
    """Videos of the target `benchmark`."""
    if cfg.benchmark_videos is None:
        raise ConfigError(
            "Configuration, benchmark_videos: benchmark needs videos; give --config benchmark_videos=FOLDER."
        )
    videos = [str(path) for path in find_videos(Path(cfg.benchmark_videos)).values()]
    for path in videos:
        refuse_braces("benchmark_videos", path)
    return local(videos)


@one_line_errors
def reader_files(settings):
    """Files of the readers, each a list of one file or none. Those of the package are relative to the working folder."""
    packaged = settings.readers == "open"
    given = {
        "readers": os.path.relpath(open_readers()) if packaged else settings.readers,
        "lip_reader": settings.lip_reading.reader,
        "labels": settings.lip_reading.labels if settings.lip_reading.reader else None,
        "recogniser": settings.emotion_recogniser,
    }
    return {name: [local(path)] if path else [] for name, path in given.items()}


def reader_clips(split):
    """Input function: fitted coefficients of a split's subjects in the synthetic data set, whose truth is known."""

    @one_line_errors
    def coefficients(wildcards):
        if cfg.source != "synthetic":
            raise ConfigError(
                f"source: got {cfg.source!r}, the target reader_weights needs 'synthetic': readers are trained on clips "
                "whose visemes and emotions are known"
            )
        known = [name for name in split_subjects(cfg.synthetic)[split] if name in SUBJECTS]
        if not known:
            raise ConfigError(f"subjects: got none of the synthetic split {split}, which reader_weights needs")
        return expand(f"{RESULTS}/coefficients/{{subject}}.h5", subject=known)

    return coefficients


def histories():
    """Loss histories of the networks; a checkpoint from elsewhere may have none."""
    # A motion prior that is kept is not trained.
    trained = ["denoiser"] if KEPT_PRIOR else NETWORKS
    paths = [f"{MODELS}/{name}/history.csv" for name in trained]
    return paths if cfg.checkpoint is None else local([path for path in paths if Path(path).exists()])


@one_line_errors
def evaluated_runs(wildcards):
    """Path, size and time of the metrics of all evaluated runs, in the order of their names; no run is made."""
    metrics = sorted(Path(RESULTS, "runs").glob("*/evaluation/metrics.csv"))
    if not metrics:
        raise ConfigError(f"{RESULTS}/runs: no run is evaluated yet; make the target evaluate first.")
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in metrics]


def video_tar(wildcards):
    """The subject's video archive, as a list; empty if the folder of a local source has none."""
    if cfg.source == "local":
        return local(video_archive(ARCHIVES, wildcards.subject))
    return [f"{ARCHIVES}/{wildcards.subject}/video.tar"]


def audio_tar(wildcards):
    """The subject's audio archive, as a list; empty if the folder of a local source has none."""
    if cfg.source == "synthetic" or (wildcards.subject, "audio.tar") in REMOTE:
        return [f"{ARCHIVES}/{wildcards.subject}/audio.tar"]
    return local(audio_archive(ARCHIVES, wildcards.subject))


def usable_videos(subject):
    """Files of a speaker's ordinary videos."""
    return [video.path for video in ordinary_videos(cfg)[subject] if not video.reason]


def sentence_tables(wildcards):
    """Sentence tables of all subjects that have one; the user's own table comes last and takes precedence."""
    own = [local(cfg.split.sentence_table)] if cfg.split.sentence_table else []
    if cfg.source == "synthetic":
        return of_subjects(f"{ARCHIVES}/{{subject}}/sentences.csv") + own
    if cfg.source == "videos":
        return of_subjects(f"{RESULTS}/raw/{{subject}}/sentences.csv") + own
    if cfg.source == "download":
        return [f"{ARCHIVES}/{name}/sentences.csv" for name in SUBJECTS if (name, "sentences.csv") in REMOTE] + own
    return local([path for subject in SUBJECTS for path in sentence_table(ARCHIVES, subject)]) + own


@one_line_errors
def fetched_from(wildcards):
    """Identity of an archive's content in the shared folder."""
    if (wildcards.subject, wildcards.archive) not in REMOTE:
        raise ConfigError(
            f"{cfg.download.table}: has no row for {wildcards.subject}, {wildcards.archive}; add it to fetch this file."
        )
    return REMOTE[wildcards.subject, wildcards.archive].identity


@one_line_errors
def asset_from(wildcards):
    """Terms of a licensed asset, then the identities of its files."""
    files = asset(cfg.download, wildcards.asset).values()
    terms = dict.fromkeys(name for remote in files for name in remote.terms)
    return [notice(terms), *(remote.identity for remote in files)]


@one_line_errors
def licensed(wildcards):
    """Results of the target `fetch`."""
    if not cfg.download.assets:
        raise ConfigError(
            "Configuration, download.assets: got nothing, needs the assets to fetch, such as [flame2020]."
        )
    return expand("resources/licensed/{asset}/index.csv", asset=cfg.download.assets)
