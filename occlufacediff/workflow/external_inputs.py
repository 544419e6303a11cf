"""State of the folders with results of other systems, for the rules that read them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.inputs import refuse_braces


def external_state(settings: EvaluationSettings, subject: str | None) -> dict[str, str]:
    """Digest, by method, of the names, sizes and times of the files in its folder: of a subject, or of all if None.

    A file belongs to the subject if a folder of its path, or the start of its name, is the subject's name.

    Raises:
        ConfigError: there is no such folder, or its path has a brace.
    """
    states = {}
    for name, folder in settings.external.items():
        refuse_braces(f"evaluation.external.{name}", folder)
        if not Path(folder).is_dir():
            raise ConfigError(
                f"Configuration, evaluation.external: {name}: there is no folder {folder}; give the folder with the "
                "results of this system, or remove it."
            )
        digest = hashlib.sha256()
        for place, folders, files in os.walk(folder):
            folders.sort()
            for file in sorted(files):
                path = Path(place, file)
                parts = path.relative_to(folder).parts
                if subject is None or subject in parts or path.stem == subject or path.name.startswith(f"{subject}_"):
                    state = path.stat()
                    digest.update(f"{'/'.join(parts)} {state.st_size} {state.st_mtime_ns}\n".encode())
        states[name] = digest.hexdigest()[:16]
    return states
