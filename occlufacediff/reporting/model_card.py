"""The model card of the open weights, from its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def card(parts: Mapping[str, Any]) -> str:
    """The card as Markdown; a name that the template needs and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("occlufacediff.reporting", "."),
        # Markdown, read as it is.
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("model_card.md.j2").render(parts)
