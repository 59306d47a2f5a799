"""Temperature sensors that have not proved that they live, and temperatures that leap. Pure.

A placeholder is not a measurement. Where a probe is not fitted, firmware 11.x of the PB series says 0.0 °C with the
mask FF (captures 11.48, 11.50, 11.261, 11.288H), and no freezing cell may be made from that: a probe that has said
0.0 ever since it was first heard is not there, and one that was ever anything else is real, once that is believed: a
damaged frame proves nothing. The first generation says 50 °C for a moment while the temperature crosses zero (raw 0,
50, 100): what leaps over more than 10 K is unknown until it has been true for a minute.
"""

from dataclasses import dataclass, field, replace
from math import inf
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


@dataclass(slots=True)
class _Probe:
    """What was last believed of one probe, in °C, whether it is real, and what leaped since when."""

    value: float
    at: float
    real: bool
    leaped: float | None = None
    since: float = 0.0

    def leaps(self, value: float, now: float) -> bool:
        """Whether a temperature is too far from the one before to be true already."""
        if abs(value - self.value) > LEAP + DRIFT * (now - self.at):
            if self.leaped is None or abs(value - self.leaped) > LEAP:
                self.since = now
            self.leaped = value
            if now - self.since < LASTING:
                return True
        self.value, self.at, self.leaped = value, now, None
        return False


@dataclass(slots=True)
class Sensors:
    """Remembers of every battery which of its probes are real and what they said. Times are s of one clock."""

    _batteries: dict[int, dict[str, _Probe]] = field(default_factory=dict)

    def believed(self, reading: Reading, now: float) -> Reading:
        """The live reading without what no sensor measured: unknown is None."""
        unknown = self._unknown(reading, now)
        return replace(reading, values={**reading.values, **dict.fromkeys(unknown)}) if unknown else reading

    def fitted(self, reading: Reading) -> Reading:
        """The reading without 0.0 of probes that are not fitted, whenever it was told."""
        unknown = self._unknown(reading, None)
        self.proved(reading)
        return replace(reading, values={**reading.values, **dict.fromkeys(unknown)}) if unknown else reading

    def proved(self, reading: Reading) -> None:
        """A live reading is believed: a probe of which it tells anything but 0.0 is real."""
        probes = self._batteries.get(reading.address, {}) if reading.address is not None else {}
        for key, probe in probes.items():
            probe.real = probe.real or bool(reading.values.get(key))

    def forget(self, address: int) -> None:
        """A battery went away: what comes back may be at another temperature, but its probes are as real."""
        for probe in self._batteries.get(address, {}).values():
            probe.at = -inf

    def _unknown(self, reading: Reading, now: float | None) -> list[str]:
        values, found = reading.values, []
        silent = reading.format in SILENT_ZERO
        # of a frame of nobody there is no earlier one
        probes = self._batteries.setdefault(reading.address, {}) if reading.address is not None else {}
        for key in PROBES:
            value = values.get(key)
            if not isinstance(value, (int, float)):
                continue
            probe = probes.get(key)
            if probe is None:
                probe = probes[key] = _Probe(value, now or 0.0, real=not silent)
            elif value != 0 and not probe.real:
                probe.value, probe.at = value, now or 0.0  # it lives, if that is believed
            unfitted = value == 0 and silent and not probe.real
            if unfitted or (now is not None and probe.leaps(value, now)):
                found.append(key)
        return found
