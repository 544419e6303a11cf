"""Secrets from the environment or from a command: used, and never shown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from threading import Lock

from requests import PreparedRequest
from requests.auth import AuthBase

from occlufacediff.errors import AssetError

#: How long the command that gives tokens may take, seconds.
COMMAND_S = 60.0


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
    """Authorization by a bearer token, the same one for all threads. Requests drops it where a redirect leads to
    another host."""

    def __init__(self, token: Secret, command: Sequence[str] = ()) -> None:
        """Keep the token, and the command (argv) that gives the next one; without one there is no other token."""
        self._token, self._command, self._lock = token, tuple(command), Lock()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = _header(self._token)
        return request

    def renew(self, refused: PreparedRequest) -> bool:
        """Have another token than the one that a request was refused with.

        The command is run once for each token, whichever thread is refused first; the others wait for what it gives.

        Returns:
            whether it is worth asking again.

        Raises:
            AssetError: the command fails, or gives the refused token again.
        """
        header = refused.headers.get("Authorization")
        # Without it, the refusal is another host's, to which a redirect led.
        if not self._command or header is None:
            return False
        with self._lock:
            if header == _header(self._token):
                token = from_command(self._command)
                if header == _header(token):
                    raise AssetError(
                        "download.token_command: gives the token again that the server has just refused (401); see "
                        "that its account is logged in and may read the files (scope drive.readonly), then run again: "
                        "what was fetched is kept."
                    )
                self._token = token
        return True


def _header(token: Secret) -> str:
    return f"Bearer {token.reveal()}"


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
        also = ", or set download.token_command to a command that prints it" if key == "token_variable" else ""
        raise AssetError(
            f"The environment variable {variable} is not set; it has to hold {what} (the key download.{key} names it). "
            f"Set it in the shell that starts the workflow, by: read -rs {variable} && export {variable}{also}"
        )
    if not text.isprintable() or (key == "token_variable" and not _could_be_token(text)):
        raise AssetError(
            f"The environment variable {variable} holds signs that {what} cannot have; copy it anew, in one line."
        )
    return Secret(text)


def bearer(variable: str, command: Sequence[str]) -> Bearer:
    """Authorization by the token in an environment variable, or where that is not set, by the one a command gives.

    Args:
        variable: its name.
        command: argv of ``download.token_command``; empty: there is none, and the variable has to be set.

    Raises:
        AssetError: neither gives a token.
    """
    if command and not os.environ.get(variable, "").strip():
        return Bearer(from_command(command), command)
    return Bearer(from_environment(variable, "token_variable", "the shared folder's token"), command)


def from_command(command: Sequence[str]) -> Secret:
    """What a command prints, without a shell; neither that nor what it complains about is shown.

    Raises:
        AssetError: it cannot be started, fails, takes more than a minute, or prints what is no token.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False)
    except OSError as error:
        # Not by its name: it may be a token that someone put there.
        raise _no_token(f"cannot be started ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise _no_token(f"has not ended after {COMMAND_S:.0f} s; it must not ask for anything") from None
    if done.returncode != 0:
        raise _no_token(f"ended with status {done.returncode}")
    text = done.stdout.decode("ascii", errors="replace").strip()
    if not text or not _could_be_token(text):
        raise _no_token("printed something else than one token" if text else "printed nothing")
    return Secret(text)


def _could_be_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _no_token(what: str) -> AssetError:
    return AssetError(
        f"download.token_command: the command {what}; try it in the shell that starts the workflow: it has to print "
        "the shared folder's token and nothing else. What was fetched is kept."
    )
