"""What happens to a command before anything touches a wire."""

import logging
from typing import Any

import pytest

from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.command import RESULTS, Command, Outcome
from jkbms_addon.commands.queue import WAITING, CommandQueue
from jkbms_addon.simulator.pb import SimulatedBms, default_settings
from jkbms_addon.wire.pb.registers import WRITABLE


class Office:
    """A commands, its clock and its audit."""

    def __init__(self, level: str = "protections", unlocked: bool = True, **parts: Any) -> None:
        self.now = 100.0
        self.store = Store(lambda: self.now)
        self.store.update("a", Reading(1, "live", {"battery_type": "LFP", "total_voltage": 53.0}, valid_for=10))
        self.store.update("a", Reading(1, "settings", dict(default_settings(SimulatedBms(1)))))
        self.audited: list[Outcome] = []
        writable = parts.get("writable", {"a": frozenset(WRITABLE), "listening": frozenset[str]()})
        self.commands = CommandQueue(level, self.store, writable, self.audited.append, unlocked=unlocked)

    def says(self, key: str, payload: str = "ON", address: int = 1, bus: str = "a", retained: bool = False) -> str:
        """Hand a command in; the reason of its refusal, empty when it waits."""
        before = len(self.audited)
        self.commands.take(Command(bus, address, key, payload, "mqtt t"), retained=retained)
        if len(self.audited) == before:
            return ""
        (outcome,) = self.audited[before:]
        assert (outcome.result, outcome.command.source) == ("refused", "mqtt t")
        assert outcome.before is outcome.after is None
        return outcome.reason

    @property
    def waiting(self) -> int:
        return sum(queue.qsize() for queue in self.commands.queues.values())


def test_a_command_waits_for_the_owner_of_its_bus() -> None:
    office = Office()
    assert office.says("charging_switch", "OFF") == ""
    assert office.commands.queues["a"].get_nowait() == Command("a", 1, "charging_switch", "OFF", "mqtt t")
    assert office.audited == []  # its outcome is written down when it is known


def test_off() -> None:
    office = Office("off", unlocked=True)
    assert office.says("charging_switch") == "writing is off: see the option writes.level"
    assert not office.commands.unlocked


def test_locked() -> None:
    office = Office(unlocked=False)
    assert "locked: switch on 'Writing'" in office.says("charging_switch")


@pytest.mark.parametrize(
    ("level", "key", "fine"),
    [
        ("switches", "charging_switch", True),
        ("switches", "smart_sleep_delay", False),
        ("settings", "smart_sleep_delay", True),
        ("settings", "power_off_voltage", False),
        ("protections", "power_off_voltage", True),
    ],
)
def test_levels(level: str, key: str, fine: bool) -> None:
    payload = {"charging_switch": "OFF", "smart_sleep_delay": "20", "power_off_voltage": "2.6"}[key]
    expected = "" if fine else f"{key} is not allowed by writes.level {level}"
    assert Office(level).says(key, payload) == expected


def test_a_silent_bms_is_refused_at_once() -> None:
    office = Office()
    assert office.says("charging_switch", address=2) == "BMS 2 on bus a is silent"
    office.now += 10
    assert office.says("charging_switch") == "BMS 1 on bus a is silent"


@pytest.mark.parametrize(
    ("bus", "key"),
    [
        ("a", "nonsense"),
        ("a", "cell_count"),
        ("a", "device_address"),
        ("a", "total_voltage"),
        ("listening", "charging_switch"),
        ("other", "charging_switch"),
    ],
)
def test_what_the_strategy_cannot_change(bus: str, key: str) -> None:
    assert Office().says(key, bus=bus) == f"{key} cannot be changed on bus {bus}"


def test_what_makes_no_sense_is_refused_before_it_waits() -> None:
    office = Office()
    assert "not within 2.5 to 3.65 V" in office.says("cell_voltage_overvoltage_protection", "4.2")
    assert "neither ON nor OFF" in office.says("charging_switch", "perhaps")
    assert office.waiting == 0


def test_retained(caplog: pytest.LogCaptureFixture) -> None:
    office = Office()
    assert office.says("charging_switch", "OFF", retained=True) == "the command was retained"
    assert office.waiting == 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "publish it without the retain flag" in caplog.text


def test_busy_when_full_and_none_of_the_others_is_lost() -> None:
    office = Office()
    told = [office.says("max_charge_current", str(20 + n)) for n in range(WAITING + 5)]
    assert told == [""] * WAITING + ["busy: too many commands are waiting"] * 5
    queue = office.commands.queues["a"]
    assert [queue.get_nowait().payload for _ in range(WAITING)] == [str(20 + n) for n in range(WAITING)]


def test_every_attempt_is_written_down_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    office = Office()
    command = Command("a", 1, "max_charge_current", "50", "mqtt t")
    caplog.set_level(logging.INFO, "jkbms_addon")
    for result in RESULTS:
        office.commands.done(Outcome(command, result, "because", 40.0, 50.0))
    assert [outcome.result for outcome in office.audited] == list(RESULTS)
    assert list(office.commands.outcomes) == office.audited
    levels = {record.getMessage(): record.levelname for record in caplog.records}
    assert levels["a: BMS 1: max_charge_current: applied to 50.0 (was 40.0)"] == "INFO"
    assert levels["a: BMS 1: max_charge_current: wanted 50, is 50.0: not taken: because"] == "WARNING"
    assert sorted(levels.values()) == ["INFO", "INFO", "WARNING", "WARNING", "WARNING"]


def test_what_is_not_known_is_said_so(caplog: pytest.LogCaptureFixture) -> None:
    office = Office()
    office.says("charging_switch", "x" * 500, address=7)
    (message,) = caplog.messages
    assert "is unknown: refused: BMS 7" in message
    assert "x" * 41 not in message


# --- the lock ------------------------------------------------------------------------------------------
def test_the_lock_switch() -> None:
    office = Office(unlocked=False)
    office.commands.lock("ON", retained=False)
    assert office.says("charging_switch", "OFF") == ""
    office.commands.lock("OFF", retained=False)
    assert "locked" in office.says("charging_switch", "OFF")


def test_what_does_not_move_the_lock(caplog: pytest.LogCaptureFixture) -> None:
    office = Office(unlocked=False)
    office.commands.lock("ON", retained=True)
    assert "retained" in caplog.text
    office.commands.lock("on please", retained=False)
    assert not office.commands.unlocked
    off = Office("off")
    off.commands.lock("ON", retained=False)
    assert not off.commands.unlocked
    assert "stays locked" in caplog.text


# --- what is shown as a control ------------------------------------------------------------------------
def test_controls_are_what_level_and_strategy_allow() -> None:
    values = {"battery_type": "LFP"}
    assert Office("off").commands.controls(("a", 1), values) == {}
    assert Office().commands.controls(("listening", 1), values) == {}
    assert Office().commands.controls(("other", 1), values) == {}
    every = Office(unlocked=False).commands.controls(("a", 1), values)  # a locked control is one, too
    assert set(every) == set(WRITABLE)
    assert every["cell_voltage_overvoltage_protection"].maximum == 3.65
    assert set(Office("switches").commands.controls(("a", 1), values)) == {k for k in WRITABLE if k.endswith("_switch")}
