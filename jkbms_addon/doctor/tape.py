"""Bytes of a bus as lines of a capture file, without secrets. Pure."""

from jkbms_addon.doctor.masking import Masker
from jkbms_addon.doctor.recording import Chunk, header, line


class Tape:
    """Takes chunks, gives lines. ``started`` is an ISO time, ``program`` the version that writes."""

    def __init__(self, target: str, started: str, program: str, *, serials: bool = False) -> None:
        self._lines = [header(target, started, program)]
        self._masker = Masker(serials=serials)
        self.received = self.sent = 0

    def take(self, chunk: Chunk | None) -> None:
        """The next chunk; None after a silence and at the end."""
        if chunk is None:
            settled = self._masker.flush()
        else:
            settled = self._masker.feed(chunk)
            if chunk.direction == "rx":
                self.received += len(chunk.data)
            else:
                self.sent += len(chunk.data)
        self._lines += map(line, settled)

    def lines(self) -> list[str]:
        """What is settled since the last time."""
        found, self._lines = self._lines, []
        return found
