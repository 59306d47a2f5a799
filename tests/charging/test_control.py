"""The loop that decides, and what it leaves behind."""

import asyncio
import logging
from pathlib import Path

import pytest

from jkbms_addon.charging.cadence import Cadence
from jkbms_addon.charging.control import AHEAD, DEADMAN, Control
from jkbms_addon.charging.decide import Controller
from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.memory import Memory
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.errors import CommandError
from jkbms_addon.kept import JsonFile
from tests.bank.packs import SETTINGS, WALL, candidate, values
from tests.charging.test_decide import LTO


class Bench:
    def __init__(
        self, kept: JsonFile | None = None, setpoints: Setpoints | None = None, memory: JsonFile | None = None
    ) -> None:
        self.now = 50.0
        self.packs = [candidate(1), candidate(2)]
        self.control = Control(
            lambda _now: self.packs,
            lambda: self.now,
            wall=lambda: WALL + self.now,
            setpoints=setpoints or Setpoints(),
            kept=kept,
            memory=memory,
        )

    def step(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.control.step(self.now)

    def written(self) -> None:
        """Have on disk what is to be kept."""

        async def write() -> None:
            tasks = [asyncio.create_task(run()) for run in self.control.files]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(write())

    def shown(self) -> Decision:
        decision = self.control.decision(self.now)
        assert decision
        return decision


def test_several_inverters_hear_the_same_goodbyes() -> None:
    """Half a second apart they are one; each of them is heard three times and then there is silence."""
    bench = Bench()
    for _ in range(70):
        bench.step()
    last = bench.control.count

    def told(seconds: float) -> tuple[int, float | None]:
        bench.now += seconds
        decision = bench.control.goodbye(bench.now)
        return bench.control.count - last, decision.charge_current if decision else None

    assert [told(seconds) for seconds in (0.5, 0.0, 0.25, 0.125, 0.125, 0.25, 0.75, 0.0, 1.0)] == [
        *((1, 0.0), (1, 0.0), (1, 0.0), (1, 0.0)),
        *((2, 0.0), (2, 0.0)),
        *((3, 0.0), (3, 0.0)),
        (4, None),
    ]


def test_a_beat_is_a_fixed_raster_that_leaves_missed_moments_out() -> None:
    cadence = Cadence(-0.05)
    assert cadence.next(10.2) == pytest.approx(10.95)
    assert cadence.next(10.9499) == pytest.approx(11.95)  # woken a little too early
    assert cadence.next(11.951) == pytest.approx(12.95)
    assert cadence.next(17.3) == pytest.approx(17.95)


def test_no_decision_before_the_first_step() -> None:
    bench = Bench()
    assert bench.control.decision(bench.now) is None
    assert bench.control.silence(bench.now) == "waiting for the first complete data of a battery"


def test_a_decision_lasts_for_three_seconds_at_most() -> None:
    bench = Bench()
    bench.step()
    assert bench.control.decision(bench.now + DEADMAN - 0.01) is not None
    assert bench.control.decision(bench.now + DEADMAN) is None
    assert "no decision" in bench.control.silence(bench.now + DEADMAN)


def test_a_short_validity_is_kept() -> None:
    bench = Bench(setpoints=Setpoints(valid_for=1))
    bench.step()
    assert bench.control.decision(bench.now + 1) is None


def test_switched_off_is_zeros_and_silence_and_survives_a_restart(tmp_path: Path) -> None:
    kept = JsonFile(tmp_path / "inverter.json")
    bench = Bench(kept)
    bench.step()
    bench.control.command("enable", "OFF")
    told = []
    for _ in range(5):
        bench.step()
        decision = bench.control.decision(bench.now)
        told.append(decision.charge_current if decision else None)
    assert told == [0, 0, 0, None, None]
    assert bench.control.silence(bench.now) == "switched off"
    bench.written()
    again = Bench(kept)
    again.step()
    assert not again.control.enabled
    assert again.control.decision(again.now) is None
    again.control.command("enable", "ON")
    again.written()
    assert Bench(kept).control.enabled


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("charge_voltage", "3.61", "3.61 is not within 3.4 to 3.6"),
        ("charge_voltage", "3.50", "3.5 is above the option, which is 3.48"),
        ("max_charge_current", "61", "61 is above the option, which is 60"),
        ("soc_floor", "31", "31 is not within 0 to 30"),
        ("soc_limit", "nan", "'nan' is not a number"),
        ("soc_limit", "٨٠", "'٨٠' is not a number"),
        ("soc_limit", "1_0", "'1_0' is not a number"),
        ("grid_charge", "always", "'always' is not one of never, emergency, full"),
        ("grid_charge", "full", "full is more than the option allows, which is emergency"),
        ("charging", "off", "the switch takes ON and OFF, not 'off'"),
        ("discharging", "OFF", "a house off the grid goes dark"),
        ("wake_up", "PRESS", "batteries are heard"),
    ],
)
def test_what_is_refused_changes_nothing_and_is_told(
    key: str, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(setpoints=Setpoints(charge_voltage=3.48, max_charge_current=60, grid_charge="emergency"))
    bench.step()
    before = bench.control.owner
    bench.control.command(key, text)
    assert caplog.messages[-1].startswith(f"inverter: {key} is refused: {reason}")
    assert bench.control.owner == before


def test_the_owners_numbers_count_at_once_and_survive_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kept = JsonFile(tmp_path / "inverter.json")
    bench = Bench(kept, Setpoints(max_charge_current=60))
    bench.step()
    for key, text in (("charge_voltage", "3.42"), ("max_discharge_current", "50"), ("grid_charge", "full")):
        bench.control.command(key, text)
    assert caplog.messages[-3:] == [
        "inverter: charge_voltage set to 3.42",
        "inverter: max_discharge_current set to 50",
        "inverter: grid charge is full",
    ]
    bench.step()
    assert (bench.shown().charge_voltage, bench.shown().discharge_current) == (54.7, 50)
    bench.written()
    again = Bench(kept, Setpoints(max_charge_current=60))
    again.step()
    assert again.shown().charge_voltage == 54.7
    again.control.command("charge_voltage", "default")
    again.step()
    assert again.shown().charge_voltage == 55.2


def test_options_that_became_narrower_bound_a_kept_number(tmp_path: Path) -> None:
    kept = JsonFile(tmp_path / "inverter.json")
    kept.save({"enabled": True, "max_discharge_current": 150, "charge_voltage": 3.55})
    bench = Bench(kept, Setpoints(max_discharge_current=40, charge_voltage=3.45))
    bench.step()
    assert (bench.shown().discharge_current, bench.shown().charge_voltage) == (40, 55.2)


@pytest.mark.parametrize("content", [{"enabled": True, "charge_voltage": "x"}, {"enabled": False, "soc_limit": 1e18}])
def test_a_damaged_file_of_the_owner_leaves_the_options_and_means_stopped(
    content: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = JsonFile(tmp_path / "inverter.json")
    kept.save(content)
    bench = Bench(kept)
    assert not bench.control.enabled
    assert "inverter.json is damaged" in caplog.text


def test_a_yes_to_one_thing_is_none_to_another() -> None:
    bench = Bench()
    bench.control.ask("max_charge_current", "20", sure=True)
    bench.control.command("discharging", "OFF")  # from elsewhere, for the first time
    assert bench.control.owner.discharging
    bench.control.ask("discharging", "OFF", sure=True)
    assert not bench.control.owner.discharging


def test_switches_of_charging_and_discharging() -> None:
    bench = Bench()
    bench.step()
    bench.control.command("charging", "OFF")
    bench.step()
    assert (bench.shown().charge_current, bench.shown().charge_enabled) == (0, False)
    assert bench.shown().reasons["charge_current"] == "charge stopped: switch Charging is off"
    assert bench.shown().discharge_current == pytest.approx(180)
    bench.control.command("discharging", "OFF")
    bench.step(31)
    bench.control.command("discharging", "OFF")  # too late for the second time
    bench.step()
    assert bench.shown().discharge_current > 0
    bench.step(29)  # half a minute after it is not
    bench.control.command("discharging", "OFF")
    bench.step()
    assert (bench.shown().discharge_current, bench.shown().discharge_enabled) == (0, False)
    bench.control.command("discharging", "ON")
    bench.step()
    assert bench.shown().discharge_enabled


def test_buttons() -> None:
    bench = Bench()
    bench.step()
    bench.control.command("balance", "PRESS")
    bench.step()
    assert bench.shown().phase == "balance"
    bench.control.command("charge_fully", "PRESS")
    bench.step()
    assert bench.shown().phase == "bulk"
    bench.control.command("stop", "STOP")
    assert not bench.control.enabled


def test_what_was_learned_is_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "charging.json")
    bench = Bench(memory=file)
    for _ in range(59):
        bench.step()
    bench.control.keep(now=True)
    bench.written()
    kept = file.load()
    assert (kept["phase"], kept["sent"], kept["seen"].keys()) == ("bulk", 55.2, {"garage/1", "garage/2"})


def test_settings_that_are_not_told_after_a_restart_are_those_of_before(tmp_path: Path) -> None:
    """The wire that told them is loose, another one goes on with what is measured."""
    file = JsonFile(tmp_path / "charging.json")
    lto = values(cells=(2.4,) * 24, **LTO)
    told = {1: lto | {"max_charge_current": 1e9}, 2: lto | {"max_charge_current": 30.0}}
    bench = Bench(memory=file)
    bench.packs = [candidate(n, told[n]) for n in told]
    bench.step()
    bench.control.keep(now=True)
    bench.written()
    assert file.load()["settings"]["garage/2"]["max_charge_current"] == 30
    assert "max_charge_current" not in file.load()["settings"]["garage/1"]
    again = Bench(memory=file)
    again.packs = [candidate(n, told[n] | dict.fromkeys(SETTINGS)) for n in told]
    for _ in range(80):
        again.step()
    assert again.shown().charge_voltage == 63.6
    assert again.shown().discharge_current > 0
    assert again.shown().charge_current == pytest.approx(0.9 * 60)


class Noted:
    """Instead of a file: what was to be written, and when."""

    def __init__(self, bench: "Bench") -> None:
        self.bench, self.at = bench, list[float]()
        self.content: object = None

    def save(self, content: object) -> None:
        self.content = content
        self.at.append(round(self.bench.now - 50))


def test_how_often_it_is_written(tmp_path: Path) -> None:
    bench = Bench(memory=JsonFile(tmp_path / "charging.json"))
    noted = Noted(bench)
    bench.control._memory = noted  # type: ignore[assignment]
    bench.packs = [candidate(1, values(state_of_charge=60))]
    for second in range(1, 200):
        if second == 70:
            bench.control.command("charge_voltage", "3.42")
        if second == 72:  # moves again within ten seconds
            bench.control.command("charge_voltage", "3.43")
        bench.packs = [candidate(1, values(state_of_charge=60 + second / 100))]
        bench.step()
    assert noted.at == [1, 61, 71, 81, 141]


def test_who_falls_asleep_is_written_at_once_and_can_be_woken_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the battery the house may go dark, and this machine with it."""
    caplog.set_level(logging.INFO)
    file = JsonFile(tmp_path / "charging.json")
    bench = Bench(memory=file)
    noted = Noted(bench)
    bench.control._memory = noted  # type: ignore[assignment]
    for second in range(1, 40):
        cell, heard = (3.3, True) if second < 14 else (2.93, second < 17)
        bench.packs = [candidate(1, values(cell=cell, current=0.0))] if heard else []
        bench.step()
    assert noted.at == [1, 14, 17]
    assert isinstance(noted.content, dict)
    file.save(noted.content)
    again = Bench(memory=file)
    again.packs = []
    again.now += 2 * 86400
    for _ in range(70):
        again.step()
    assert (again.shown().charge_current, again.shown().facts.asleep) == (0, True)
    again.control.command("enable", "OFF")
    again.control.command("wake_up", "PRESS")
    assert caplog.messages[-1] == "inverter: wake_up is refused: switched off"
    again.control.command("enable", "ON")
    again.control.command("max_charge_current", "3")
    again.control.command("wake_up", "PRESS")
    assert caplog.messages[-1] == "inverter: waking up: 3 A for ten minutes; last heard 2.0 days ago at 25 °C"
    again.control.command("max_charge_current", "20")
    again.control.command("wake_up", "PRESS")
    assert caplog.messages[-1] == "inverter: waking up: 5 A for ten minutes; last heard 2.0 days ago at 25 °C"
    again.step()
    assert again.shown().charge_current == 5


def test_who_falls_asleep_is_written_although_it_is_switched_off(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "charging.json")
    bench = Bench(memory=file)
    bench.control.command("enable", "OFF")
    for second in range(20):
        bench.packs = [candidate(1, values(cell=2.93, current=0.0))] if second < 10 else []
        bench.step()
    bench.written()
    assert file.load()["asleep"]["coldest"] == 25


def test_after_a_restart_the_first_set_waits_for_everybody(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "charging.json")
    bench = Bench(memory=file)
    bench.step()
    bench.control.keep(now=True)
    bench.written()
    again = Bench(memory=file)
    again.packs = [candidate(1)]
    for _ in range(3):
        again.step()
    assert again.control.decision(again.now) is None
    assert again.control.silence(again.now) == "waiting for the first complete data of all batteries"
    again.packs = [candidate(1), candidate(2)]
    again.step()
    assert again.shown().discharge_current == pytest.approx(180)


def test_a_damaged_memory_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = JsonFile(tmp_path / "charging.json")
    file.save({"phase": "boiling"})
    bench = Bench(memory=file)
    bench.step()
    assert bench.shown().phase == "bulk"
    assert "remembered is lost: phase" in caplog.text


def test_who_leaves_and_returns_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench()
    bench.step()
    bench.packs = [candidate(1), candidate(2, fresh=False, age=11.0)]
    for _ in range(3):
        bench.step()
    bench.packs = [candidate(1), candidate(2)]
    for _ in range(12):
        bench.step()
    assert caplog.messages == ["bank: Pack 2 does not count: silent for 11 s", "bank: Pack 2 counts again"]


def test_without_an_inverter_there_is_a_bank_and_no_decision() -> None:
    control = Control(lambda _now: [candidate(1), candidate(2)], lambda: 1.0)
    control.step(1.0)
    assert control.state.packs_online == 2
    assert control.decision(1.0) is None


async def test_it_decides_once_a_second_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [100.2], list[float]()
    control = Control(
        lambda _now: [candidate(1)], lambda: now[0], setpoints=Setpoints(), told=lambda: told.append(now[0])
    )

    async def sleep(seconds: float) -> None:
        now[0] += seconds + 0.003  # a loop is never woken to the point
        if len(told) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await control.run()
    assert control.count == 4
    assert told == pytest.approx([100.2, 100.953, 101.953, 102.953])  # 50 ms before it is sent, and no drift


async def test_at_the_end_everything_is_written(tmp_path: Path) -> None:
    bench = Bench(memory=JsonFile(tmp_path / "charging.json"))
    noted = Noted(bench)
    bench.control._memory = noted  # type: ignore[assignment]
    task = asyncio.create_task(bench.control.run())
    await asyncio.sleep(0)
    assert noted.at == [0]
    bench.packs = [candidate(1, values(state_of_charge=61))]
    bench.step()
    assert noted.at == [0]  # not yet
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert noted.at == [0, 1]


def test_who_was_never_there_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench()
    bench.packs = [candidate(1), candidate(2, age=None)]
    bench.step()
    bench.packs = [candidate(1, fresh=False, age=11.0), candidate(2, age=None)]
    bench.step()
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("INFO", "bank: Pack 2 does not count: no data yet"),
        ("WARNING", "bank: Pack 1 does not count: silent for 11 s"),
    ]


@pytest.mark.parametrize(("voltage", "taken"), [("3.39", False), ("3.40", True), ("3.60", True), ("3.61", False)])
def test_before_anything_is_heard_the_cells_are_taken_for_lfp(voltage: str, taken: bool) -> None:
    bench = Bench()
    bench.control.command("charge_voltage", voltage)
    assert (bench.control.kept.shown.charge_voltage == float(voltage)) is taken


class TestPreview:
    """What would be told is shown before it is done."""

    @staticmethod
    def running(folder: Path) -> Bench:
        bench = Bench(JsonFile(folder / "inverter.json"), memory=JsonFile(folder / "charging.json"))
        for _ in range(60):
            bench.step()
        return bench

    def test_a_number_of_the_owner(self, tmp_path: Path) -> None:
        control = self.running(tmp_path).control
        before = control.decision(control.clock())
        found = control.preview("max_charge_current", "20")
        assert found.text == "max_charge_current set to 20"
        assert found.before
        assert before
        assert found.before.charge_current >= before.charge_current > 20
        assert "rising" not in found.before.reasons["charge_current"]
        assert found.after
        assert found.after.charge_current == 20
        assert found.after.discharge_current == found.before.discharge_current

    def test_it_is_what_would_be_told_in_the_next_seconds(self, tmp_path: Path) -> None:
        control = self.running(tmp_path).control
        assert control._controller
        full = WALL - 3 * 86400
        control._controller._voltage.phases.progress.last_full = full
        before = control.preview("charging", "OFF").before
        assert before
        assert before.valid_until == pytest.approx(control.clock() + AHEAD[-1] + 3)
        now = WALL + control.clock() + AHEAD[-1]
        assert before.facts.days_since_full == pytest.approx((now - full) / 86400, abs=1e-9)
        assert tuple(sorted(AHEAD)) == AHEAD

    def test_nothing_is_done_by_looking(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        bench = self.running(tmp_path)
        control = bench.control
        owner, decision, state = control.owner, control.decision(control.clock()), control.state
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        caplog.clear()
        for key, text in (("charge_voltage", "3.42"), ("charging", "OFF"), ("stop", ""), ("charge_fully", "")):
            control.preview(key, text)
        assert (control.owner, control.decision(control.clock()), control.state) == (owner, decision, state)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
        assert caplog.records == []
        bench.step()
        after = control.decision(bench.now)
        assert after
        assert decision
        assert (after.charge_voltage, after.phase) == (decision.charge_voltage, decision.phase)

    def test_a_stop_is_silence_and_charging_off_is_zero(self, tmp_path: Path) -> None:
        control = self.running(tmp_path).control
        assert control.preview("stop", "").after is None
        off = control.preview("charging", "OFF").after
        assert off
        assert (off.charge_current, off.discharge_current > 0) == (0, True)

    def test_what_would_be_refused_says_the_same_reason(self, tmp_path: Path) -> None:
        control = self.running(tmp_path).control
        for key, text in (("charge_voltage", "9"), ("max_charge_current", "x"), ("wake_up", "")):
            with pytest.raises(CommandError) as previewed:
                control.preview(key, text)
            with pytest.raises(CommandError) as asked:
                control.ask(key, text)
            assert str(previewed.value) == str(asked.value)

    def test_the_phase_is_known_since_when(self, tmp_path: Path) -> None:
        control = self.running(tmp_path).control
        decision = control.decision(control.clock())
        assert decision
        assert decision.facts.phase_since is None  # since before the program was started
        kept = Memory(phase="float", phase_since=1234.0)
        for memory, phase, since in (
            (kept, "float", 1234.0),
            (kept.model_copy(update={"last_full": 1000.0, "highest": 60.0}), "bulk", 5000.0),
        ):
            again = Controller(Setpoints(), memory)
            told = again.step(control.state, 1000.0, 5000.0)
            assert told
            assert (told.phase, told.facts.phase_since) == (phase, since)
            assert again.memory().phase_since == since
