"""Secrets from the environment or from a command; they are never shown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from threading import Lock

from requests import PreparedRequest
from requests.auth import AuthBase

from occlufacediff.errors import AssetError

#: Time limit of the token command, in seconds.
COMMAND_S = 60.0


class Secret:
    """A string that is never shown in messages, logs or representations."""

    def __init__(self, text: str) -> None:
        """Store ``text``."""
        self._text = text

    def reveal(self) -> str:
        """The string itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret cannot be serialised")


class Bearer(AuthBase):
    """Authorization by a bearer token that all threads share; requests removes it on redirects to another host."""

    def __init__(self, token: Secret, command: Sequence[str] = ()) -> None:
        """Store the token, and the command (argv) that prints the next one, if any."""
        self._token, self._command, self._lock = token, tuple(command), Lock()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = _header(self._token)
        return request

    def renew(self, refused: PreparedRequest) -> bool:
        """Replace the token that the server rejected.

        The command runs once per token, in the first thread whose request fails; other threads wait for it.

        Returns:
            whether to repeat the request.

        Raises:
            AssetError: the command fails, or prints the rejected token again.
        """
        header = refused.headers.get("Authorization")
        # Without the header, the response is from another host after a redirect.
        if not self._command or header is None:
            return False
        with self._lock:
            if header == _header(self._token):
                token = from_command(self._command)
                if header == _header(token):
                    raise AssetError(
                        "download.token_command: it prints the token that the server has just rejected (401) again; "
                        "check that its account is logged in and may read the files (scope drive.readonly), then run "
                        "again; downloaded files are kept."
                    )
                self._token = token
        return True


def _header(token: Secret) -> str:
    return f"Bearer {token.reveal()}"


class Anonymous(AuthBase):
    """No authorization, not even from ``.netrc``."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


def from_environment(variable: str, key: str, what: str) -> Secret:
    """Read a secret from an environment variable.

    Args:
        variable: its name.
        key: the key of the configuration that names it.
        what: description of the secret, for the message.

    Raises:
        AssetError: it is not set, empty or has invalid characters.
    """
    text = os.environ.get(variable, "").strip("\r\n")
    if not text:
        also = ", or set download.token_command to a command that prints it" if key == "token_variable" else ""
        raise AssetError(
            f"The environment variable {variable} is not set; it must contain {what} (see the key download.{key}). "
            f"Set it in the shell that starts the workflow, by: read -rs {variable} && export {variable}{also}"
        )
    if not text.isprintable() or (key == "token_variable" and not _could_be_token(text)):
        raise AssetError(
            f"The environment variable {variable} has characters that {what} cannot have; copy it again, in one line."
        )
    return Secret(text)


def bearer(variable: str, command: Sequence[str]) -> Bearer:
    """Authorization by the token in an environment variable, or by the output of a command if it is not set.

    Args:
        variable: its name.
        command: argv of ``download.token_command``; empty: none, and the variable is required.

    Raises:
        AssetError: there is no token.
    """
    if command and not os.environ.get(variable, "").strip():
        return Bearer(from_command(command), command)
    return Bearer(from_environment(variable, "token_variable", "the shared folder's token"), command)


def from_command(command: Sequence[str]) -> Secret:
    """Run a command without a shell and read the secret that it prints; its output and errors are never shown.

    Raises:
        AssetError: it cannot be started, fails, takes more than a minute, or does not print one token.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False)
    except OSError as error:
        # Do not show the command: it may contain a token by mistake.
        raise _no_token(f"cannot be started ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise _no_token(f"has not ended after {COMMAND_S:.0f} s; it must not wait for input") from None
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
        f"download.token_command: the command {what}; try it in the shell that starts the workflow: it must print "
        "the shared folder's token and nothing else. Downloaded files are kept."
    )
