"""What happens to a command before anything touches a wire."""

import logging
from typing import Any

import pytest

from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.audit import Intent
from jkbms_addon.commands.command import RESULTS, Command, Identity, Outcome
from jkbms_addon.commands.queue import BURST, MAX_AGE, WAITING, CommandQueue
from jkbms_addon.errors import CommandError
from jkbms_addon.simulator.pb import SimulatedBms, default_settings
from jkbms_addon.wire.pb.registers import WRITABLE


class Paper:
    """An audit without a disk."""

    def __init__(self) -> None:
        self.noted: list[Outcome] = []
        self.closed: list[str] = []
        self.intents: list[Intent] = []

    async def begin(self, *_: object) -> str:
        raise AssertionError("nothing is carried out here")

    def note(self, outcome: Outcome, intent: str = "") -> None:
        self.noted.append(outcome)
        self.closed.append(intent)

    async def unfinished(self) -> list[Intent]:
        return self.intents


class Office:
    """A queue, its clock and its audit."""

    def __init__(self, level: str = "protections", unlocked: bool = True, **parts: Any) -> None:
        self.now = 100.0
        self.store = Store(lambda: self.now)
        self.store.update("a", Reading(1, "live", {"battery_type": "LFP", "total_voltage": 53.0}, valid_for=10))
        self.store.update("a", Reading(1, "settings", dict(default_settings(SimulatedBms(1)))))
        self.paper = Paper()
        self.audited = self.paper.noted
        writable = parts.get("writable", {"a": frozenset(WRITABLE), "listening": frozenset[str]()})
        self.commands = CommandQueue(level, self.store, writable, self.paper, unlocked=unlocked)

    def says(self, key: str, payload: str = "ON", address: int = 1, bus: str = "a", retained: bool = False) -> str:
        """Hand a command in; the reason of its refusal, empty when it waits."""
        before = len(self.audited)
        self.commands.ask(bus, address, key, payload, "mqtt t", retained=retained)
        if len(self.audited) == before:
            return ""
        (outcome,) = self.audited[before:]
        assert (outcome.result, outcome.command.source) == ("refused", "mqtt t")
        assert outcome.before is outcome.after is None
        return outcome.reason

    @property
    def waiting(self) -> int:
        return self.commands.waiting("a") + self.commands.waiting("listening")


def test_a_command_waits_for_the_owner_of_its_bus() -> None:
    office = Office()
    assert office.says("charging_switch", "OFF") == ""
    waiting = office.commands.next("a")
    assert waiting is not None
    assert waiting.command == Command("a", 1, "charging_switch", False, 100.0, "mqtt t", Identity(None, 16))
    assert office.commands.next("a") is None
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
    assert office.says("charging_switch", "OFF", retained=True).startswith("the command was retained")
    assert office.waiting == 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "publish it without the retain flag" in caplog.text


def test_busy_when_full_and_none_of_the_others_is_lost() -> None:
    office = Office()
    told = [office.says("max_charge_current", str(20 + n)) for n in range(WAITING + 5)]
    assert told == [""] * WAITING + ["busy: too many commands are waiting"] * 5
    kept = [waiting.command.value for _ in range(WAITING) if (waiting := office.commands.next("a"))]
    assert kept == [20 + n for n in range(WAITING)]


def test_every_attempt_is_written_down_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    office = Office()
    command = Command("a", 1, "max_charge_current", 50.0, 0.0, "mqtt t")
    caplog.set_level(logging.INFO, "jkbms_addon")
    for result in RESULTS:
        reason = "" if result in ("applied", "unchanged") else "because"
        office.commands.done(Outcome(command, result, reason, 40.0, 50.0))
    assert [outcome.result for outcome in office.audited] == list(RESULTS)
    assert office.commands.outcomes.after(0) == (len(RESULTS), office.audited)
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


# --- what waits ----------------------------------------------------------------------------------------
def test_what_is_too_old_is_told_and_never_carried_out() -> None:
    office = Office()
    assert office.says("charging_switch", "OFF") == ""
    office.now += MAX_AGE / 2
    assert office.says("heating_switch", "ON") == ""
    office.now += MAX_AGE / 2 + 0.1
    waiting = office.commands.next("a")
    assert waiting is not None
    assert waiting.command.key == "heating_switch"
    (outcome,) = office.audited
    assert (outcome.command.key, outcome.result) == ("charging_switch", "refused")
    assert outcome.reason == "expired: it waited 10 s for bus a"
    office.now += MAX_AGE
    with pytest.raises(CommandError, match="expired"):  # although its turn came in time
        office.commands.permit(waiting)


def test_it_is_told_although_nobody_owns_the_bus() -> None:
    office = Office()
    office.says("charging_switch", "OFF")
    office.now += MAX_AGE + 1
    office.commands.expire()
    assert office.waiting == 0
    assert [outcome.reason for outcome in office.audited] == ["expired: it waited 11 s for bus a"]


def test_the_lock_empties_the_queue_and_tells_each() -> None:
    office = Office()
    for n in range(25):
        assert office.says("max_charge_current", str(50 + n)) == ""
    waiting = office.commands.next("a")
    assert waiting is not None
    office.commands.lock("OFF", retained=False)
    assert office.waiting == 0
    assert [outcome.command.value for outcome in office.audited] == [51 + n for n in range(24)]
    assert {outcome.reason for outcome in office.audited} == {"writing was locked before its turn came"}
    with pytest.raises(CommandError, match="locked"):  # what was taken out, but not written yet
        office.commands.permit(waiting)


def test_a_lost_link_empties_the_queue_of_its_bus_and_nothing_is_queued_until_it_is_back() -> None:
    office = Office(writable={"a": frozenset(WRITABLE), "b": frozenset(WRITABLE)})
    office.store.update("b", Reading(1, "live", {}, valid_for=10))
    assert office.says("charging_switch", "OFF") == office.says("charging_switch", "OFF", bus="b") == ""
    office.commands.lost("a", "pulled")
    assert [outcome.reason for outcome in office.audited] == ["the link was lost before its turn came: pulled"]
    assert office.commands.waiting("b") == 1
    assert office.says("charging_switch", "OFF") == "the link of bus a is lost: pulled"
    office.commands.opened("a")
    assert office.says("charging_switch", "OFF") == ""


def test_a_page_has_a_lock_of_its_own() -> None:
    office, opened = Office(unlocked=False), True
    office.commands.ask("a", 1, "charging_switch", "OFF", "page", lock=lambda: opened)
    waiting = office.commands.next("a")
    assert waiting is not None
    opened = False
    with pytest.raises(CommandError, match="locked"):
        office.commands.permit(waiting)


# --- a flood, and foreign texts --------------------------------------------------------------------------
def test_a_flood_of_refused_commands_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    office = Office("off")
    for n in range(5 * BURST):
        office.commands.ask("a", 1, f"key_{n}", "1", "mqtt t")
    assert len(office.audited) == len(caplog.records) == BURST
    assert office.commands.outcomes.last == 5 * BURST  # each is shown, so that an entity springs back
    office.now += 2
    office.commands.ask("a", 1, "charging_switch", "1", "mqtt t")
    assert len(office.audited) == BURST + 1
    assert f"{4 * BURST} more commands were refused" in caplog.text


def test_long_texts_are_shortened_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    office, long = Office(), "y" * 60_000
    office.commands.ask("a", 1, long, long, f"mqtt {long}")
    (outcome,) = office.audited
    assert len(str(outcome.record())) < 800
    assert max(map(len, caplog.messages)) < 400


def test_lines_stay_lines(caplog: pytest.LogCaptureFixture) -> None:
    office = Office()
    office.commands.ask("a", 1, "so\nlala", "1\x1b[31m\n2", "mqtt \n")
    (message,) = caplog.messages
    assert message.isprintable()


# --- readers ------------------------------------------------------------------------------------------------
def test_every_reader_has_a_cursor_of_its_own() -> None:
    office = Office("off")
    log = office.commands.outcomes
    office.says("charging_switch")
    first, told = log.after(0)
    assert [outcome.command.key for outcome in told] == ["charging_switch"]
    office.says("heating_switch")
    assert [outcome.command.key for outcome in log.after(first)[1]] == ["heating_switch"]
    assert [outcome.command.key for outcome in log.after(0)[1]] == ["charging_switch", "heating_switch"]
    assert log.after(log.last) == (2, [])
    for _ in range(1000):
        office.says("heating_switch")
    assert len(log.after(0)[1]) <= 64  # bounded
    assert log.after(0)[0] == 1002


# --- an earlier run -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("now", "result"), [(80.0, "applied"), (100.0, "failed")])
async def test_what_an_earlier_run_left_open_is_told_and_closed(
    now: float, result: str, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office()
    command = Command("a", 1, "max_charge_current", 80.0, 0.0, "mqtt t")
    office.paper.intents.append(Intent("x-1", command, 100.0, 1000.0))
    await office.commands.recall()
    assert "the outcome of the change to 80 is unknown" in caplog.text
    (outcome,) = office.commands.outcomes.after(0)[1]
    assert (outcome.result, outcome.before, outcome.after) == ("failed", 100.0, None)
    office.commands.saw("a", Reading(2, "settings", {"max_charge_current": 80.0}))
    office.commands.saw("a", Reading(1, "live", {"max_charge_current": 80.0}))
    assert office.audited == []
    office.commands.saw("a", Reading(1, "settings", {"max_charge_current": now}))
    office.commands.saw("a", Reading(1, "settings", {"max_charge_current": now}))
    (outcome,) = office.audited
    assert (outcome.result, outcome.before, outcome.after) == (result, 100.0, now)
    assert office.paper.closed == ["x-1"]


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
