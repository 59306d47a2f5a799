"""A sentence about trouble taken apart again into symptom, likely cause and what to try. Pure."""

from collections.abc import Iterator

from jkbms_addon.acquisition import diagnosis, ttl_line
from jkbms_addon.acquisition.diagnosis import Reason


def _known() -> Iterator[Reason]:
    yield from diagnosis.REASONS.values()
    yield from ttl_line.REASONS.values()


def parted(text: str) -> Reason:
    """Symptom, cause and remedy of what a bus or a battery says; only a symptom where it is not from a table.

    What stands around the symptom, such as the name of a link or how many bytes came, stays with it.
    """
    for reason in _known():
        end = f": {reason.cause}; {reason.remedy}"
        if text.endswith(end):
            return Reason(text.removesuffix(end), reason.cause, reason.remedy)
    return Reason(text, "", "")
