"""What is wrong with a bus, in words that name the likely cause. Pure: evidence in, a reason out.

The table of reasons is the one source of what the log, the entities and the manual say.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf

from jkbms_addon.wire.pb.frames import HEADER

WINDOW = 20.0  # seconds of evidence that a reason is made from
PATIENCE = 8.0  # seconds without a frame before a cause is looked for; a master's cycle is 4 to 8 s
TROUBLED = 3  # more bad answers than good ones that make an address troubled; none is left when it is well again
STOOD_STILL = 4.0  # seconds between two looks that tell that this program was stopped meanwhile
ENOUGH = 24  # bytes that are needed to call something garbage


@dataclass(frozen=True, slots=True)
class Reason:
    """A symptom, what it most likely means and what to do."""

    symptom: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.symptom}: {self.cause}; {self.remedy}"


REASONS: dict[str, Reason] = {
    "nothing_polled": Reason(
        "no answer to any question",
        "wires, power, DIP address or UART protocol of the BMS",
        "check A, B and GND, that the BMS is awake, the configured addresses, and that its UART protocol is 001; "
        "firmware 19.10 and newer may keep another protocol on UART2 until its history data are erased in the JK app",
    ),
    "nothing_heard": Reason(
        "nothing is sent on this bus",
        "no BMS with DIP address 0 is master here, or A and B are not connected",
        "set one BMS to DIP 0, or use the strategy master or auto",
    ),
    "nothing_gateway": Reason(
        "the gateway sends nothing",
        "it converts Modbus instead of passing bytes on, has other serial settings, or the bus behind it is silent",
        "set it to transparent TCP server, 115200 8N1, and allow this client",
    ),
    "echo": Reason(
        "only our own questions come back",
        "the adapter echoes what it sends, and no BMS answers",
        "check that A and B reach the BMS and are not swapped",
    ),
    "flood": Reason(
        "a stream of FF, 7F or 00 bytes",
        "A and B are swapped, or the bus has no bias when nobody talks",
        "swap A and B; connect GND; fit 120 ohm at both ends",
    ),
    "garbage": Reason(
        "bytes that are no message of this protocol",
        "wrong speed or another protocol on this port",
        "set UART protocol 001 (115200 baud) in the JK app, or leave 013 and set baudrate to 9600",
    ),
    "damaged": Reason(
        "frames arrive damaged",
        "noise, missing ground, a cheap adapter, or two BMSs with the same address answering at once",
        "connect GND, use an isolated adapter, check the DIP switches",
    ),
    "unanswered": Reason(
        "a master asks on this bus, but no answer arrives whole",
        "the BMSs that it asks are off, or their answers are damaged on the way",
        "check the wires to them, GND and termination, and their DIP addresses",
    ),
    "legacy": Reason(
        "messages of the first-generation protocol (4E 57)",
        "the UART1 protocol of this BMS is 000",
        "set it to 001 in the JK app, or use the strategy ttl on this port",
    ),
    "two_masters": Reason(
        "another master is asking on this bus",
        "a BMS with DIP address 0, or another program or inverter",
        "we stay silent; give that BMS an address from 1 to 15, or use the strategy listen or auto",
    ),
    "duplicate": Reason(
        "two BMSs answer at the same address",
        "their DIP switches are equal",
        "give each BMS an address of its own",
    ),
    "unproved": Reason(
        "frames arrive whole, but nothing proves from which BMS",
        "the acknowledgement behind each frame gets lost on the way, and a configured address does not answer",
        "list only the addresses that exist; check the adapter or the gateway, which may cut short messages off",
    ),
    "cut": Reason(
        "its answers arrive cut or damaged",
        "two BMSs with this address answer at once, an adapter that loses bytes, noise, or a missing ground",
        "give each BMS an address of its own, connect GND, try an isolated adapter",
    ),
    "exception": Reason(
        "it refuses our questions (Modbus exception)",
        "another device has this address, or the UART protocol of this BMS is not 001",
        "check the configured addresses, and set UART protocol 001 in the JK app",
    ),
    "modbus_tcp": Reason(
        "the gateway speaks Modbus TCP",
        "its conversion swallows the 300-byte frames",
        "set it to transparent (raw) TCP and switch the Modbus conversion off",
    ),
    "heartbeat": Reason(
        "the gateway sends a packet of its own again and again",
        "a heartbeat or registration packet, which lands inside frames",
        "switch heartbeat and registration packets off",
    ),
    "half_open": Reason(
        "the connection to the gateway is open but nothing comes",
        "the gateway restarted or serves another client",
        "it is connected again; allow more than one client or close the other one",
    ),
}


@dataclass(slots=True)
class Trouble:
    """What one address did instead of answering well: ``bad`` counts up with each of it and down with good answers."""

    kind: str = ""
    detail: str = ""
    bad: int = 0
    told: bool = False


@dataclass(slots=True)
class Diagnosis:
    """Evidence of one bus. ``polling`` tells which silence is strange, ``tcp`` whether a gateway is between.

    ``undecided`` is while it is not known yet whether this program has to ask: then silence tells nothing.
    ``missed`` is since when those who were there do not answer: between two rounds nobody need speak.
    """

    polling: bool
    tcp: bool = False
    undecided: bool = False
    started: float | None = None
    last_frame: float | None = None
    last_byte: float | None = None
    last_whole: float | None = None  # when a frame came whole of which nobody knows who sent it
    missed: float | None = None
    last_short: float | None = None  # when a question or an acknowledgement was heard whole
    echoes: int = 0
    damaged: int = 0
    foreign: float | None = None  # when another master was heard
    _awake: float | None = None
    _chunks: deque[tuple[float, bytes]] = field(default_factory=lambda: deque(maxlen=64))
    _clocks: dict[int, deque[float]] = field(default_factory=dict)
    duplicates: set[int] = field(default_factory=set)
    _troubles: dict[int, Trouble] = field(default_factory=dict)

    def awake(self, now: float) -> None:
        """This program looks, as it does about once a second; if it could not for a while, the silence was its own."""
        if self._awake is not None and now - self._awake > STOOD_STILL:
            self.started, self.missed = now, None
            self.last_frame = None if self.last_frame is None else now
        self._awake = now

    def chunk(self, data: bytes, now: float) -> None:
        """Bytes as they arrived."""
        self.started = now if self.started is None else self.started
        if data:
            self.last_byte = now
            self._chunks.append((now, data[:64]))

    def frame(self, address: int, clock: float | None, now: float) -> None:
        """A valid frame; ``clock`` is the running time that it tells, in s."""
        self.last_frame, self.missed, self.damaged = now, None, 0
        self._chunks.clear()  # whatever came before is no sign of what is wrong now
        if address in self._troubles:
            self._better(address)
        if clock is None:
            return
        told = self._clocks.setdefault(address, deque(maxlen=6))
        told.append(clock - now)
        self._compare(address, told)

    def whole(self, now: float) -> None:
        """A valid frame of which nobody knows who sent it: neither noise nor the wrong speed."""
        self.last_whole, self.damaged = now, 0
        self._chunks.clear()

    def unanswered(self, now: float) -> None:
        """A question that should have been answered was not."""
        self.missed = self.missed or now

    def bad(self, address: int, kind: str, detail: str = "") -> None:
        """An address gave something else than its answer: ``kind`` is the key of a reason."""
        trouble = self._troubles.setdefault(address, Trouble())
        trouble.kind, trouble.detail = kind, detail
        trouble.bad = min(trouble.bad + 1, 2 * TROUBLED)
        trouble.told |= trouble.bad >= TROUBLED

    def _better(self, address: int) -> None:
        trouble = self._troubles[address]
        trouble.bad -= 1
        if trouble.bad <= 0:
            del self._troubles[address]

    def troubles(self) -> dict[int, str]:
        """What is wrong with single addresses, in words, however well the others are."""
        found = {}
        for address, trouble in self._troubles.items():
            if trouble.told:
                reason = REASONS[trouble.kind]
                detail = f" ({trouble.detail})" if trouble.detail else ""
                found[address] = f"{reason.symptom}{detail}: {reason.cause}; {reason.remedy}"
        found.update((address, str(REASONS["duplicate"])) for address in self.duplicates)
        return found

    def _compare(self, address: int, told: deque[float]) -> None:
        """Two running times that take turns come from two units."""
        groups = sorted(told)
        split = max(range(1, len(groups)), key=lambda n: groups[n] - groups[n - 1], default=0)
        turns = sum(abs(a - b) > 60 for a, b in zip(told, list(told)[1:], strict=False))
        apart = split and groups[split] - groups[split - 1] > 60
        if apart and turns >= 3:
            self.duplicates.add(address)
        elif len(told) == 6 and not turns:
            self.duplicates.discard(address)

    def reason(self, now: float, sample: bytes = b"") -> str | None:
        """Key of the reason that fits best; None while all is well or it is too early to tell."""
        if self.foreign is not None and self.polling:
            return "two_masters"
        # where a master is heard at work, one damaged frame in a cycle says nothing yet
        asked = not self.polling and self.last_short is not None and now - self.last_short < PATIENCE
        quiet = 2 * PATIENCE if asked else PATIENCE
        if self.started is None or now - self._quiet_since() < quiet:
            return None
        if self.last_whole is not None and now - self.last_whole < WINDOW:
            return "unproved"
        recent = [data for at, data in self._chunks if now - at <= WINDOW]
        if not recent or self._broken_off(recent, now):
            return self._silence()
        return self._noise(recent, sample, asked=asked)

    def _quiet_since(self) -> float:
        """Since when somebody should have been heard: where we ask, that is not before a question."""
        quiet = self.last_frame if self.last_frame is not None else self.started
        assert quiet is not None
        if self.polling and self.last_frame is not None:
            return inf if self.missed is None else max(quiet, self.missed)
        return quiet

    def _broken_off(self, recent: list[bytes], now: float) -> bool:
        """Whether the last that came was half a frame of ours, and then nothing: that is silence, not noise."""
        quiet = self.last_byte is None or now - self.last_byte > PATIENCE
        return quiet and not self.damaged and HEADER in b"".join(recent)

    def _silence(self) -> str | None:
        if self.undecided:
            return None
        if self.tcp:
            return "nothing_gateway"
        return "nothing_polled" if self.polling else "nothing_heard"

    def _noise(self, recent: list[bytes], sample: bytes, *, asked: bool) -> str | None:
        heard = b"".join(recent)
        causes = (
            ("legacy", b"\x4e\x57\x00" in heard or b"\x4e\x57\x01" in heard),
            ("modbus_tcp", any(mbap(data) for data in recent)),
            ("heartbeat", repeated(recent)),
            ("damaged", self.damaged > 0),
            ("unanswered", asked),
            ("echo", self.echoes > 0 and len(sample) < ENOUGH),
            (self._silence(), len(heard) < ENOUGH),
            ("flood", idle(heard) > 0.7),
        )
        return next((key for key, found in causes if found), "garbage")


def mbap(data: bytes) -> bool:
    """Whether a packet is a Modbus TCP message: protocol 0, its length right, a known function."""
    return (
        len(data) >= 8
        and data[2:4] == b"\x00\x00"
        and int.from_bytes(data[4:6]) == len(data) - 6
        and data[7] & 0x7F in (0x03, 0x10)
    )


def repeated(packets: list[bytes]) -> bool:
    """Whether the same short packet came three times and is not part of the protocol."""
    short = [p for p in packets if 2 <= len(p) <= 40 and p[1:2] not in (b"\x10", b"\x03") and p[:2] != b"\x55\xaa"]
    return any(short.count(p) >= 3 and idle(p) < 0.7 for p in set(short))


def idle(data: bytes) -> float:
    """Share of bytes that an undriven line shows."""
    return sum(byte in (0xFF, 0x7F, 0x00, 0xFE, 0xFC) for byte in data) / len(data)
