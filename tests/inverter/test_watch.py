"""Another device that tells the inverter its limits is named, whatever it is."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from jkbms_addon.charging.owner import Owner
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.watch import GONE, OtherSenders
from jkbms_addon.simulator.can import slcan_adapter
from jkbms_addon.views.charging import Charge
from jkbms_addon.views.inverter import Report
from jkbms_addon.wire import slcan
from jkbms_addon.wire.can import Frame
from tests.conftest import Mosquitto, until
from tests.inverter.senders import sender
from tests.inverter.test_whole_path import STATE, app, four_on_can
from tests.mqtt.test_client import listening

FOREIGN = (
    "another device sends 0x351: only one may tell the inverter its limits; look for a BMS whose CAN protocol is "
    "that of an inverter, or for another program"
)


def test_named_after_three_and_forgotten_when_it_stops() -> None:
    others = OtherSenders(DIALECTS["pylontech"].ids)
    assert others.none(0)
    for second in range(2):
        others.note(0x351, second)
    assert others.problem(1) == ""
    assert not others.none(1)  # one may still come of it
    others.note(0x351, 2)
    assert others.problem(2) == FOREIGN
    assert others.problem(2 + GONE) == FOREIGN
    assert others.problem(2.1 + GONE) == ""
    assert others.none(2.1 + GONE)


def test_late_frames_of_our_own_are_no_other_device() -> None:
    others = OtherSenders(DIALECTS["pylontech"].ids)
    for _ in range(5):  # one waits in the queue whenever the channel is opened anew
        others.note(0x359, 1)
        others.forget()
    for second in range(0, 60, 10):
        others.note(0x359, second)
    assert others.problem(50) == ""


@pytest.mark.parametrize("can_id", [0x305, 0x306, 0x2F4, 0x4F4, 0x301])
def test_what_inverters_and_batteries_send_is_welcome(can_id: int) -> None:
    others = OtherSenders(DIALECTS["goodwe"].ids)
    for second in range(9):
        others.note(can_id, second)
    assert others.problem(9) == ""


async def test_it_is_said_and_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    async with sender() as (one, far):
        await until(lambda: one.emission.sets >= 1)
        assert one.link.problem == ""
        for extended in (True, False):
            for _ in range(3):
                far._say(slcan.written(Frame(0x351, extended, bytes(8))))
            if extended:
                await until(lambda: one.emission.sets >= 3)
                assert one.link.problem == ""
        await until(lambda: one.link.problem == FOREIGN, 3)
        assert Report(Charge(None, Owner(), Setpoints()), one.emission, one.link).values(0)["reason"] == FOREIGN
        sets = one.emission.sets
        await until(lambda: one.link.problem == "", GONE + 3)
        assert one.emission.sets > sets + 3  # it goes on: silence would leave the battery to the other one
        assert one.link.connected
    assert [record.message for record in caplog.records if "another device" in record.message] == [
        f"inverter: {FOREIGN}"
    ]


async def test_it_is_shown_in_home_assistant(broker: Mosquitto, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far = await stack.enter_async_context(slcan_adapter(500000))
        heard = await stack.enter_async_context(listening(broker.port))
        await stack.enter_async_context(app(tmp_path, broker.port, buses, channel=far.port))

        def shown(key: str) -> str | None:
            said: dict[str, str] = json.loads(heard.last(STATE) or "{}")
            return said.get(key)

        await until(lambda: (shown("emitting"), shown("reason")) == ("ON", "ok"), 30)
        for _ in range(3):
            far.put(Frame(0x351, False, bytes(8)))
        await until(lambda: (shown("emitting"), shown("reason")) == ("ON", FOREIGN), 4)
        await until(lambda: (shown("emitting"), shown("reason")) == ("ON", "ok"), GONE + 4)
