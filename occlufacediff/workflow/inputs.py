"""Inputs that the configuration names: subjects, archives, splits, the user's files. Standard library only."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path

from occlufacediff.acquire.sources import archives, asset
from occlufacediff.acquire.terms import demand_consent
from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.names import NAME
from occlufacediff.config.schema import Config
from occlufacediff.config.split import SplitPart, SplitSettings
from occlufacediff.config.visibility import demand_files
from occlufacediff.datasets.ordinary_videos import OrdinaryVideo, list_videos, listed_splits
from occlufacediff.datasets.splits import split_of, subjects_of, with_drawn_splits
from occlufacediff.datasets.transcripts import Sentence, read_transcripts
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.prediction.videos import is_list, shown
from occlufacediff.prediction.videos import list_videos as list_predicted
from occlufacediff.synthetic.plan import split_sentences, split_subjects, subject_names
from occlufacediff.weights import occlusion_weights
from occlufacediff.workflow.checkpoints import check_networks
from occlufacediff.workflow.training_inputs import expressions_of

#: In a file name: the folder holds or held recordings.
_TRACE = re.compile(r"video|audio|\.tar|\.zip|sentences\.csv", re.IGNORECASE)


def subjects(config: Config) -> list[str]:
    """Names of the subjects to work on, in a fixed order.

    Raises:
        ConfigError: the folder of archives is missing or empty, a folder in it cannot be a subject's name, or a named
            subject is not in the source.
    """
    known, where = _known(config)
    if config.subjects is None:
        for name in known:
            if not NAME.fullmatch(name):
                raise ConfigError(
                    f"Configuration, archives: the folder {name!r} in {config.archives} cannot be a subject's name "
                    "(letters, digits, '_', '-' and '.'); rename it, or list the wanted ones in subjects."
                )
        return known
    for name in config.subjects:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"Configuration, subjects: there is no subject {name!r} in {where}{hint} Known are: {', '.join(known)}."
            )
    return list(dict.fromkeys(config.subjects))


def _known(config: Config) -> tuple[list[str], str]:
    """Subjects of the source, and the name of the source for messages."""
    if config.source == "synthetic":
        return subject_names(config.synthetic), "the synthetic data set"
    if config.source == "download":
        known = dict.fromkeys(subject for subject, _ in archives(config.download))
        return list(known), f"the table {config.download.table}"
    if config.source == "videos":
        return list(ordinary_videos(config)), f"the videos {config.videos}"
    return _archived(config.archives), f"the folder {config.archives}"


@cache
def _listed(source: str) -> dict[str, list[OrdinaryVideo]]:
    return list_videos(source)


def ordinary_videos(config: Config) -> dict[str, list[OrdinaryVideo]]:
    """Videos of the source ``videos`` by subject; the folder is read once.

    Raises:
        ConfigError: the folder or table is missing, empty or wrong.
    """
    return _listed(config.videos or "")


def videos_to_predict(config: Config) -> dict[str, str]:
    """Videos of the target ``predict`` by result folder, if ``video`` is a folder or table; else none.

    Raises:
        ConfigError: the folder or table is missing, empty or wrong, two videos have the same result folder, or a file
            name has a brace.
    """
    if config.video is None or not is_list(Path(config.video)):
        return {}
    videos = {name: str(path) for name, path in list_predicted([Path(config.video)]).items()}
    for path in videos.values():
        refuse_braces("video", path)
        if shown(path) != path:
            raise ConfigError(
                f"Configuration, video: the name of {shown(path)!r} is not UTF-8; rename the file, or use the command "
                "`occlufacediff predict`, which accepts it."
            )
    return videos


def refuse_braces(key: str, path: str | None) -> None:
    """Refuse a path that Snakemake cannot use as an input file.

    Raises:
        ConfigError: there is a brace in it.
    """
    if path is not None and re.search("[{}]", path):
        raise ConfigError(
            f"Configuration, {key}: got {path!r}, but Snakemake reads braces in a path as wildcards; rename the file "
            "or folder, or use the commands `occlufacediff predict` and `occlufacediff benchmark`, which accept it."
        )


def check_inputs(config: Config) -> None:
    """Check the user's files that the configuration names, and the consent to terms of what is downloaded.

    Raises:
        ConfigError: a file or folder is missing or has a brace in its path, an asset is unknown, or terms that apply
            are not accepted.
    """
    for key, path in {
        "archives": config.archives,
        "videos": config.videos,
        "checkpoint": config.checkpoint,
        "run.init_from": config.run.init_from,
        "run.motion_prior": config.run.motion_prior,
        "head": config.head,
        "video": config.video,
        "benchmark_videos": config.benchmark_videos,
        "emote.folder": config.emote.folder,
        "prediction.arkit_mapping": config.prediction.arkit_mapping,
        "visibility.model": config.visibility.model,
        **{f"evaluation.checkpoints.{name}": path for name, path in config.evaluation.checkpoints.items()},
        "split.sentence_table": config.split.sentence_table,
        "split.transcripts": config.split.transcripts,
        **_reader_files(config.evaluation),
    }.items():
        refuse_braces(key, path)
    if config.source == "download":
        demand_consent(("mead",), config.download.accept_terms, "the data set")
    for name in config.download.assets:
        terms = dict.fromkeys(term for remote in asset(config.download, name).values() for term in remote.terms)
        demand_consent(tuple(terms), config.download.accept_terms, f"the asset {name}")
    if config.landmarks.source == "emote":
        _check_emote(config, Path(emote_landmarks(config)))
    if config.reconstruction.source == "emote":
        _check_emote(config, Path(emote_coefficients(config)))
    demand_files(config.visibility, "Configuration, visibility")
    if config.visibility.source == "auto":
        occlusion_weights()
    if config.split.sentence_table is not None and not Path(config.split.sentence_table).is_file():
        raise ConfigError(
            f"Configuration, split.sentence_table: there is no file {config.split.sentence_table}; give a CSV "
            "table with the columns subject, clip, sentence_id, or null."
        )
    if config.split.transcripts is not None and not Path(config.split.transcripts).is_file():
        raise ConfigError(
            f"Configuration, split.transcripts: there is no file {config.split.transcripts}; give a text file with "
            "lines 'subject_level_n_emotion_number TRANSCRIPT', or null to use the clips' numbers."
        )
    if config.head is not None and not Path(config.head).is_file():
        raise ConfigError(
            f"Configuration, head: there is no file {config.head}; give a head model (.npz), or null to build the open "
            "head."
        )
    if config.head is not None:
        expressions_of(Path(config.head))
    for key, path in _reader_files(config.evaluation).items():
        if path is not None and not Path(path).is_file():
            raise ConfigError(
                f"Configuration, {key}: there is no file {path}; give the file as docs/readers.md describes, or null."
            )
    if config.video is not None and not Path(config.video).exists():
        raise ConfigError(
            f"Configuration, video: there is no file {config.video}; give the path of a video, a folder of videos or a "
            "table."
        )
    if config.checkpoint is not None:
        for network in ("motion_prior", "denoiser"):
            file = Path(config.checkpoint, network, "model.safetensors")
            if not file.is_file():
                raise ConfigError(
                    f"Configuration, checkpoint: there is no file {file}; train first (`make run` makes "
                    "results/synthetic/runs/main), or give the folder of another trained model, or null to train here."
                )
        check_networks("checkpoint", config.checkpoint)


def _reader_files(settings: EvaluationSettings) -> dict[str, str | None]:
    """The user's files of readers, by key."""
    return {
        "evaluation.readers": None if settings.readers == "open" else settings.readers,
        "evaluation.lip_reading.reader": settings.lip_reading.reader,
        "evaluation.lip_reading.labels": settings.lip_reading.labels if settings.lip_reading.reader else None,
        "evaluation.emotion_recogniser": settings.emotion_recogniser,
    }


def emote_landmarks(config: Config) -> str:
    """Folder of the published landmarks; a subject's clips lie in ``<subject>/<view>/`` below."""
    return f"{config.emote.folder}/landmarks_original/mediapipe"


def emote_coefficients(config: Config) -> str:
    """Folder of the published coefficients; a subject's clips lie in ``<subject>/<view>/`` below."""
    return f"{config.emote.folder}/reconstructions/{config.emote.reconstruction}"


def _check_emote(config: Config, folder: Path) -> None:
    for subject in subjects(config):
        wanted = folder / subject / config.acquire.view
        if not wanted.is_dir():
            raise ConfigError(
                f"Configuration, emote.folder: there is no folder {wanted}; give EMOTE's folder 'processed', and "
                "in subjects only those that it holds."
            )


def split_settings(config: Config) -> SplitSettings:
    """Settings of the splits, with the lists that the plan of synthetic data or the rule ``speakers`` determines."""
    if config.source == "videos":
        parts = listed_splits(ordinary_videos(config))
        if parts is not None:
            return _by_table(config, parts)
    empty = all(part == SplitPart() for part in (config.split.train, config.split.validation, config.split.test))
    if config.source != "synthetic" or config.split.rule != "lists" or not empty:
        return with_drawn_splits(config.split, subjects(config), config.seed)
    names, sentences = split_subjects(config.synthetic), split_sentences(config.synthetic)
    parts = {split: SplitPart(names[split], [str(number) for number in sentences[split]]) for split in names}
    return replace(config.split, train=parts["train"], validation=parts["validation"], test=parts["test"])


def scored_subjects(config: Config) -> list[str]:
    """Subjects that may have clips of the evaluated split, in the order of `subjects`."""
    settings, known, split = split_settings(config), subjects(config), config.evaluation.split
    if settings.rule in ("all_test", "all_train"):
        return known
    splits = ("validation", "test") if split == "validation" and settings.validation_is_test else (split,)
    theirs = {name for one in splits for name in subjects_of(one, settings)}
    return [name for name in known if name in theirs]


def _by_table(config: Config, parts: dict[str, SplitPart]) -> SplitSettings:
    """Settings with the splits of a table of videos."""
    if config.split.rule != "speakers" or any(getattr(config.split, split).subjects for split in parts):
        raise ConfigError(
            f"Configuration, split.rule: got {config.split.rule!r}, but the table {config.videos} has a column split; "
            "set split.rule to 'speakers' without lists, or remove the column."
        )
    return replace(config.split, train=parts["train"], validation=parts["validation"], test=parts["test"])


def check_splits(config: Config, needed: Collection[str], use: str = "training") -> None:
    """Refuse a configuration whose splits are empty, before any clip is processed.

    Only what the configuration determines is checked: which subjects and sentences belong to a split, and whether the
    table of transcripts lists such clips. Whether the archives have them is known after unpacking.

    Args:
        needed: splits that must not be empty, among ``train``, ``validation`` and ``test``.
        use: what needs them, for the message: ``training`` or ``evaluation``.

    Raises:
        ConfigError: a needed split has no subject of the data set, or no sentence, or the table of transcripts is
            wrong.
    """
    settings, known = split_settings(config), subjects(config)
    spoken = transcripts(settings)
    for split in needed:
        if split == "validation" and settings.validation_is_test:
            split = "test"
        lack = _lack(split, settings, known, spoken)
        if lack:
            raise ConfigError(
                f"Configuration, split.{split}: {lack}, but {use} needs {split} clips; list subjects and sentences "
                "in split (config/mead.yaml is an example), or give a trained model as checkpoint."
            )


def _lack(
    split: str, settings: SplitSettings, known: Collection[str], spoken: dict[tuple[str, str], Sentence] | None
) -> str:
    """What leaves a split without clips, or an empty text."""
    if settings.rule in ("all_test", "all_train"):
        only = settings.rule.removeprefix("all_")
        return "" if split == only else f"the rule {settings.rule!r} makes every clip a {only} clip"
    theirs = subjects_of(split, settings)
    if not theirs:
        return "no subject is listed"
    part: SplitPart = getattr(settings, split)
    # The rule `mead` gives its sentences by their numbers, and `speakers` needs none.
    by_list = settings.rule == "lists" or (settings.rule == "mead" and part != SplitPart())
    if by_list and not part.sentences:
        return "no sentence is listed"
    if not theirs & set(known):
        return f"none of its subjects {sorted(theirs)} is in the data set, which has {sorted(known)}"
    if spoken is not None and not any(
        subject in known and split_of(subject, sentence.id, settings)[0] == split
        for (subject, _), sentence in spoken.items()
    ):
        return f"{settings.transcripts} has no sentence of this split for the subjects {sorted(theirs & set(known))}"
    return ""


def transcripts(settings: SplitSettings) -> dict[tuple[str, str], Sentence] | None:
    """The table of transcripts that the configuration names, or None.

    Raises:
        ConfigError: it cannot be read, or a line is wrong.
    """
    if settings.transcripts is None:
        return None
    try:
        return read_transcripts(Path(settings.transcripts), normalise_apostrophes=settings.normalise_apostrophes)
    except AssetError as error:
        raise ConfigError(f"Configuration, split.transcripts: {error}") from None


def video_archive(folder: str, subject: str) -> list[str]:
    """The subject's ``video.tar`` in a local folder, as a list; without it the manifest has a row ``no_archive``."""
    return _if_there(folder, subject, "video.tar")


def audio_archive(folder: str, subject: str) -> list[str]:
    """The subject's ``audio.tar`` in a local folder, as a list; without it the audio of the videos is used."""
    return _if_there(folder, subject, "audio.tar")


def sentence_table(folder: str, subject: str) -> list[str]:
    """The subject's ``sentences.csv`` in a local folder, as a list; without it a clip's number is its sentence."""
    return _if_there(folder, subject, "sentences.csv")


def _if_there(folder: str, subject: str, name: str) -> list[str]:
    path = Path(folder, subject, name)
    return [str(path)] if path.is_file() else []


def _archived(folder: str | None) -> list[str]:
    """Subjects in a local folder: folders with a ``video.tar``, and folders that seem to lack one."""
    root = Path(folder or "")
    if not root.is_dir():
        raise ConfigError(
            f"Configuration, archives: there is no folder {root}; give the one that holds <subject>/video.tar "
            "(--config archives=FOLDER)."
        )
    folders = sorted(path for path in root.iterdir() if not path.name.startswith(".") and path.is_dir())
    whole = {path.name for path in folders if (path / "video.tar").is_file()}
    if not whole:
        raise ConfigError(
            f"Configuration, archives: no subject in {root}; needs <subject>/video.tar and <subject>/audio.tar in it."
        )
    return [path.name for path in folders if path.name in whole or _lacks_archives(path)]


def _lacks_archives(folder: Path) -> bool:
    """Whether a folder without ``video.tar`` is a subject: a valid name, and empty or with other files of one."""
    if not NAME.fullmatch(folder.name):
        return False
    try:
        names = [entry.name for entry in folder.iterdir()]
    except PermissionError:
        return True
    return not names or any(_TRACE.search(name) for name in names)
