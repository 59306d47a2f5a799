"""Strategy *ble*: one battery over Bluetooth Low Energy, which streams by itself once it was asked.

Theory of operation. Connected, the BMS is asked for its device information until it answers, then for its settings;
both make it tell live data every half second, for as long as the link stands. Each of the three kinds of frames shows
its layout (``wire.pb.layouts``): only when they agree is anything read, and the battery is *proved*. Where they do not,
and for a balancer, the link is closed, the reason is told, and the unit is left alone for a while. Proved, it is heard;
settings are asked for every half minute, identity every hour, and what is doubted again at once; one question is
outstanding at any time. Nothing but a clock of our own tells of a frozen module or a dead Bluetooth service: ten
seconds without a frame are a lost link. Source: specification of Bluetooth, chapters 1 to 5 and 9.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.verify import Page, Registers, change
from jkbms_addon.errors import CommandError, FrameError, LinkError
from jkbms_addon.validators import adapter, address, ble_unit, pin
from jkbms_addon.wire.pb import ble_registers
from jkbms_addon.wire.pb.commands import ABOUT, HEARTBEAT, SETTINGS, SIZE, BleFramer, command
from jkbms_addon.wire.pb.frames import KINDS, Frame, decode, masked
from jkbms_addon.wire.pb.layouts import BALANCER, Name, live_layout, settings_layout, version_layout
from jkbms_addon.wire.pb.modbus import PAGES
from jkbms_addon.wire.pb.registers import WRITABLE

_LOGGER = logging.getLogger(__name__)
TRACE = 5
IDLE, PACE = 1.0, 0.1  # s: longest time of one poll; pieces of a frame are gathered for so long
SILENT = 10.0  # s without a frame after which the link is lost
EXPECTED = 1.0  # s from one live frame to the next; the longest gap seen is 1.5 s, right after a write
TRIES, ANSWER, FIRST = 3, 2.5, 3.0  # questions; s for an answer; s until the first live frame
AGAIN = 1.0  # s until a page is asked for again that must be told twice
RENEW: Final = {"settings": 30.0, "about": 3600.0}  # s
QUESTIONS: Final = {"settings": SETTINGS, "about": ABOUT}
NUMBERS: Final = {kind: number for number, kind in KINDS.items()}
ACKNOWLEDGED, SETTLE = 0.3, 0.1  # s for an acknowledgement; s in which that of an earlier question has come
PATIENCE = 2.0  # stretches the time limits of a change: an answer takes up to 0.3 s
REST = 600.0  # s for which a unit is left alone that cannot be read
NO_LIBRARY: Final = "Bluetooth is not installed here: install the extra ble of this package"
SILENCE: Final = "connected, but silent: its Bluetooth module is frozen, or that of the host; connecting anew"
NO_ANSWER: Final = (
    "connected, but it does not answer the question for {}; if that goes on, restart its Bluetooth, or set the option "
    "pin if it demands pairing"
)
NO_LIVE: Final = "connected, but it tells no measured values; restart its Bluetooth, or the BMS"
DISAGREE: Final = (
    "device information ({}), settings ({}) and measured values ({}) disagree about the layout of this model"
)
WRITTEN: Final = "32S"  # the layout whose registers are known; of the others nothing is announced as changeable
READ_ONLY: Final = "settings of this battery (layout {}) are only read over Bluetooth"
# each setting has a register of its own, and nothing of the page is needed to write it
REGISTERS: Final = Registers(
    {key: WRITABLE[key].page for key in ble_registers.REGISTERS},
    {},
    lambda _address, key, value, _page: ble_registers.write(key, value),
)
ALONE: Final = "over Bluetooth there is nobody but the battery itself, shown at address {}"
IMPOSSIBLE: Final = "the BMS tells values that contradict each other: {}"


class Pieces(Protocol):
    """An open link that brings a stream in pieces; both raise ``LinkError`` once it is gone."""

    async def read(self, seconds: float) -> list[bytes]:
        """Pieces that arrived, waiting so long for the first."""

    async def write(self, data: bytes) -> None:
        """Send up to 20 bytes."""


class Ble:
    """A connected BMS; ``begin`` before the first ``poll``."""

    def __init__(self, link: Pieces, status: BusStatus, address: int) -> None:
        self._link, self._status, self.address = link, status, address
        self.intake = Intake(status)
        self._clock = status.clock
        self._framer = BleFramer()
        self.layout: Name | None = None  # once it is proved
        self._heard = self._clock()  # the last frame
        self._asked: dict[str, float] = {}  # when which page was asked for
        self._kept: list[Frame] = []  # heard while another was waited for
        self._acknowledged = 0
        self._due = dict.fromkeys(RENEW, self._clock())

    # --- the beginning -----------------------------------------------------------------------------------
    async def begin(self) -> str:
        """Ask until all three kinds of frames have come; why this unit cannot be read, empty when it can.

        ``LinkError`` when it does not answer.
        """
        about = await self._answer("about")
        told = decode(about).values
        version = version_layout(_text(told["software_version"]), _text(told["model"]))
        if version == "JK04":
            return BALANCER
        settings = await self._answer("settings")
        live = await self._first()
        layouts = version, settings_layout(settings.payload), live_layout(live.payload)
        if "JK04" in layouts:
            return BALANCER
        if layouts[1] != layouts[2] or version not in (None, layouts[1]):
            return DISAGREE.format(*(layout or "unknown" for layout in layouts))
        self.layout = layouts[1]
        _LOGGER.info(
            "%s: BMS %d connected: %s, software %s, layout %s",
            *(self._status.name, self.address, told["model"], told["software_version"], self.layout),
        )
        now, self._kept = self._clock(), []
        for frame in (about, settings, live):
            self._told(frame, now)  # the next ones bear them out
        return ""

    async def _answer(self, kind: str) -> Frame:
        """The frame that answers a question, asked until it does."""
        for _ in range(TRIES):
            await self._ask(kind)
            if found := await self._next(kind, ANSWER):
                return found
        raise LinkError(NO_ANSWER.format(kind))

    async def _first(self) -> Frame:
        """The first live frame; some units must be asked for both pages again."""
        if found := await self._next("live", FIRST):
            return found
        await self._answer("about")
        await self._answer("settings")
        if found := await self._next("live", FIRST):
            return found
        raise LinkError(NO_LIVE)

    async def _next(self, kind: str, seconds: float) -> Frame | None:
        """The next frame of a kind, within so many seconds; the others are kept."""
        end, found = self._clock() + seconds, None
        while found is None and (left := end - self._clock()) > 0:
            for frame in self._frames(await self._link.read(left)):
                if found is None and frame.type == NUMBERS[kind]:
                    found = frame
                else:
                    self._kept = [*self._kept[-7:], frame]
        return found

    # --- the stream --------------------------------------------------------------------------------------
    async def poll(self) -> Sequence[Reading]:
        """What arrived; pages that are due are asked for."""
        left = self._heard + SILENT - self._clock()
        pieces = await self._link.read(min(IDLE, max(0.0, left)))
        if pieces:
            await self._clock.sleep(PACE)  # a frame comes in up to fifteen pieces
            pieces += await self._link.read(0)
        now = self._clock()
        frames, self._kept = [*self._kept, *self._frames(pieces)], []
        readings = [reading for frame in frames for reading in self._told(frame, now)]
        if now - self._heard >= SILENT:
            self._status.down(SILENCE)  # at once: the farewell to a frozen unit takes seconds
            raise LinkError(SILENCE)
        await self._renew(now)
        return readings

    async def _renew(self, now: float) -> None:
        """Ask for the page that is due, unless an answer is still awaited."""
        if all(now - asked > ANSWER for asked in self._asked.values()):
            due = next((kind for kind, when in self._due.items() if now >= when), None)
            if due:
                await self._ask(due)

    async def _ask(self, kind: str) -> None:
        self._asked[kind] = self._clock()
        await self._link.write(command(QUESTIONS[kind]))

    def _frames(self, pieces: Sequence[bytes]) -> list[Frame]:
        """Frames that are complete with these pieces, counted."""
        now, framer = self._clock(), self._framer
        found = [event for piece in pieces if piece != HEARTBEAT for event in framer.feed(piece)]
        frames = [event for event in found if isinstance(event, Frame)]
        self._acknowledged += sum(not isinstance(event, Frame) and event.message.size == SIZE for event in found)
        self.intake.stream(framer, now)
        if frames:
            self._heard = now
            self.intake.frames(len(frames))
        if _LOGGER.isEnabledFor(TRACE):
            for frame in frames:
                _LOGGER.log(TRACE, "%s <- %s", self._status.name, masked(frame).payload.hex(" "))
        return frames

    def _told(self, frame: Frame, now: float) -> Sequence[Reading]:
        """What a frame tells, if it has the layout that was proved."""
        kind = KINDS.get(frame.type)
        if kind is None:
            return []
        reading = self._reading(frame)
        if reading is None:
            self.intake.impossible(self.address, 1, now)
            return []
        asked = self._asked.pop(kind, None)
        latency = None if asked is None else now - asked
        taken = self.intake.take([reading], now, latency=latency, expected=EXPECTED, valid_for=SILENT)
        if kind == "live":
            broken = contradiction(reading.values) if taken.rejected else None
            self.intake.named(IMPOSSIBLE.format(broken) if broken else "")
        else:
            self._due[kind] = now + (RENEW[kind] if taken.certain else AGAIN)
        return taken.readings

    def _reading(self, frame: Frame) -> Reading | None:
        """What a frame of the proved layout says; None of any other."""
        try:
            reading = decode(frame, self.address) if self._fits(frame) else None
        except FrameError:
            return None
        if reading is None:
            return None
        # the DIP switches number the BMSs of an RS485 bus; here that is the option's business
        reading.values.pop("device_address", None)
        return replace(reading, read_only="" if self.layout == WRITTEN else READ_ONLY.format(self.layout))

    # --- changes -----------------------------------------------------------------------------------------
    async def change(self, deed: Deed) -> Change:
        """Change one setting of a unit whose layout is 32S; what goes wrong is in the result."""
        if self.layout != WRITTEN:
            raise CommandError(READ_ONLY.format(self.layout))
        try:
            return await change(self, deed, PATIENCE, REGISTERS)
        finally:
            self._due["settings"] = self._clock()

    async def read_page(self, address: int, register: int, seconds: float) -> Sequence[Page]:
        """Ask once for settings or device information, or hear what is measured, which comes by itself."""
        if address != self.address:
            raise CommandError(ALONE.format(self.address))
        kind = PAGES[register]
        if kind in QUESTIONS:
            await self._ask(kind)
        frame = await self._next(kind, seconds)
        self._asked.pop(kind, None)
        reading = self._reading(frame) if frame else None
        return [(masked(frame), reading)] if frame and reading else []

    async def send(self, request: bytes, seconds: float, pause: float) -> int | None:
        """Send a write; 0 when something is acknowledged, which names nothing and so proves nothing."""
        await self._rest(SETTLE)
        before = self._acknowledged
        await self._link.write(request)
        end = self._clock() + min(seconds, ACKNOWLEDGED)
        while self._acknowledged == before and (left := end - self._clock()) > 0:
            self._kept += self._frames(await self._link.read(left))
        acknowledged = self._acknowledged > before
        await self._rest(pause)
        return 0 if acknowledged else None

    async def _rest(self, seconds: float) -> None:
        """Hear what comes for so long."""
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            self._kept += self._frames(await self._link.read(left))

    def _fits(self, frame: Frame) -> bool:
        if frame.type == 3:
            return True
        layout = live_layout(frame.payload) if frame.type == 2 else settings_layout(frame.payload)
        # a loose wire may hide the layout of 32S, and what is wrong then contradicts itself
        return layout == self.layout or (layout is None and self.layout == "32S")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class Refused:
    """A unit that cannot be read: it is told why, and left alone for a while."""

    def __init__(self, status: BusStatus, reason: str) -> None:
        self.intake, self._clock, self._reason = Intake(status), status.clock, reason
        self._until = self._clock() + REST

    async def poll(self) -> Sequence[Reading]:
        """Nothing; ``LinkError`` when it is time to look again."""
        self.intake.named(self._reason)
        if self._clock() >= self._until:
            raise LinkError(self._reason)
        await self._clock.sleep(IDLE)
        return []


@asynccontextmanager
async def opened(options: Options, status: BusStatus) -> AsyncIterator[Ble | Refused]:
    """The BMS, found and connected, for us alone."""
    try:
        from jkbms_addon.link.gatt import Where, gatt_link  # noqa: PLC0415 - 3 MB, only where a bus uses it
    except ImportError as error:
        raise LinkError(NO_LIBRARY) from error
    where = Where(options["mac"], options.get("adapter", ""), options.get("pin", ""))
    async with gatt_link(where) as link:
        source = Ble(link, status, options["address"])
        reason = await source.begin()
        if not reason:
            yield source
            return
    yield Refused(status, reason)


PLUGIN = Plugin(
    schema=vol.Schema(
        {
            vol.Required("mac"): ble_unit,
            vol.Optional("address", default=1): address,
            vol.Optional("adapter"): adapter,
            vol.Optional("pin"): pin,
        }
    ),
    open=opened,
    target=lambda options: str(options["mac"]),
    addresses=lambda options: frozenset((options["address"],)),
    writable=lambda _options: frozenset(ble_registers.REGISTERS),
)
