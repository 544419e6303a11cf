"""The errors a user is meant to read: each names the file or key, the value found and the remedy."""

from __future__ import annotations

#: Stands for the clip in a row that speaks of a whole archive.
ARCHIVE = "(archive)"
#: Reason of a clip that failed with an error that the program did not foresee.
UNEXPECTED = "unexpected_error"


class OccluFaceError(Exception):
    """Base of every error whose message is written for the user and needs no traceback."""


class ConfigError(OccluFaceError):
    """A key of the configuration is missing, misspelt or of the wrong type or range."""


class AssetError(OccluFaceError):
    """A head model, checkpoint or other asset is missing, damaged or of another kind than needed."""


class ClipError(OccluFaceError):
    """One clip cannot be used; a data set records it as a row and goes on, `predict` stops on it.

    Attributes:
        reason: a short fixed word for tables, such as ``no_face`` or ``no_audio``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
