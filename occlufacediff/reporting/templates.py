"""Fill the package's templates: HTML pages and the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def render(template: str, parts: Mapping[str, Any]) -> str:
    """Fill a template of this package. Values are escaped in HTML templates and inserted verbatim in others.

    Raises:
        jinja2.UndefinedError: the template needs a value that ``parts`` does not contain.
    """
    html = template.endswith(".html.j2")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("occlufacediff.reporting", "."),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=not html,
        keep_trailing_newline=not html,
    )
    return environment.get_template(template).render(parts)
