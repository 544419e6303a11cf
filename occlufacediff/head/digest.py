"""Head name and digest in files that hold coefficients of a head model, and the check against the head in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset

HEAD_NAME = "head_name"
HEAD_DIGEST = "head_digest"
#: Hex digits of a digest in messages.
_SHOWN = 12


def head_attributes(head: HeadAsset) -> dict[str, str]:
    """Attributes of a file that holds coefficients of ``head``."""
    return {HEAD_NAME: head.name, HEAD_DIGEST: head.digest}


def require_head(source: Path | str, stored: Mapping[str, Any], head: HeadAsset, remedy: str) -> None:
    """Refuse a file that belongs to another head model.

    Digests are compared where the file has one. A file without a digest is compared by the name of its head model,
    and a file with neither (written by other programs) is accepted.

    Args:
        source: the file, for the message.
        stored: its attributes, see `head_attributes`.
        head: the head model in use.
        remedy: what the user can do, for the message.

    Raises:
        AssetError: the file belongs to another head model.
    """
    name, digest = stored.get(HEAD_NAME), stored.get(HEAD_DIGEST)
    same = name in (None, head.name) if digest is None else str(digest) == head.digest
    if not same:
        raise AssetError(
            f"{source}: belongs to the head model {described(name, digest)}, but the head model in use is "
            f"{described(head.name, head.digest)}; {remedy}"
        )


def described(name: str | None, digest: str | None) -> str:
    """Name and digest of a head model in a message."""
    shown = "without a name" if name is None else f"'{name}'"
    return f"{shown} (digest {str(digest)[:_SHOWN] if digest else 'not recorded'})"
