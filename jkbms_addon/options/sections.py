"""The inverter's options, which the form shows in two sections: what everybody fills in, and what few need. Pure.

Files may hold all of them under ``inverter``; what is saved or shown to be pasted has both sections.
"""

from collections.abc import Mapping
from typing import Any, Final

from jkbms_addon.inverter.options import DETAILS, detail
from jkbms_addon.validators import filled, plain

INVERTER: Final = "inverter"


def joined(options: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Options whose ``inverter`` holds everything, and a line for each value that was given twice."""
    rest = {key: value for key, value in options.items() if key != DETAILS}
    details, section = options.get(DETAILS), rest.get(INVERTER) or {}
    if not isinstance(section, dict):
        return dict(options), ()
    if not details:
        return rest, ()
    if not isinstance(details, dict):
        # the section that does not know such an option refuses it, and nothing is sent
        return {**rest, INVERTER: {**section, DETAILS: details}}, ()
    first = filled(section)
    twice = [key for key, value in filled(details).items() if first.get(key, value) != value]
    lines = (f"{DETAILS}: {plain(key)}: ignored, as {INVERTER} has another value" for key in twice)
    return {**rest, INVERTER: {**section, **details, **first}}, tuple(lines)


def parted(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same options with both sections, as the form has them; the second where there is something in it."""
    whole = options.get(INVERTER)
    if not isinstance(whole, dict):
        return dict(options)
    first = {key: value for key, value in whole.items() if not detail(key)}
    rest = {key: value for key, value in whole.items() if detail(key)}
    more = {DETAILS: rest} if rest or DETAILS in options else {}
    return {**options, INVERTER: first, **more}
