"""Secrets from the environment: used, and never shown."""

from __future__ import annotations

import os

from requests import PreparedRequest
from requests.auth import AuthBase

from occlufacediff.errors import AssetError


class Secret:
    """A text that no message, log or representation shows."""

    def __init__(self, text: str) -> None:
        """Keep ``text``."""
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not written anywhere")


class Bearer(AuthBase):
    """Authorization by a bearer token. Requests drops it where a redirect leads to another host."""

    def __init__(self, token: Secret) -> None:
        """Keep the token."""
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class Anonymous(AuthBase):
    """No authorization, not even what a ``.netrc`` has for the host."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


def from_environment(variable: str, key: str, what: str) -> Secret:
    """The secret in an environment variable.

    Args:
        variable: its name.
        key: the key of the configuration that names it.
        what: what it should hold, for the message.

    Raises:
        AssetError: it is not set or empty, or holds what it cannot be.
    """
    text = os.environ.get(variable, "").strip("\r\n")
    if not text:
        raise AssetError(
            f"The environment variable {variable} is not set; it has to hold {what} (the key download.{key} names it). "
            f"Set it in the shell that starts the workflow, by: read -rs {variable} && export {variable}"
        )
    if not text.isprintable() or (key == "token_variable" and (not text.isascii() or " " in text)):
        raise AssetError(
            f"The environment variable {variable} holds signs that {what} cannot have; copy it anew, in one line."
        )
    return Secret(text)
