"""Sends packets over UDP. Nothing is repeated: a lost packet is replaced by that of the next frame."""

from __future__ import annotations

import re
import socket
from types import TracebackType
from typing import Self

from occlufacediff.errors import ConfigError


def parse_receiver(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[IPv6]:PORT``.

    Raises:
        ConfigError: it is neither, or the port is not 1 to 65535.
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\s\[\]/]+)):(\d{1,5})", text)
    if found is None or not 1 <= int(found[3]) <= 65535:
        raise ConfigError(
            f"--to {text}: needs HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:39539 or [::1]:11111"
        )
    return found[1] or found[2], int(found[3])


class UdpSender:
    """A UDP socket to one receiver. A context manager.

    Args:
        host: name or address.
        port: of the receiver.

    Attributes:
        packets: number of packets that were handed to the network.
        refused: how often the receiver's machine answered that no program listens at the port.
        failed: number of packets that the network did not take.

    Raises:
        ConfigError: the name does not resolve, or the address cannot be used.
    """

    def __init__(self, host: str, port: int) -> None:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"--to {host}:{port}: the host name cannot be resolved ({_reason(error)})") from error
        self.packets = self.refused = self.failed = 0
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.connect(address)
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"--to {host}:{port}: the address cannot be used ({_reason(error)})") from error
        # A full buffer must not delay the next frame.
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, packets: list[bytes]) -> None:
        """Send the packets of a frame. Refusals and failures are counted; the session goes on."""
        for packet in packets:
            # A refusal is the answer to an earlier packet, so this one is sent again.
            for _ in range(2):
                try:
                    self._socket.send(packet)
                except ConnectionRefusedError:
                    self.refused += 1
                    continue
                except OSError:
                    self.failed += 1
                else:
                    self.packets += 1
                break


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
