"""A sentence about trouble taken apart again into symptom, likely cause and what to try. Pure.

The tables are loaded when there is trouble: a bus that is only heard on CAN needs neither of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jkbms_addon.acquisition.diagnosis import Reason

Parts = tuple[str, str, str]


def parted(text: str) -> Parts:
    """Symptom, cause and remedy of what a bus or a battery says; only a symptom where it is not from a table.

    What stands around the symptom, such as the name of a link or how many bytes came, stays with it.
    """
    for reason in _known():
        end = f": {reason.cause}; {reason.remedy}"
        if text.endswith(end):
            return text.removesuffix(end), reason.cause, reason.remedy
    return text, "", ""


def silence() -> Parts:
    """Of a battery that is asked and says nothing."""
    from jkbms_addon.acquisition.diagnosis import REASONS  # noqa: PLC0415 - see above

    reason = REASONS["nothing_polled"]
    return reason.symptom, reason.cause, reason.remedy


def _known() -> "list[Reason]":
    from jkbms_addon.acquisition import diagnosis, ttl_line  # noqa: PLC0415 - see above

    return [*diagnosis.REASONS.values(), *ttl_line.REASONS.values()]
