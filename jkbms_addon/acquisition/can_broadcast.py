"""Strategy *can_broadcast*: hears what BMSs broadcast on their own CAN bus and never sends.

CAN has a checksum of its own, so no reading must be told twice; what cannot be true is not published.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.battery.plausibility import BELIEFS, contradiction
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.link.can import Channel, can_channel
from jkbms_addon.validators import bitrate, channel, yes_no
from jkbms_addon.wire.jkcan.bus import AGAIN, Bus
from jkbms_addon.wire.jkcan.kinds import ADDRESSES
from jkbms_addon.wire.jkcan.unit import HOLD, SILENT

_LOGGER = logging.getLogger(__name__)
IDLE = 1.0  # longest time of one poll, in s
PACE = 0.05  # s between two looks at the channel: twelve BMSs send 1100 frames a second
LOOK = 0.25  # s between two looks for readings that are due
SLICE = 256  # frames that are taken in at a time, before others get their turn
PILED_UP = 1.0  # s after which what nobody read is too old to be taken for new
SILENCE = 3.0  # s without a frame until an adapter is told its settings again, and until it is called a problem
# s of listening before an address is first told of; where BMSs of this bus are known a short look must do
SETTLE = 3.0
NOTHING = (
    "nothing received: check H and L, termination, that bitrate is that of the bus ({bitrate}), and that the "
    "BMS's CAN protocol is 000 (250000) or 006 (500000)"
)
OTHER_RATE = (
    "nothing received: {channel} runs at {found} bit/s, not at {bitrate}; set set_up_link, or the rate of the link"
)
FOREIGN = "no frame of a JK BMS among those received: its CAN protocol must be 000 (250000) or 006 (500000)"


class Broadcast:
    """All BMSs of one CAN bus."""

    def __init__(self, channel: Channel, status: BusStatus, bitrate: int) -> None:
        self.link, self._status, self._bitrate = channel, status, bitrate
        self.intake, self._clock = Intake(status), status.clock
        known = any(bms.frames for bms in status.batteries.values())
        self._bus = Bus(settle=AGAIN if known else SETTLE)
        now = self._clock()
        self._opened = self._read_at = self._heard_at = self._reminded = now
        self._look = now
        self._junk = 0
        self._rejected: dict[int, int] = {}
        self._impossible: dict[int, tuple[float, str]] = {}  # address -> until when to name what

    async def poll(self) -> Sequence[Reading]:
        """Readings that are due, at most one a second of each BMS."""
        now = self._clock()
        if now - self._read_at > PILED_UP:
            self.link.discard()
        end = now + IDLE
        while True:
            await self._hear(max(0.0, end - now))
            now = self._clock()
            readings = self._due(now) if now >= self._look else []
            if readings or now >= end:
                break
            # many frames for one awakening; the kernel keeps them meanwhile
            await self._clock.sleep(min(PACE, end - now))
        await self._remind(now)
        self._diagnose(now)
        return readings

    async def _hear(self, seconds: float) -> None:
        frames = await self.link.read(seconds)
        self._read_at = now = self._clock()
        if not frames:
            return
        self._heard_at = now
        self.intake.frames(len(frames), sum(len(data) for _, _, data in frames))
        for number, (can_id, extended, data) in enumerate(frames, 1):
            self._bus.heard(can_id, extended, data, now)
            if number % SLICE == 0:
                await self._clock.sleep(0)

    def _due(self, now: float) -> list[Reading]:
        self._look = now + LOOK
        return [believed for reading in self._bus.readings(now) for believed in self._believed(reading, now)]

    def _believed(self, reading: Reading, now: float) -> list[Reading]:
        assert reading.address is not None
        first = not self._status.bms(reading.address).frames
        taken = self.intake.take((reading,), now, expected=IDLE)
        self._status.bms(reading.address).valid_for = SILENT
        if taken.rejected:
            why = contradiction(reading.values, BELIEFS["can"].without)
            self._impossible[reading.address] = now + HOLD, f"values that contradict each other ({why})"
        elif first:
            version = self._bus.version(reading.address)
            _LOGGER.info("%s: BMS %d heard, protocol V%s", self._status.name, reading.address, version or "1 or V2")
        return taken.readings

    # --- what is wrong -------------------------------------------------------------------------------
    def _diagnose(self, now: float) -> None:
        self._count(now)
        self.intake.named(*self._problem(now))

    def _count(self, now: float) -> None:
        self._status.junk += self.link.junk - self._junk
        self._junk = self.link.junk
        for address in ADDRESSES:
            rejected = self._bus.rejected(address)
            news = rejected - self._rejected.get(address, 0)
            self._rejected[address] = rejected  # a BMS that fell silent is counted anew
            if news > 0:
                self.intake.impossible(address, news, now)

    def _problem(self, now: float) -> tuple[str, dict[int, str]]:
        """What is wrong with the bus, and with single addresses."""
        if now - self._heard_at > SILENCE:
            channel = self.link
            if channel.rate not in (None, self._bitrate):
                return OTHER_RATE.format(channel=channel.name, found=channel.rate, bitrate=self._bitrate), {}
            trouble = f" ({channel.trouble})" if channel.trouble else ""
            return NOTHING.format(bitrate=self._bitrate) + trouble, {}
        found = self._bus.problems(now)
        for address, (until, text) in self._impossible.items():
            if now < until:
                found[address] = "; ".join(filter(None, (found.get(address, ""), text)))
        if not found and now - self._opened > SILENCE and not self._bus.presences(now):
            return FOREIGN, {}
        return "", found

    async def _remind(self, now: float) -> None:
        """An adapter that starts when it is opened misses its settings; a link may run at another rate."""
        if now - max(self._heard_at, self._reminded) > SILENCE:
            self._reminded = now
            self.link.look_at_rate()
            await self.link.restart()


@asynccontextmanager
async def opened(options: Options, status: BusStatus) -> AsyncIterator[Broadcast]:
    """The channel, which others may use, too."""
    bits = options["bitrate"]
    async with can_channel(options["channel"], bits, set_up_link=options["set_up_link"]) as channel:
        yield Broadcast(channel, status, bits)


PLUGIN = Plugin(
    schema=vol.Schema(
        {
            vol.Required("channel"): channel,
            # the rate of every version's document; only protocol 006 of the app has another one
            vol.Optional("bitrate", default=250000): bitrate,
            vol.Optional("set_up_link", default=False): yes_no,
        }
    ),
    open=opened,
    target=lambda options: str(options.get("channel", "")),
    addresses=lambda _options: frozenset(ADDRESSES),
)
