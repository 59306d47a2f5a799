"""One detector of cell chemistry."""

from itertools import pairwise

import pytest

from jkbms_addon.battery.chemistry import CELLS, PRESETS, Name, detected, known, presets
from jkbms_addon.battery.quantities import Values
from jkbms_addon.wire.pb.frames import Frame, Framer, decode
from tests.conftest import captures


@pytest.mark.parametrize(
    ("option", "over", "under", "told", "found"),
    [
        ("Li-ion", 3.65, 2.8, "LFP", "Li-ion"),
        ("nonsense", 3.65, None, "LTO", "LFP"),
        (None, 3.85, None, "Li-ion", "LFP"),
        (None, 3.0, None, "LTO", "LFP"),
        (None, 2.999, None, "LFP", "LTO"),
        (None, 2.0, None, "LFP", "LTO"),
        (None, 1.9, None, "LFP", "LFP"),
        (None, 3.9, None, "LFP", "Li-ion"),
        (None, 4.59, None, "LFP", "Li-ion"),
        (None, 4.6, None, "LFP", "LFP"),
        (None, None, 1.9, "LFP", "LTO"),
        (None, None, 1.0, "LFP", "LTO"),
        (None, None, 0.9, "LFP", "LFP"),
        (None, None, 2.0, "LFP", "LFP"),
        (None, None, None, "Li-ion", "Li-ion"),
        (None, None, None, "Lead", None),
        (None, None, None, None, None),
    ],
)
def test_the_strongest_evidence_counts(
    option: str | None, over: float | None, under: float | None, told: str | None, found: str | None
) -> None:
    assert detected(option, over, under, told) == found


def test_ranges_of_over_voltage_protections_do_not_overlap() -> None:
    tops = sorted(cells.tops for cells in CELLS.values())
    assert all(low[1] == high[0] for low, high in pairwise(tops))
    assert all(cells.lowest < cells.tops[0] <= cells.highest < cells.tops[1] for cells in CELLS.values())
    assert known("LTO")
    assert not known(None)


def told_after_choosing(cells: str) -> Values:
    """The settings of a real BMS whose owner has just chosen these cells in the vendor's application."""
    text = next(one["hex"] for one in captures("jk_pb") if one["id"] == f"rs485-v15.30-settings-{cells}-preset")
    frame = next(one for one in Framer().feed(bytes.fromhex(text)) if isinstance(one, Frame))
    return decode(frame).values


@pytest.mark.parametrize("name", CELLS)
def test_presets_are_those_of_a_real_bms(name: Name) -> None:
    values = told_after_choosing(name.lower().replace("-", ""))
    known_ones = {key: presets(key)[name] for key in PRESETS if name in presets(key)}
    assert known_ones == {key: values[key] for key in known_ones}
    assert len(known_ones) >= 24
    over, under = (known_ones[f"cell_voltage_{side}voltage_protection"] for side in ("over", "under"))
    assert detected(None, over, under) == name


def test_what_has_no_preset_has_none() -> None:
    assert presets("max_charge_current") == {}
    assert presets("charge_undertemperature_protection").keys() == {"LFP", "LTO"}
