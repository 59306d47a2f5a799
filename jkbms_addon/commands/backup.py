"""The file that holds the settings of a BMS: JSON with units, for people and for this program. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jkbms_addon.battery.quantities import Scalar, Value, specs
from jkbms_addon.errors import OptionsError

FORMAT = "jkbms settings 1"
# who a BMS is: told in the header, never written
IDENTITY = ("model", "serial_number", "software_version", "battery_type", "cell_count")


@dataclass(frozen=True, slots=True)
class Backup:
    """Settings of one BMS, and what was known of it when they were saved."""

    settings: dict[str, Scalar]
    identity: Mapping[str, Value] = field(default_factory=dict)
    saved: str = ""

    @property
    def who(self) -> str:
        """The BMS in words."""
        told = (self.identity.get(key) for key in ("model", "serial_number", "battery_type"))
        return ", ".join(str(one) for one in told if one is not None) or "unknown BMS"


def identity(values: Mapping[str, Value]) -> dict[str, Value]:
    """What tells a BMS from others."""
    return {key: values.get(key) for key in IDENTITY}


def written(backup: Backup, now: datetime) -> str:
    """The text of the file."""
    settings = {
        key: {"value": value, **({"unit": unit} if (unit := specs()[key].unit) else {})}
        for key, value in backup.settings.items()
    }
    content = {"format": FORMAT, "saved": now.isoformat(timespec="seconds"), "bms": dict(backup.identity)}
    return json.dumps({**content, "settings": settings}, ensure_ascii=False, indent=2) + "\n"


def read(text: str, name: str) -> Backup:
    """The settings of a file's text; ``OptionsError`` names what cannot be used in it."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise OptionsError(f"{name} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise OptionsError(f"{name} is no file of saved settings ({FORMAT!r})")
    rows, bms = content.get("settings"), content.get("bms")
    if not isinstance(rows, dict) or not isinstance(bms, dict):
        raise OptionsError(f"{name}: settings or bms is missing")
    settings = {key: _value(key, row, name) for key, row in rows.items()}
    # in the order of the table, whatever an editor made of it
    return Backup(
        {key: settings[key] for key in specs() if key in settings},
        {key: bms.get(key) for key in IDENTITY},
        str(content.get("saved", "")),
    )


def _value(key: str, row: Any, name: str) -> Scalar:  # noqa: ANN401 - decoded JSON
    spec = specs().get(key)
    if spec is None or spec.control is None:
        raise OptionsError(f"{name}: {key} is no setting that can be changed")
    if not isinstance(row, dict) or "value" not in row:
        raise OptionsError(f"{name}: {key} has no value")
    unit, value = row.get("unit"), row["value"]
    if unit != spec.unit:
        raise OptionsError(f"{name}: {key}: the unit must be {spec.unit or 'left out'}, not {unit}")
    kinds = bool if spec.kind == "flag" else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) is not (spec.kind == "flag"):
        raise OptionsError(f"{name}: {key}: {value!r} is no {'true or false' if spec.kind == 'flag' else 'number'}")
    return value
