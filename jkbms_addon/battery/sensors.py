"""Temperature sensors that have not proved that they live, and temperatures that leap. Pure.

A placeholder is not a measurement. Where a probe is not fitted, firmware 11.x of the PB series says 0.0 °C with the
mask FF (captures 11.48, 11.50, 11.261, 11.288H), and no freezing cell may be made from that: a probe that has said
0.0 ever since it was first heard is not there, and one that was ever anything else is real. The first generation says
50 °C for a moment while the temperature crosses zero (raw 0, 50, 100): what leaps over more than 10 K is unknown until
it has been true for a minute.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from jkbms_addon.battery.reading import Reading

PROBES: Final = (
    "mosfet_temperature",
    "temperature_sensor_1",
    "temperature_sensor_2",
    "temperature_sensor_4",
    "temperature_sensor_5",
)
SILENT_ZERO: Final = frozenset(("pb", "ble"))  # formats whose probes say 0.0 where none is fitted
LEAP, DRIFT = 10.0, 0.1  # K at once, and K a second on top
LASTING = 60.0  # s for which a leap must be true
Who = tuple[int | None, str]  # address and probe


@dataclass(slots=True)
class _Known:
    """What was last believed of one probe, in °C, and what leaped since when."""

    value: float
    at: float
    leaped: float | None = None
    since: float = 0.0


@dataclass(slots=True)
class Sensors:
    """Remembers of every battery which of its probes are real and what they said. Times are s of one clock."""

    _real: set[Who] = field(default_factory=set)
    _known: dict[Who, _Known] = field(default_factory=dict)

    def believed(self, reading: Reading, now: float) -> Reading:
        """The live reading without what no sensor measured: unknown is None."""
        fitted = self.fitted(reading)
        unsure = {
            key: None
            for key in PROBES
            if isinstance(value := fitted.values.get(key), (int, float))
            and self._leaps((reading.address, key), float(value), now)
        }
        return replace(fitted, values={**fitted.values, **unsure}) if unsure else fitted

    def fitted(self, reading: Reading) -> Reading:
        """The reading without 0.0 of probes that are not fitted."""
        if reading.format not in SILENT_ZERO:
            return reading
        values, address = reading.values, reading.address
        absent: dict[str, None] = {}
        for key in PROBES:
            value = values.get(key)
            if value:
                if address is not None:  # of a frame of nobody there is no earlier one
                    self._real.add((address, key))
            elif value == 0 and (address, key) not in self._real:
                absent[key] = None
        return replace(reading, values={**values, **absent}) if absent else reading

    def forget(self, address: int) -> None:
        """A battery went away: what comes back may be at another temperature."""
        for who in [who for who in self._known if who[0] == address]:
            del self._known[who]

    def _leaps(self, who: Who, value: float, now: float) -> bool:
        known = self._known.get(who)
        if known is None:
            self._known[who] = _Known(value, now)
            return False
        if abs(value - known.value) <= LEAP + DRIFT * (now - known.at):
            known.value, known.at, known.leaped = value, now, None
            return False
        if known.leaped is None or abs(value - known.leaped) > LEAP:
            known.since = now
        known.leaped = value
        if now - known.since < LASTING:
            return True
        known.value, known.at, known.leaped = value, now, None
        return False
