"""Every command gets its outcome, whatever happens."""

from collections.abc import Sequence

import pytest

from jkbms_addon.acquisition.deeds import carry_out
from jkbms_addon.battery.reading import Reading
from jkbms_addon.commands.deed import Change, Deed
from tests.commands.test_queue import Office


class Broken:
    """A source whose code has a bug, before or after a change was begun."""

    def __init__(self, *, begun: bool) -> None:
        self.begun = begun

    async def poll(self) -> Sequence[Reading]:
        return []

    async def change(self, deed: Deed) -> Change:
        if self.begun:
            await deed.begin(True)
        raise KeyError(deed.command.key)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_bug_in_a_change_is_its_outcome(*, begun: bool) -> None:
    office = Office()

    async def begin(*_: object) -> str:
        return "intent"

    office.paper.begin = begin  # type: ignore[method-assign]
    assert office.says("charging_switch", "OFF") == ""
    with pytest.raises(KeyError):
        await carry_out(Broken(begun=begun), "a", office.commands, lambda _reading: None)
    (outcome,) = office.audited
    assert (outcome.result, outcome.reason) == ("failed", "not verified: internal error (KeyError), see the log")
    assert office.paper.closed == ["intent" if begun else ""]
