"""What a name may be that becomes a folder or file: of a data set, a subject, an asset; standard library only."""

from __future__ import annotations

import re

#: The whole name: it begins with a letter or digit, so it is no hidden file, no option and no ``..``.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
