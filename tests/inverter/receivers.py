"""Inverters that read what our dialects send: written from the papers and captures, not from the encoder's tables.

Each takes the frames of one set, in the order in which they came, and gives what such an inverter understands, by the
keys of a state; None for what it knows to be unknown, no key for what it was not told.
"""

from collections.abc import Callable, Sequence
from typing import Any

Frames = Sequence[tuple[int, bytes]]
Told = dict[str, Any]

PAIR_ITEMS = (
    *("general", "over_voltage", "under_voltage", "over_temperature"),
    *("under_temperature", "charge_over_temperature", "charge_under_temperature", "discharge_over_current"),
    *("charge_over_current", "contactor", "short_circuit", "internal"),
    *("cell_imbalance", "reserved_1", "reserved_2", "reserved_3"),
)
# (byte, bit) -> item, as the paper of Pylontech V1.2 lists them
BIT_ITEMS = {
    (0, 1): "over_voltage",
    (0, 2): "under_voltage",
    (0, 3): "over_temperature",
    (0, 4): "under_temperature",
    (0, 7): "discharge_over_current",
    (1, 0): "charge_over_current",
    (1, 3): "system",
    (1, 4): "cell_failure",
}
GROWATT_BYTE_0 = {
    7: "discharge_over_current",
    6: "charge_over_current",
    5: "short_circuit",
    4: "over_voltage",
    3: "under_voltage",
    2: "module_over_voltage",
    1: "module_under_voltage",
    0: "soft_start",
}
GROWATT_BYTE_1 = {
    7: "discharge_over_temperature",
    6: "charge_over_temperature",
    5: "discharge_under_temperature",
    4: "charge_under_temperature",
    3: "system",
    2: "delta",
    1: "before_turn_off",
    0: "internal_comm",
}


def u8(data: bytes, at: int) -> int:
    return data[at]


def u16(data: bytes, at: int) -> int:
    return data[at] + 256 * data[at + 1]


def s16(data: bytes, at: int) -> int:
    return u16(data, at) - (65536 if data[at + 1] & 0x80 else 0)


def u32(data: bytes, at: int) -> int:
    return u16(data, at) + 65536 * u16(data, at + 2)


def be16(data: bytes, at: int) -> int:
    return 256 * data[at] + data[at + 1]


def be16s(data: bytes, at: int) -> int:
    return be16(data, at) - (65536 if data[at] & 0x80 else 0)


def text(data: bytes) -> str:
    return data.decode("ascii").rstrip("\0 ")


def by_id(frames: Frames) -> dict[int, bytes]:
    found = dict(frames)
    assert len(found) == len(frames), "an id came twice"
    assert all(0 < can_id < 0x800 and 1 <= len(data) <= 8 for can_id, data in frames)
    return found


# --- what several of them share --------------------------------------------------------------------------
def limits(data: bytes) -> Told:
    return {
        "charge_voltage": u16(data, 0) / 10,
        "charge_current": s16(data, 2) / 10,
        "discharge_current": s16(data, 4) / 10,
        "discharge_voltage": u16(data, 6) / 10,
    }


def charge(data: bytes) -> Told:
    found: Told = {"state_of_charge": u16(data, 0), "state_of_health": u16(data, 2)}
    if len(data) >= 6:
        found["state_of_charge_precise"] = u16(data, 4) / 100
    return found


def measured(data: bytes, volts: float = 100) -> Told:
    return {"voltage": s16(data, 0) / volts, "current": s16(data, 2) / 10, "temperature": s16(data, 4) / 10}


def requests(data: bytes) -> Told:
    return {
        "charge_enabled": bool(data[0] & 0x80),
        "discharge_enabled": bool(data[0] & 0x40),
        "bit_5": bool(data[0] & 0x20),
        "bit_4": bool(data[0] & 0x10),
        "full_charge_request": bool(data[0] & 0x08),
    }


def bits(data: bytes, start: int) -> set[str]:
    raised = {(byte, bit) for byte in range(2) for bit in range(8) if data[start + byte] >> bit & 1}
    assert raised <= set(BIT_ITEMS), "a bit that the paper does not know"
    return {BIT_ITEMS[one] for one in raised}


def errors(data: bytes) -> Told:
    return {"protections": bits(data, 0), "alarms": bits(data, 2), "modules": data[4]}


def pairs(data: bytes) -> Told:
    """Two bits for each item; 01 raised, 10 cleared, 00 not told; 11 never comes from us."""

    def half(start: int) -> tuple[set[str], set[str]]:
        raised, cleared = set(), set()
        for n, item in enumerate(PAIR_ITEMS):
            pair = data[start + n // 4] >> n % 4 * 2 & 3
            assert pair != 3
            if pair == 1:
                raised.add(item)
            elif pair == 2:
                cleared.add(item)
        return raised, cleared

    alarms, warnings = half(0), half(4)
    return {"alarm_pairs": alarms[0], "warning_pairs": warnings[0], "cleared": (alarms[1], warnings[1])}


def modules(data: bytes) -> Told:
    return {
        "modules": u16(data, 0),
        "modules_blocking_charge": u16(data, 2),
        "modules_blocking_discharge": u16(data, 4),
        "modules_offline": u16(data, 6),
    }


def extremes_in_kelvin(data: bytes) -> Told:
    return {
        "min_cell_voltage": u16(data, 0) / 1000,
        "max_cell_voltage": u16(data, 2) / 1000,
        "min_kelvin": u16(data, 4) - 273,
        "max_kelvin": u16(data, 6) - 273,
    }


PLACES = {
    0x374: "min_cell_voltage_at",
    0x375: "max_cell_voltage_at",
    0x376: "min_temperature_at",
    0x377: "max_temperature_at",
}


# --- the inverters -----------------------------------------------------------------------------------------
def pylontech(frames: Frames) -> Told:
    found = by_id(frames)
    assert set(found) == {0x359, 0x351, 0x355, 0x356, 0x35C, 0x35E}
    assert found[0x359][5:7] == b"PN"
    return {
        **errors(found[0x359]),
        **limits(found[0x351]),
        **charge(found[0x355][:4]),
        **measured(found[0x356]),
        **requests(found[0x35C]),
        "manufacturer": text(found[0x35E]),
    }


def goodwe(frames: Frames) -> Told:
    found = by_id(frames)
    assert set(found) == {0x359, 0x351, 0x355, 0x356, 0x35C, 0x35E}
    data = found[0x359]
    return {
        **errors(data),
        "module_addresses": {n for n in range(8) if data[7] >> n & 1},
        **limits(found[0x351]),
        **charge(found[0x355][:4]),
        **measured(found[0x356]),
        **{key: value for key, value in requests(found[0x35C]).items() if key != "full_charge_request"},
        "manufacturer": text(found[0x35E]),
    }


def pylontech_v2(frames: Frames) -> Told:
    found = by_id(frames)
    always = {0x35E, 0x351, 0x355, 0x356, 0x359, 0x35C, 0x35A, 0x372}
    assert always <= set(found) <= always | {0x373, 0x379, *PLACES}
    told = {
        **errors(found[0x359]),
        **limits(found[0x351]),
        **charge(found[0x355]),
        **measured(found[0x356]),
        **requests(found[0x35C]),
        **pairs(found[0x35A]),
        **modules(found[0x372]),
        "module_count": found[0x359][4],
        "manufacturer": text(found[0x35E]),
    }
    if len(found[0x355]) == 8:
        told["capacity_remaining_tenths"] = u16(found[0x355], 6) / 10
    return {**told, **_known(found)}


def _known(found: dict[int, bytes]) -> Told:
    told: Told = {key: text(found[can_id]) for can_id, key in PLACES.items() if can_id in found}
    if 0x373 in found:
        told |= extremes_in_kelvin(found[0x373])
    if 0x379 in found:
        told["full_charge_capacity"] = u16(found[0x379], 0)
    return told


def victron(frames: Frames) -> Told:
    found = by_id(frames)
    always = {0x35E, 0x382, 0x370, 0x371, 0x35F, 0x35A, 0x35B, 0x351, 0x355, 0x356, 0x360, 0x372}
    assert always <= set(found) <= always | {0x373, 0x378, 0x379, 0x380, 0x381, *PLACES}
    assert not any(found[0x35B])
    assert found[0x360] in (bytes(8), b"\xff" + bytes(7))
    version = found[0x35F][2:4]
    told = {
        "manufacturer": text(found[0x35E]),
        "model": text(found[0x370] + found[0x371]),
        "product_text": text(found[0x382]),
        "product": u16(found[0x35F], 0),
        "version": (10 * (version[0] >> 4) + (version[0] & 15), 10 * (version[1] >> 4) + (version[1] & 15)),
        **pairs(found[0x35A]),
        **limits(found[0x351]),
        **charge(found[0x355]),
        **measured(found[0x356]),
        "please_charge": found[0x360][0] == 0xFF,
        **modules(found[0x372]),
        **_known(found),
    }
    if len(found[0x35F]) == 8:
        told["capacity_remaining"] = u16(found[0x35F], 4)
    if 0x378 in found:
        told |= {"charged_energy": u32(found[0x378], 0) / 10, "discharged_energy": u32(found[0x378], 4) / 10}
    if 0x380 in found:
        told["serial_number"] = text(found[0x380] + found[0x381])
    return told


def sol_ark(frames: Frames) -> Told:
    found = by_id(frames)
    always = {0x359, 0x351, 0x355, 0x356, 0x35C, 0x35E}
    assert always <= set(found) <= always | {0x379}
    assert all(len(data) == 8 for data in found.values())
    assert found[0x359][5:8] == b"PN\0"
    told = requests(found[0x35C])
    return {
        **errors(found[0x359]),
        **limits(found[0x351]),
        **charge(found[0x355][:4]),
        **measured(found[0x356], 10),
        **told,
        "forced_1": told["bit_4"],
        "forced_2": told["bit_5"],
        "manufacturer": text(found[0x35E]),
        **_known(found),
    }


class SunnyIsland:
    """Keeps the last good value of each; what is out of its range never arrived."""

    def __init__(self) -> None:
        self.told: Told = {"charge_voltage": 54.0, "charge_current": 0.0, "discharge_current": 0.0}

    def __call__(self, frames: Frames) -> Told:
        found = by_id(frames)
        assert set(found) == {0x351, 0x355, 0x356, 0x35A, 0x35B, 0x35E, 0x35F}, "SMA forbids any other id"
        data = found[0x351]
        self._take("charge_voltage", u16(data, 0) / 10, 41, 63)
        self._take("charge_current", u16(data, 2) / 10, 0, 1200)
        self._take("discharge_current", u16(data, 4) / 10, 0, 1200)
        self._take("discharge_voltage", u16(data, 6) / 10, 41, 48)
        data = found[0x355]
        self._take("state_of_charge", u16(data, 0), 0, 100)
        self._take("state_of_health", None if data[2:4] == b"\xff\xff" else u16(data, 2), 0, 100)
        self._take("state_of_charge_precise", None if data[4:6] == b"\xff\xff" else u16(data, 4) / 100, 0, 100)
        data = found[0x356]
        self.told |= {"voltage": s16(data, 0) / 100, "current": s16(data, 2) / 10}
        self.told["temperature"] = None if data[4:6] == b"\x00\x80" else s16(data, 4) / 10
        assert not any(found[0x35B])
        data = found[0x35F]
        self.told |= {
            **pairs(found[0x35A]),
            "manufacturer": text(found[0x35E]),
            "type": u16(data, 0),
            "version": (data[2], data[3]),
            "full_charge_capacity": None if data[4:6] == b"\xff\xff" else u16(data, 4),
        }
        return dict(self.told)

    def _take(self, key: str, value: float | None, low: float, high: float) -> None:
        if value is None or low <= value <= high:
            self.told[key] = value
        else:
            self.told.setdefault("dropped", set()).add(key)


def deye_pcs(frames: Frames) -> Told:
    found = by_id(frames)
    always = {0x351, 0x355, 0x356, 0x359, 0x35C, 0x35E, 0x363, 0x364, 0x371}
    assert always <= set(found) <= always | {0x361}
    name = found[0x35E]
    assert name[:2] == b"DY"
    assert b"PYLON" not in name
    assert found[0x363] == bytes.fromhex("2008210200000000")
    told = {
        **limits(found[0x351]),
        **charge(found[0x355][:4]),
        **measured(found[0x356]),
        **errors(found[0x359]),
        **requests(found[0x35C]),
        "digits": int(name[2:5]),
        "maker": name[5],
        "counts": tuple(found[0x364][:5]),
        "on_grid": (u16(found[0x371], 0) / 10, u16(found[0x371], 2) / 10),
    }
    if len(name) == 8:
        told["full_charge_capacity"] = u16(name, 6) / 10
    if 0x361 in found:
        data = found[0x361]
        told |= {"max_cell_voltage": u16(data, 0) / 1000, "min_cell_voltage": u16(data, 2) / 1000}
        told |= {"max_temperature": s16(data, 4) / 10, "min_temperature": s16(data, 6) / 10}
    return told


def luxpower(frames: Frames) -> Told:
    found = by_id(frames)
    assert set(found) == {0x359, 0x351, 0x355, 0x356, 0x35C, 0x35E}
    told = requests(found[0x35C])
    data = found[0x356]
    told |= {
        **errors(found[0x359]),
        "full_charge_capacity": u16(found[0x359], 5),
        **limits(found[0x351]),
        **charge(found[0x355][:4]),
        "voltage": s16(data, 0) / 100,
        "current": s16(data, 2) / 10,
        "max_temperature": s16(data, 4) / 10,
        "min_temperature": s16(data, 6) / 10,
        "charging_cycles": u16(found[0x35C], 2),
        "forced_1": told["bit_4"],
        "forced_2": told["bit_5"],
        "manufacturer": text(found[0x35E]),
    }
    data = found[0x355]
    if len(data) == 8:
        told |= {"max_cell_voltage": u16(data, 4) / 1000, "min_cell_voltage": u16(data, 6) / 1000}
    return told


def growatt_lv(frames: Frames) -> Told:
    found = by_id(frames)
    assert set(found) == {0x311, 0x312, 0x313, 0x314, 0x319, 0x320, 0x321}
    assert all(len(data) == 8 for data in found.values())
    assert not any(found[0x321])
    data = found[0x311]
    status = be16(data, 6)
    assert status & 0b1111_0011_1001_1100 == 0, "error, balancing, sleep, terminal open, parallel and the rest are off"
    told: Told = {
        "charge_voltage": be16(data, 0) / 10,
        "charge_current": be16(data, 2) / 10,
        "discharge_current": be16(data, 4) / 10,
        "state": status & 3,
        "inverter_state": status >> 10 & 3,
        "discharge_enabled": bool(status & 1 << 5),
        "charge_enabled": bool(status & 1 << 6),
    }
    data = found[0x312]
    told["protections"] = {GROWATT_BYTE_0[n] for n in range(8) if data[0] >> n & 1}
    told["protections"] |= {GROWATT_BYTE_1[n] for n in range(8) if data[1] >> n & 1}
    told["alarms"] = {GROWATT_BYTE_0[n] for n in range(8) if data[2] >> n & 1}
    told["alarms"] |= {GROWATT_BYTE_1[n] for n in range(8) if data[3] >> n & 1}
    told |= {"modules": data[4], "manufacturer": text(data[5:7]), "cell_count": data[7]}
    data = found[0x313]
    told |= {"voltage": be16s(data, 0) / 100, "current": be16s(data, 2) / 10, "max_temperature": be16s(data, 4) / 10}
    assert data[7] & 0x80 == 0, "no flag of an unsafe battery"
    told |= {"state_of_charge": data[6], "state_of_health": data[7]}
    data = found[0x314]
    told |= {"capacity_remaining": be16(data, 0) / 100, "full_charge_capacity": be16(data, 2) / 100}
    told |= {"delta": be16(data, 4) / 1000, "charging_cycles": be16(data, 6)}
    data = found[0x319]
    assert data[0] & 0b11111 == 0, "lithium iron phosphate, and the bit without a meaning"
    assert (bool(data[0] & 0x80), bool(data[0] & 0x40)) == (told["charge_enabled"], told["discharge_enabled"])
    told |= {"force_charge_1": bool(data[0] & 0x20)}
    told |= {"max_cell_voltage": be16(data, 1) / 1000, "min_cell_voltage": be16(data, 3) / 1000}
    told |= {"max_cell_number": data[5], "min_cell_number": data[6], "faulty_module": data[7]}
    data = found[0x320]
    assert text(data[0:2]) == told["manufacturer"]
    word = 65536 * be16(data, 4) + be16(data, 6)
    told |= {"hardware": data[2], "software": data[3]}
    told["date"] = (
        2000 + (word >> 26),
        word >> 22 & 15,
        word >> 17 & 31,
        word >> 12 & 31,
        word >> 6 & 63,
        word & 63,
    )
    return told


RECEIVERS: dict[str, Callable[[Frames], Told]] = {
    "pylontech": pylontech,
    "goodwe": goodwe,
    "pylontech_v2": pylontech_v2,
    "victron": victron,
    "sol_ark": sol_ark,
    "sma": SunnyIsland(),
    "deye_pcs": deye_pcs,
    "luxpower": luxpower,
    "growatt_lv": growatt_lv,
}


def receiver(name: str) -> Callable[[Frames], Told]:
    """Who hears a dialect on CAN; a Sunny Island remembers, so each is a new one."""
    assert name in RECEIVERS, f"nobody hears {name}: write a receiver here, from the facts and not from its module"
    return SunnyIsland() if name == "sma" else RECEIVERS[name]
