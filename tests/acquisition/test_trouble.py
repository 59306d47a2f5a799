"""Buses with something wrong, lived through on a played link: nothing is shown that is not so, and it is told."""

import logging

import pytest

from jkbms_addon.acquisition.diagnosis import REASONS
from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.bank.membership import Membership
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.modbus import Message
from tests.played import PlayedMaster


def bare(_question: Message, said: bytes) -> bytes:
    """Without the acknowledgement."""
    return said[:-8]


def packs(*addresses: int) -> list[SimulatedBms]:
    return [SimulatedBms(n, serial_number=f"40713{n:05}", phase=n) for n in addresses]


def bank_of(bus: PlayedMaster) -> BankState:
    membership = Membership({"t": bus.status}, asked=frozenset("t"))
    return BatteryBank().step(membership.candidates(bus.store, bus.clock()), bus.clock())


async def test_one_bms_that_answers_for_sixteen_addresses_is_one_battery(caplog: pytest.LogCaptureFixture) -> None:
    (real,) = packs(3)
    bus = PlayedMaster([real], range(16))
    bus.link.batteries = dict.fromkeys(range(16), real)
    await bus.run(90)
    assert [snapshot.address for snapshot in bus.store] == [3]
    assert bus.online() == {3}
    assert "settings say address 3" in bus.status.bms(7).problem
    assert bus.status.bms(3).problem == ""
    assert len([record for record in caplog.records if "BMS 7" in record.getMessage()]) == 1
    state = bank_of(bus)
    assert [view.key for view in state.counted] == [("t", 3)]
    # its DIP switches are changed: it is the other one from then on
    real.address = 7
    real.settings["device_address"] = 7
    bus.link.batteries = {7: real}
    await bus.run(60)
    assert bus.online() == {7}
    assert bus.status.bms(7).problem == ""


async def test_two_addresses_with_one_serial_number_clock_and_count_are_one_battery() -> None:
    one = SimulatedBms(1, serial_number="4071300001")
    other = SimulatedBms(2, serial_number="4071300001", runtime=one.runtime)
    third = SimulatedBms(3, serial_number="4071300001", capacity=100.0)
    bus = PlayedMaster([one, other, third], range(1, 4))
    await bus.run(30)
    assert "the same battery as BMS 1" in bus.status.bms(2).problem
    assert bus.online() == {1, 3}  # a serial number alone proves nothing


async def test_answers_without_acknowledgement_beside_absent_addresses() -> None:
    bus = PlayedMaster(packs(2, 9), range(1, 16))
    bus.link.reply = bare
    while bus.online() != {2, 9}:
        await bus.run(1)
        assert bus.clock() < 1060
    offline = []
    await bus.run(300, lambda: offline.append(bus.clock()) if bus.online() != {2, 9} else None)
    assert offline == []
    assert bus.told == []
    for at, reading in bus.history:
        assert reading.address in (2, 9), at


async def test_whole_frames_are_never_called_wrong_speed() -> None:
    bus = PlayedMaster(packs(5), (1,))
    bus.link.reply = lambda _question, _said: bus.link.batteries[5].page(modbus.LIVE)
    bus.master.receiver.attribution.requested = lambda *_: None  # type: ignore[method-assign]  # it stays unproved
    await bus.run(60)
    assert bus.told == [str(REASONS["unproved"])]


@pytest.mark.parametrize("latency", [0.3, 0.62, 1.1])
async def test_a_bms_that_needs_long_for_its_first_byte_is_found_and_stays(latency: float) -> None:
    slow, quick = packs(1, 2)
    slow.latency = latency
    bus = PlayedMaster([slow, quick], range(1, 6))
    await bus.run(15)
    assert bus.online() == {1, 2}
    gone = []
    await bus.run(300, lambda: gone.append(bus.clock()) if bus.online() != {1, 2} else None)
    assert gone == []
    assert bus.status.bms(1).latency == pytest.approx(latency + 0.03, abs=0.05)
    assert latency < bus.master.schedule.first_byte <= 1.5


async def test_two_bmss_at_one_address_are_told_though_another_is_well(caplog: pytest.LogCaptureFixture) -> None:
    well, one, two = *packs(1, 2), SimulatedBms(2, cells=8, phase=3)

    def both(question: Message, said: bytes) -> bytes:
        if question.address != 2 or question.register is None:
            return said
        two.clock = bus.clock
        second = two.page(question.register) + said[300:]
        return bytes(a & b for a, b in zip(said, second, strict=True))  # whoever pulls the line down wins

    bus = PlayedMaster([well, one], (1, 2))
    bus.link.reply = both
    await bus.run(40)
    assert bus.online() == {1}
    assert bus.status.bms(1).problem == ""
    assert "two BMSs" in bus.status.bms(2).problem
    assert bus.status.problem == f"BMS 2: {bus.status.bms(2).problem}"
    assert len([record for record in caplog.records if "two BMSs" in record.getMessage()]) == 1
    bus.link.reply = lambda _question, said: said  # the second one is taken out
    caplog.set_level(logging.INFO)
    await bus.run(40)
    assert bus.online() == {1, 2}
    assert (bus.status.bms(2).problem, bus.status.problem) == ("", "")
    assert "t: BMS 2: well again" in caplog.text


async def test_answers_that_arrive_cut_are_told_with_their_length() -> None:
    bus = PlayedMaster(packs(1, 2), (1, 2))
    bus.link.reply = lambda question, said: said if question.address == 1 else said[:287]
    await bus.run(40)
    assert bus.online() == {1}
    assert "287 of 300 bytes" in bus.status.bms(2).problem
    assert bus.status.bms(1).problem == ""


async def test_modbus_exceptions_are_told() -> None:
    bus = PlayedMaster(packs(1), (1, 6))
    bus.link.reply = lambda question, said: said or modbus.exception_reply(question.address, modbus.WRITE, 2)
    await bus.run(60)
    assert bus.online() == {1}
    assert "Modbus exception" in bus.status.bms(6).problem
    assert "(code 2)" in bus.status.bms(6).problem


@pytest.mark.parametrize("interval", [10.0, 20.0, 300.0])
async def test_a_healthy_bus_with_long_pauses_is_well(interval: float) -> None:
    bus = PlayedMaster(packs(1, 2), range(1, 16), interval)
    await bus.run(10 * interval)
    assert bus.told == []
    assert bus.online() == {1, 2}
    for bms in bus.link.batteries.values():
        bms.silent = True
    began = bus.clock()
    while not bus.told:
        await bus.run(1)
    assert bus.told == [str(REASONS["nothing_polled"])]
    assert bus.clock() - began < interval + 12


async def test_a_frozen_battery_is_told_and_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    bus = PlayedMaster(packs(1, 2), (1, 2))
    await bus.run(30)
    frozen = bus.link.batteries[2].page(modbus.LIVE)
    bus.link.reply = lambda question, said: (
        frozen + said[300:] if (question.address, question.register) == (2, modbus.LIVE) else said
    )
    began = bus.clock()
    while 2 in bus.online():
        await bus.run(0.5)
    assert 58 <= bus.clock() - began <= 66
    assert bus.status.bms(2).health(bus.clock(), present=False) == "frozen"
    assert "frozen" in bus.status.bms(2).problem
    state = bank_of(bus)
    assert [view.key for view in state.counted] == [("t", 1)]
    assert "frozen" in state.excluded[0].reason
    assert len([record for record in caplog.records if "frozen" in record.getMessage()]) == 1
    bus.link.reply = lambda _question, said: said
    await bus.run(8)
    assert bus.online() == {1, 2}
    assert bus.status.problem == ""


async def test_a_resting_battery_is_not_frozen() -> None:
    rests = SimulatedBms(1, current=0.0)
    bus = PlayedMaster([rests], (1,))
    gone = []
    await bus.run(10)
    await bus.run(600, lambda: gone.append(1) if not bus.online() else None)
    assert gone == []


async def counts_again(bus: PlayedMaster, membership: Membership, bank: BatteryBank) -> float:
    """Seconds until both batteries count."""
    began = bus.clock()
    while True:
        await bus.run(0.1)
        if len(bank.step(membership.candidates(bus.store, bus.clock()), bus.clock()).counted) == 2:
            return bus.clock() - began


async def test_a_battery_that_was_silent_for_ten_seconds_counts_again_within_twelve() -> None:
    bus = PlayedMaster(packs(1, 2), (1, 2))
    membership, bank = Membership({"t": bus.status}, asked=frozenset("t")), BatteryBank()
    await counts_again(bus, membership, bank)
    await bus.run(60, lambda: bank.step(membership.candidates(bus.store, bus.clock()), bus.clock()))
    bus.link.batteries[2].silent = True
    await bus.run(10.4, lambda: bank.step(membership.candidates(bus.store, bus.clock()), bus.clock()))
    bus.link.batteries[2].silent = False
    assert await counts_again(bus, membership, bank) <= 12.0


async def test_a_program_that_stood_still_counts_everybody_again_within_twelve_seconds() -> None:
    bus = PlayedMaster(packs(1, 2), (1, 2))
    membership, bank = Membership({"t": bus.status}, asked=frozenset("t")), BatteryBank()
    await counts_again(bus, membership, bank)
    await bus.run(60, lambda: bank.step(membership.candidates(bus.store, bus.clock()), bus.clock()))
    bus.clock.now += 12
    bank.step(membership.candidates(bus.store, bus.clock()), bus.clock())
    assert await counts_again(bus, membership, bank) <= 12.0


async def test_an_echo_that_comes_late_is_no_other_master() -> None:
    """A gateway that stalls for a moment brings back our own questions when nobody waits for them any more."""
    played = PlayedMaster(packs(1, 2), (1, 2))
    link, clock = played.link, played.clock
    link.reply = lambda question, said: modbus.page_request(question.address, question.register or 0) + said
    await played.run(10)
    for stall in (1.2, 2.6, 4.0):
        link._busy = clock() + stall
        await played.run(20)
        assert played.told == []
        assert played.online() == {1, 2}
    link._coming.append(
        (clock(), modbus.page_request(1, modbus.LIVE))
    )  # somebody else asks what we have asked and heard
    await played.run(3)
    assert ["another master is asking" in one for one in played.told] == [True]
