"""The bridge: what it tells of each bus stands beside what it tells of the whole."""

from jkbms_addon.options.file import OWN_NAMES
from jkbms_addon.views.health import bridge


def test_no_bus_that_is_allowed_has_the_key_of_something_else() -> None:
    buses = (
        "inverter",
        "any_battery",
        "configuration",
        "bank",
        "bridge",
        "writing",
        "same_battery",
        "rs485",
        "rs485_1",
    )
    allowed = [name for name in buses if name not in OWN_NAMES]
    keys = [entity.key for entity in bridge(allowed, writing=True).entities]
    assert len(keys) == len(set(keys))
    assert len(allowed) == len(buses) - 3
