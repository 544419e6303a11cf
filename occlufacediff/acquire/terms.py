"""Terms of use of downloads, and the user's consent. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from occlufacediff.errors import ConfigError


@dataclass(frozen=True)
class Terms:
    """Terms of use: subject, owner and address."""

    what: str
    owner: str
    address: str


TERMS = {
    "mead": Terms("MEAD, talking faces", "the authors of MEAD", "https://wywu.github.io/projects/MEAD/MEAD.html"),
    "flame": Terms(
        "the head model FLAME",
        "the Max Planck Institute for Intelligent Systems",
        "https://flame.is.tue.mpg.de/modellicense.html",
    ),
    "emote": Terms(
        "EMOTE: FLINT and the processed files of MEAD",
        "the Max Planck Institute for Intelligent Systems",
        "https://emote.is.tue.mpg.de/license.html",
    ),
    "emoca": Terms(
        "the face reconstruction EMOCA",
        "the Max Planck Institute for Intelligent Systems",
        "https://emoca.is.tue.mpg.de/license.html",
    ),
    "occlufacediff": Terms(
        "the published denoiser", "the authors of OccluFaceDiff", "https://github.com/EvelynQIN/OccluFaceDiff"
    ),
    "wav2vec2": Terms(
        "the audio encoder wav2vec2-base-960h, under the Apache License 2.0",
        "Meta AI (facebook)",
        "https://huggingface.co/facebook/wav2vec2-base-960h",
    ),
}


def notice(names: Iterable[str]) -> str:
    """One line about the terms that apply."""
    found = [TERMS[name] for name in names]
    return "; ".join(f"{terms.what}: terms of {terms.owner}, {terms.address}" for terms in found)


def demand_consent(names: Sequence[str], accepted: Sequence[str], wanted: str) -> None:
    """Require that the user has accepted the terms.

    Args:
        names: terms that apply, keys of `TERMS`.
        accepted: ``download.accept_terms``.
        wanted: the download, for the message.

    Raises:
        ConfigError: an accepted name is unknown, or terms that apply are not accepted.
    """
    for name in accepted:
        if name not in TERMS:
            raise ConfigError(
                f"Configuration, download.accept_terms: there are no terms {name!r}; known are: {', '.join(TERMS)}."
            )
    missing = [name for name in names if name not in accepted]
    if missing:
        listed = ", ".join(dict.fromkeys([*accepted, *missing]))
        raise ConfigError(
            f"Configuration, download.accept_terms: {wanted} is under terms that are not accepted ({notice(missing)}). "
            f"Read them, and if you hold the licence and accept them, set download.accept_terms: [{listed}]."
        )
