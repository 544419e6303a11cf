"""Names of files that hold videos. Standard library only: the rules ask while they are read."""

from __future__ import annotations

#: Endings of video files wherever they are looked for by name, in small letters and in order.
VIDEO_SUFFIXES = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
