"""The table of what to set in which inverter."""

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.menus import PROFILES, SOCKETS
from jkbms_addon.validators import bitrate


def test_every_protocol_belongs_to_an_inverter_and_every_inverter_has_protocols_that_exist() -> None:
    assert {name for one in PROFILES.values() for name in one.protocols} == DIALECTS.keys(), (
        "a dialect stands in DIALECTS (dialects/__init__.py) and in a Profile (dialects/menus.py)"
    )
    for key, one in PROFILES.items():
        assert key == one.key
        assert len(set(one.protocols)) == len(one.protocols)
        assert bool(one.protocols) == bool(one.menu) == bool(one.rests_on)


def test_a_bit_rate_is_that_of_a_can_bus() -> None:
    for one in PROFILES.values():
        on_can = bool(one.protocols) and DIALECTS[one.protocols[0]].port == "can"
        assert (one.bitrate is not None) is on_can
        assert one.bitrate is None or bitrate(one.bitrate) == one.bitrate


def test_nothing_is_better_proven_than_its_protocol() -> None:
    """Who names a capture has one of the bytes of its first protocol."""
    for one in PROFILES.values():
        if "capture" in one.rests_on:
            assert DIALECTS[one.protocols[0]].proof == "capture", one.key


def test_every_socket_is_of_an_inverter_and_its_pins_are_pins() -> None:
    assert {one.socket for one in PROFILES.values()} == SOCKETS.keys()
    for one in SOCKETS.values():
        pins = [pin for pin in (one.high, one.low, one.ground) if pin is not None]
        assert len(set(pins)) == len(pins)
        assert all(1 <= pin <= 8 for pin in pins)
