"""Suffixes of video files. Standard library only, because the Snakefile imports it."""

from __future__ import annotations

#: Suffixes of video files, lower case and sorted.
VIDEO_SUFFIXES = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
