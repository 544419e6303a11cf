"""Writes what documents the configuration from the schema itself: defaults with comments, JSON schema, table of keys.

`python -m occlufacediff.config.document` writes the three files; a test fails when they and the schema disagree.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter

from occlufacediff.config.schema import Config
from occlufacediff.config.section import section_type
from occlufacediff.files import written_aside

FOLDER = Path(__file__).resolve().parents[2] / "config"
WIDTH = 118
MARK = "<!-- keys: written by `make config` from the schema -->"


@dataclasses.dataclass(frozen=True)
class Key:
    """One key: its full name, its explanation, and its default, or the section that it holds."""

    name: str
    text: str
    default: Any
    section: type | None

    @property
    def depth(self) -> int:
        """Number of sections it lies in."""
        return self.name.count(".")


def keys(kind: type = Config, instance: Any = None, prefix: str = "") -> Iterator[Key]:
    """All keys in the order of the schema, a section before what it holds."""
    instance = kind() if instance is None else instance
    hints, texts = get_type_hints(kind), explanations(kind)
    for field in dataclasses.fields(kind):
        value, below = getattr(instance, field.name), section_type(hints[field.name])
        name = prefix + field.name
        text = texts[field.name]
        if below is not None and value is not None:
            yield Key(name, text or summary(below), None, below)
            yield from keys(below, value, f"{name}.")
        else:
            yield Key(name, text, value, None)


def summary(kind: type) -> str:
    """First paragraph of a section's docstring."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def explanations(kind: type) -> dict[str, str]:
    """What the source says about each field: ``#:`` lines above it, or a string below it.

    A field without either shares the explanation of the one above it, but one that holds a section has none.
    """
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    hints = get_type_hints(kind)
    texts: dict[str, str] = {}
    last = ""
    for node, following in zip(body.body, [*body.body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        name = node.target.id
        above: list[str] = []
        number = node.lineno - 2
        while number >= 0 and lines[number].strip().startswith("#:"):
            above.insert(0, lines[number].strip()[2:].strip())
            number -= 1
        text = " ".join(above)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = " ".join(str(following.value.value).split())
        if section_type(hints[name]) is not None:
            texts[name] = text
        else:
            last = text or last
            texts[name] = last
    return texts


def plain(value: Any) -> Any:
    """A default as YAML and JSON have it."""
    return json.loads(json.dumps(value))


def default_yaml() -> str:
    """The default configuration, each key under its explanation."""
    lines = [
        "# Every key with its default, written by `make config` from the schema (occlufacediff/config/).",
        "# Do not change it: put the keys that differ into a file of your own and give that by --configfile.",
        "",
    ]
    said = ""
    for key in keys():
        indent = "  " * key.depth
        if key.section is not None and key.depth == 0:
            lines.append("")
        if key.text != said:
            lines += [f"{indent}# {line}" for line in textwrap.wrap(key.text, WIDTH - len(indent) - 2)]
        said = key.text
        last = key.name.rpartition(".")[2]
        lines.append(f"{indent}{last}:" if key.section else f"{indent}{last}: {_flow(key.default)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    text = yaml.safe_dump(plain(value), default_flow_style=True, width=10**6, sort_keys=False).strip()
    return text.removesuffix("\n...").strip()


def json_schema() -> str:
    """JSON schema of the configuration, for editors that check YAML while it is written."""
    schema = TypeAdapter(Config).json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        if part.get("type") == "object":
            part["additionalProperties"] = False
            part["description"] = " ".join(part.get("description", "").split())
    kinds = {kind.section.__name__: kind.section for kind in keys() if kind.section}
    for name, part in (("Config", schema), *schema.get("$defs", {}).items()):
        kind = Config if name == "Config" else kinds.get(name)
        for field, text in (explanations(kind) if kind else {}).items():
            if text:
                part["properties"][field]["description"] = text
    return json.dumps(schema, indent=1) + "\n"


def table() -> str:
    """All keys as Markdown tables, one a section."""
    lines: list[str] = []
    for key in keys():
        if key.section is not None:
            lines += ["", f"### `{key.name}`", "", key.text, "", "| key | default | meaning |", "|---|---|---|"]
        else:
            if not lines:
                lines += ["### What is run", "", "| key | default | meaning |", "|---|---|---|"]
            text = re.sub(r"``([^`]*)``", r"`\1`", key.text).replace("|", "\\|")
            lines.append(f"| `{key.name}` | `{_flow(key.default)}` | {text} |")
    return "\n".join(lines) + "\n"


def readme(current: str) -> str:
    """The page about the configuration with its tables of keys renewed; what stands above the mark stays."""
    head, mark, _ = current.partition(MARK)
    return f"{head}{mark or MARK}\n\n{table()}"


def documents(folder: Path = FOLDER) -> dict[Path, str]:
    """Content of each file that is written from the schema."""
    page = folder / "README.md"
    return {
        folder / "default.yaml": default_yaml(),
        folder / "schema.json": json_schema(),
        page: readme(page.read_text(encoding="utf-8")),
    }


def main() -> None:
    """Write the files."""
    for path, text in documents().items():
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
