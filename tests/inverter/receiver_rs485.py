"""A master that reads Pylontech's V3.3 and V3.5, written from the papers and tried on frames of real batteries.

It walks through the letters of an answer one field after the other, as receivers of real batteries do.
"""

from typing import Any

Told = dict[str, Any]


class Letters:
    """Pairs of hexadecimal letters, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def u8(self) -> int:
        self.at += 2
        return int(self.text[self.at - 2 : self.at], 16)

    def u16(self) -> int:
        return self.u8() * 256 + self.u8()

    def s16(self) -> int:
        value = self.u16()
        return value - 65536 if value >= 32768 else value

    def u24(self) -> int:
        return self.u16() * 256 + self.u8()

    def ascii(self, length: int) -> str:
        return "".join(chr(self.u8()) for _ in range(length))

    def end(self) -> None:
        assert self.at == len(self.text), "letters are left over"


def opened(frame: bytes) -> tuple[int, int, Letters]:
    """Address, return code and INFO of an answer whose two checksums are right."""
    text = frame.decode("ascii")
    assert text[0] == "~"
    assert text[-1] == "\r"
    inside, told = text[1:-5], int(text[-5:-1], 16)
    assert (sum(ord(letter) for letter in inside) + told) % 65536 == 0
    head = Letters(inside[:12])
    assert head.u8() == 0x20
    address, kind, code, length = head.u8(), head.u8(), head.u8(), head.u16()
    assert kind == 0x46
    count = length % 4096
    assert (count // 256 + count // 16 % 16 + count % 16 + length // 4096) % 16 == 0
    assert count == len(inside) - 12
    return address, code, Letters(inside[12:])


def kelvin(tenths: int) -> float:
    return (tenths - 2731) / 10


def analog(info: Letters) -> Told:
    flag, value = info.u8(), info.u8()
    cells = [info.u16() / 1000 for _ in range(info.u8())]
    warm = [kelvin(info.s16()) for _ in range(info.u8())]
    told: Told = {"flag": flag, "value": value, "cells": cells, "temperatures": warm}
    told |= {"current": info.s16() / 10, "voltage": info.u16() / 1000}
    left, kind, whole, told["charging_cycles"] = info.u16(), info.u8(), info.u16(), info.u16()
    if kind == 4:
        assert (left, whole) == (0xFFFF, 0xFFFF)
        left, whole = info.u24(), info.u24()
    else:
        assert kind == 2
    info.end()
    return told | {"remaining": left / 1000, "capacity": whole / 1000}


def alarms(info: Letters) -> Told:
    told: Told = {"flag": info.u8(), "value": info.u8()}
    told["cells"] = [info.u8() for _ in range(info.u8())]
    told["temperatures"] = [info.u8() for _ in range(info.u8())]
    told |= {"charge_current": info.u8(), "voltage": info.u8(), "discharge_current": info.u8()}
    first, second, third, *rest = (info.u8() for _ in range(6))  # real batteries send a sixth, which the paper lacks
    info.end()
    assert rest == [0, 0, 0]
    names = {7: "module_uv", 6: "charge_ot", 5: "discharge_ot", 4: "doc", 2: "coc", 1: "cell_uv", 0: "module_ov"}
    told["status"] = {name for bit, name in names.items() if first >> bit & 1}
    assert first & 0b1000 == 0
    told |= {"discharge_enabled": bool(second & 4), "charge_enabled": bool(second & 2), "using": bool(second & 8)}
    return told | {"charging": bool(third & 0x80), "discharging": bool(third & 0x40), "full": bool(third & 8)}


def limits(info: Letters) -> Told:
    told: Told = {"flag": info.u8()}
    told["cell"] = [info.u16() / 1000 for _ in range(3)]
    told["charge_temperatures"] = [kelvin(info.s16()), kelvin(info.s16())]
    told["charge_current"] = info.s16() / 10
    told["module"] = [info.u16() / 1000 for _ in range(3)]
    told["discharge_temperatures"] = [kelvin(info.s16()), kelvin(info.s16())]
    told["discharge_current"] = info.s16() / 10
    info.end()
    return told


def management(info: Letters) -> Told:
    told: Told = {"value": info.u8(), "charge_voltage": info.u16() / 1000, "discharge_voltage": info.u16() / 1000}
    told |= {"charge_current": info.s16() / 10, "discharge_current": info.s16() / 10}
    flags = info.u8()
    info.end()
    names = {
        7: "charge_enabled",
        6: "discharge_enabled",
        5: "force_charge_1",
        4: "force_charge_2",
        3: "full_charge_request",
    }
    assert flags & 7 == 0
    return told | {name: bool(flags >> bit & 1) for bit, name in names.items()}


def system_management(info: Letters) -> Told:
    told: Told = {"charge_voltage": info.u16() / 1000, "discharge_voltage": info.u16() / 1000}
    told |= {"charge_current": info.u16() / 10, "discharge_current": info.u16() / 10}
    flags = info.u8()
    info.end()
    assert flags & 0xF == 0
    names = {7: "charge_enabled", 6: "discharge_enabled", 5: "charge_now", 4: "full_charge_request"}
    return told | {name: bool(flags >> bit & 1) for bit, name in names.items()}


def system_analog(info: Letters) -> Told:
    told: Told = {"voltage": info.u16() / 1000, "current": info.s16() / 100, "state_of_charge": info.u8()}
    told |= {"mean_cycles": info.u16(), "most_cycles": info.u16(), "mean_health": info.u8(), "least_health": info.u8()}
    for key in ("max_cell_voltage", "min_cell_voltage"):
        told[key] = info.u16() / 1000
        told[f"{key}_module"] = info.u16()
    told["temperature"] = kelvin(info.s16())
    for key in ("max_temperature", "min_temperature"):
        told[key] = kelvin(info.s16())
        told[f"{key}_module"] = info.u16()
    assert [info.u16() for _ in range(10)] == [0xFFFF] * 10
    info.end()
    return told


def system_alarms(info: Letters) -> Told:
    words = info.u16(), info.u16()
    info.end()
    names = {
        15: "module_high",
        14: "module_low",
        13: "cell_high",
        12: "cell_low",
        11: "hot",
        10: "cold",
        9: "mosfet_hot",
        8: "imbalance",
        7: "temperature_imbalance",
        6: "charge_current",
        5: "discharge_current",
        4: "internal_comm",
        3: "system_fault",
    }
    assert not any(word & 7 for word in words)
    alarms, protections = ({name for bit, name in names.items() if word >> bit & 1} for word in words)
    return {"alarms": alarms, "protections": protections}
