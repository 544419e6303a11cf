"""What the source of a data set offers: its subjects, their archives, their splits. Standard library only."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from occlufacediff.config.schema import Config
from occlufacediff.config.split import SplitPart, SplitSettings
from occlufacediff.errors import ConfigError
from occlufacediff.synthetic.plan import split_sentences, split_subjects, subject_names


def subjects(config: Config) -> list[str]:
    """Names of the subjects to work on, in a fixed order.

    Raises:
        ConfigError: the folder of archives is missing or empty, or a named subject is not in the source.
    """
    known = subject_names(config.synthetic) if config.source == "synthetic" else _archived(config.archives)
    if config.subjects is None:
        return known
    for name in config.subjects:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            where = "the synthetic data set" if config.source == "synthetic" else f"the folder {config.archives}"
            raise ConfigError(
                f"Configuration, subjects: there is no subject {name!r} in {where}{hint} Known are: {', '.join(known)}."
            )
    return list(dict.fromkeys(config.subjects))


def check_inputs(config: Config) -> None:
    """Look for the files that the configuration names and no rule makes.

    Raises:
        ConfigError: a file or folder is missing.
    """
    if config.landmarks.source == "published":
        _check_published(config, Path(published_landmarks(config)))
    if config.reconstruction.source == "published":
        _check_published(config, Path(published_coefficients(config)))
    if config.head is not None and not Path(config.head).is_file():
        raise ConfigError(
            f"Configuration, head: there is no file {config.head}; give a head model (.npz), or null to build the open "
            "head."
        )
    if config.video is not None and not Path(config.video).is_file():
        raise ConfigError(f"Configuration, video: there is no file {config.video}; give the path of a video.")
    if config.checkpoint is not None:
        for network in ("motion_prior", "denoiser"):
            file = Path(config.checkpoint, network, "model.safetensors")
            if not file.is_file():
                raise ConfigError(
                    f"Configuration, checkpoint: there is no file {file}; train first (`make run` makes "
                    "results/synthetic/models), or give the folder of another trained model, or null to train here."
                )


def published_landmarks(config: Config) -> str:
    """Folder of the published landmarks; a subject's clips lie in ``<subject>/<view>/`` below."""
    return f"{config.published.folder}/landmarks_original/mediapipe"


def published_coefficients(config: Config) -> str:
    """Folder of the published coefficients; a subject's clips lie in ``<subject>/<view>/`` below."""
    return f"{config.published.folder}/reconstructions/{config.published.reconstruction}"


def _check_published(config: Config, folder: Path) -> None:
    for subject in subjects(config):
        wanted = folder / subject / config.acquire.view
        if not wanted.is_dir():
            raise ConfigError(
                f"Configuration, published.folder: there is no folder {wanted}; give EMOTE's folder 'processed', and "
                "in subjects only those that it holds."
            )


def split_settings(config: Config) -> SplitSettings:
    """Settings of the splits; for synthetic data without lists of its own, the lists of its plan."""
    empty = all(part == SplitPart() for part in (config.split.train, config.split.validation, config.split.test))
    if config.source != "synthetic" or config.split.rule != "lists" or not empty:
        return config.split
    names, sentences = split_subjects(config.synthetic), split_sentences(config.synthetic)
    parts = {split: SplitPart(names[split], [str(number) for number in sentences[split]]) for split in names}
    return replace(config.split, train=parts["train"], validation=parts["validation"], test=parts["test"])


def audio_archive(folder: str, subject: str) -> list[str]:
    """The subject's ``audio.tar`` where a local folder has one; else the sound of the videos is used."""
    return _if_there(folder, subject, "audio.tar")


def sentence_table(folder: str, subject: str) -> list[str]:
    """The subject's ``sentences.csv`` where a local folder has one; else a clip's number names its sentence."""
    return _if_there(folder, subject, "sentences.csv")


def _if_there(folder: str, subject: str, name: str) -> list[str]:
    path = Path(folder, subject, name)
    return [str(path)] if path.is_file() else []


def _archived(folder: str | None) -> list[str]:
    """Subjects that have a ``video.tar`` in a local folder."""
    root = Path(folder or "")
    if not root.is_dir():
        raise ConfigError(
            f"Configuration, archives: there is no folder {root}; give the one that holds <subject>/video.tar "
            "(--config archives=FOLDER)."
        )
    names = sorted(path.parent.name for path in root.glob("*/video.tar"))
    if not names:
        raise ConfigError(
            f"Configuration, archives: no subject in {root}; needs <subject>/video.tar and <subject>/audio.tar in it."
        )
    return names
