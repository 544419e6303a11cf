"""The command `occlufacediff live`: facial motion of a camera, file or stream, sent to another program."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Literal

from rich.console import Console

from occlufacediff.errors import ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.live.capture import Capture
from occlufacediff.live.face import LiveFace
from occlufacediff.live.livelink_udp import LiveLinkFormat
from occlufacediff.live.message import Format
from occlufacediff.live.microphone import Microphone, parse_microphone
from occlufacediff.live.sender import UdpSender, parse_receiver
from occlufacediff.live.session import Figures, run_session
from occlufacediff.live.source import parse_source
from occlufacediff.live.speech import SpeechThread
from occlufacediff.live.vmc import VmcFormat
from occlufacediff.stages.open_head import open_head
from occlufacediff.storage import StorageError


def run(
    source: str,
    *,
    send: Literal["vmc", "livelink"],
    to: str,
    head: Path | None,
    find_hidden: bool,
    look_ahead: float,
    microphone: str | None,
    mirror: bool,
    presets: bool,
    subject: str,
    wait: float,
    seconds: float | None,
    log: Path | None,
    profile: bool,
) -> None:
    """Send the motion of a source until it ends or Ctrl-C. Lines about the session go to stderr.

    Args:
        source: see `live.source.parse_source`.
        send: format.
        to: receiver, HOST:PORT.
        head: head model; None for the open head.
        find_hidden: search for hidden landmarks.
        look_ahead: seconds by which the motion of hidden parts follows the audio; 0: they do not use the audio.
        microphone: FORMAT:DEVICE, see `live.microphone.parse_microphone`; None for the audio of the source.
        mirror: exchange left and right.
        presets: VRM's presets instead of ARKit's weights (``vmc``).
        subject: name of the subject (``livelink``).
        wait: seconds without a frame after which the session ends.
        seconds: end after this time; None: no limit.
        log: CSV file with a row for each frame.
        profile: also print the processor time per frame.

    Raises:
        ConfigError: source or receiver cannot be understood, or the head model has no ARKit actions.
        ClipError: source or microphone cannot be opened, or the source is gone.
        StorageError: the log cannot be written.
    """
    errors = Console(stderr=True, highlight=False)

    def say(line: str) -> None:
        errors.print(line, soft_wrap=True, markup=False)

    where, (host, port) = parse_source(source), parse_receiver(to)
    form: Format = VmcFormat(presets=presets) if send == "vmc" else LiveLinkFormat(subject)
    heard_from = None if microphone is None else parse_microphone(microphone)
    if heard_from is not None and look_ahead == 0:
        raise ConfigError(
            f"--microphone {microphone}: hidden parts follow speech only with a look-ahead; add --look-ahead 0.3"
        )
    if look_ahead > 0 and where.kind == "camera" and heard_from is None:
        raise ConfigError(
            f"--look-ahead {look_ahead:g}: {source} gives no audio, which the motion of hidden parts would follow; "
            "give --microphone FORMAT:DEVICE, or leave the option out"
        )
    figures = Figures()
    with ExitStack() as stack:
        sender = stack.enter_context(UdpSender(host, port))
        asset = HeadAsset.load(head or open_head(say))
        speech = None if look_ahead == 0 else SpeechThread(asset.expression_names, look_ahead)
        face = stack.enter_context(LiveFace(asset, find_hidden=find_hidden, mirror=mirror, speech=speech))
        if speech is not None:
            stack.enter_context(speech)
        try:
            file = None if log is None else stack.enter_context(log.open("w", newline="", encoding="utf-8"))
        except OSError as error:
            raise StorageError(f"--log {log}: cannot be written ({error.strerror}); choose another file") from error
        hear = None if speech is None else speech.hear
        if heard_from is not None and hear is not None:
            stack.enter_context(Microphone(heard_from, hear, say))
            hear = None
        capture = stack.enter_context(Capture(where, wait_s=wait, say=say, hear=hear))
        say(f"{source}: sending {send} to {to}; Ctrl-C ends")
        stack.enter_context(_ended_by_sigterm())
        try:
            with suppress(KeyboardInterrupt):
                run_session(capture, face, form, sender, figures, seconds=seconds, log=file, say=say)
        finally:
            say(figures.line())
            if speech is not None:
                figures.parts_s["speech"] = speech.cpu_s
            if profile:
                say(figures.profile())


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that a session ends with its summary when a service manager stops it."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
