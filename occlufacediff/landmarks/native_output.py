"""Removes log lines of MediaPipe and TensorFlow Lite from the error output.

Their native code writes to file descriptor 2 from several threads at any time, and no setting stops all of it. So the
descriptor becomes a pipe to a small filter process, which passes on all lines but these. A separate process, unlike a
thread, still writes the last lines of a process that crashed.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

#: Set in this process and its children: the pipe (device and inode) that already leads to a filter.
_FILTERED = "OCCLUFACEDIFF_FILTERED_STDERR"

#: The filter: reads descriptor 0 and writes to descriptor 2. Text is held back only while it may be a log line.
_FILTER = r"""
import os, re, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
# A terminal with `stty tostop` would stop a background process that writes.
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
starts = (b"INFO: Created TensorFlow Lite ", b"WARNING: All log messages before absl::InitializeLog() ")
# A log line can follow a progress bar, which does not end its line.
noise = re.compile(b"|".join([rb"[IW]\d{4} \d\d:\d\d:\d+\.\d+ ", *map(re.escape, starts)]))
begun = [re.escape(start[:length]) for start in starts for length in range(1, len(start))]
undecided = re.compile(b"(?:" + b"|".join([rb"[IW][\d :.]{0,40}", *begun]) + rb")\Z")

def write(text):
    while text:
        text = text[os.write(2, text):]

held = b""
while True:
    chunk = os.read(0, 65536)
    *lines, held = (held + chunk).split(b"\n")
    for line in lines:
        found = noise.search(line)
        write(line[:found.start()] if found else line + b"\n")
    found = noise.search(held) or (undecided.search(held) if chunk else None)
    place = found.start() if found else len(held)
    write(held[:place])
    held = held[place:]
    if not chunk:
        break
"""


def filter_native_output() -> None:
    """Filter the error output of this process and its children from now on. Call it before MediaPipe is imported.

    Python's own error output bypasses the filter, so it still knows whether it writes to a terminal.
    """
    # Read once, when the library is loaded.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not sys.executable or _identity(2) in (None, os.environ.get(_FILTERED)):
        return
    target = os.dup(2)
    read_end, write_end = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, read_end, 0), (os.POSIX_SPAWN_DUP2, target, 2)]
        # A process group of its own, so that Ctrl-C does not end it before the last line.
        os.posix_spawn(
            sys.executable, [sys.executable, "-I", "-S", "-c", _FILTER], os.environ, file_actions=actions, setpgroup=0
        )
        with suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
            if sys.stderr.fileno() == 2:
                sys.stderr.flush()
                sys.stderr = os.fdopen(os.dup(target), "w", buffering=1, errors="backslashreplace")
        os.dup2(write_end, 2)
        os.environ[_FILTERED] = str(_identity(2))
    finally:
        for descriptor in (target, read_end, write_end):
            os.close(descriptor)


def _identity(descriptor: int) -> str | None:
    """Device and inode of an open file; None if the descriptor is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return f"{status.st_dev}:{status.st_ino}"
