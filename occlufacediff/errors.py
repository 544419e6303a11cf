"""Errors for users: each message names the file or key, the value and the remedy."""

from __future__ import annotations

#: Replaces the clip in a row about a whole archive.
ARCHIVE = "(archive)"
#: Reason of a clip that failed with an error that the program did not foresee.
UNEXPECTED = "unexpected_error"


class OccluFaceError(Exception):
    """Base of all errors for users, which are shown without a traceback."""


class ConfigError(OccluFaceError):
    """A key of the configuration is missing or unknown, or its value has the wrong type or range."""


class AssetError(OccluFaceError):
    """A head model, checkpoint or other asset is missing, damaged or of the wrong kind."""


class ClipError(OccluFaceError):
    """A clip cannot be used. A stage records it as a failed row and continues; `predict` stops.

    Attributes:
        reason: short fixed name for tables, such as ``no_face`` or ``no_audio``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ClipError], tuple[str, str]]:
        """Both arguments, for errors of other processes."""
        return type(self), (self.reason, str(self))
