"""What the inverter is told when something happens: the table of DOCS.md, each row with what shows it."""

from collections.abc import Callable
from dataclasses import dataclass

from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.state import said
from tests.bank.packs import Bench, candidate, got, running, values, with_cell


@dataclass(frozen=True, slots=True)
class Row:
    """An event, what is told then, and whether it is so."""

    event: str
    told: str
    holds: Callable[[], bool]


def _limits(decision: Decision | None) -> tuple[float, float]:
    found = got(decision)
    return round(found.charge_current, 1), round(found.discharge_current, 1)


def _start() -> bool:
    return Bench().step() is None


def _first() -> bool:
    bench = Bench()
    first, second = _limits(bench.step(candidate())), _limits(bench.step(candidate()))
    return first == (0, 90) and second == (1.5, 90)


def _waiting() -> bool:
    bench = Bench()
    bench.controller._named = frozenset({("garage", 1), ("garage", 2)})
    told = [bench.step(candidate(1)) for _ in range(16)]
    return told[:15] == [None] * 15 and told[15] is not None


def _aging() -> bool:
    bench = Bench()
    bench.run(candidate(), seconds=3)
    before = _limits(bench.decision)
    return _limits(bench.step(candidate(age=6.0))) == before


def _one_silent() -> bool:
    bench = running(packs=4)
    told = got(bench.step(*(candidate(n) for n in (1, 2, 3)), candidate(4, age=11.0)))
    state = said(told)
    return _limits(told) == (270, 270) and state.alarms == ("internal_comm_fail",) and not state.protections


def _all_silent() -> bool:
    bench = running()
    held = got(bench.step())
    over = bench.run(seconds=900)
    return _limits(held) == (0, 30) and held.charge_voltage == 53.6 and _limits(over) == (0, 0)


def _all_silent_low() -> bool:
    bench = Bench()
    bench.run(candidate(told=values(3.19, current=0.0)), seconds=30)
    return _limits(bench.step()) == (0, 0)


def _stop_after() -> bool:
    bench = running(Setpoints(stop_after=60))
    told = [bench.step() for _ in range(61)]
    return told[59] is not None and told[60] is None


def _asleep() -> bool:
    bench = Bench()
    bench.run(candidate(told=with_cell(4, 2.85, current=0.0)), seconds=30)
    asleep = got(bench.step())
    refused = bench.controller.wake(bench.now)
    return _limits(asleep) == (0, 0) and bool(asleep.facts.findings) and not refused and _limits(bench.step()) == (5, 0)


def _asleep_before() -> bool:
    before = Bench()
    before.run(candidate(told=with_cell(4, 2.85, current=0.0)), seconds=30)
    bench = Bench(memory=before.controller.memory())
    told = [bench.step() for _ in range(61)]
    refused = bench.controller.wake(bench.now)
    return told[:60] == [None] * 60 and _limits(told[60]) == (0, 0) and not refused and _limits(bench.step()) == (5, 0)


def _cold() -> bool:
    bench = running(packs=2)
    told = [candidate(n, values(alarms=("charge_under_temperature_protection",))) for n in (1, 2)]
    return _limits(bench.step(*told)) == (0, 180) and not said(got(bench.decision)).protections


def _full() -> bool:
    bench = running(packs=2)
    told = candidate(2, values(alarms=("cell_over_voltage_fully_charged",)))
    return _limits(bench.step(candidate(1), told)) == (90, 180)


def _empty_one() -> bool:
    bench = running(packs=4)
    packs = [candidate(n, values(current=-2.0)) for n in (1, 2, 3)]
    return _limits(bench.run(*packs, candidate(4, with_cell(4, 2.85, current=-2.0)), seconds=30))[1] == 270


def _empty_all() -> bool:
    bench = running(packs=2)
    told = bench.run(*(candidate(n, with_cell(4, 2.85, current=-2.0)) for n in (1, 2)), seconds=30)
    return told.discharge_current == 0 and told.charge_current > 0 and not told.wanted.now


def _mosfets() -> bool:
    bench = running(packs=2)
    one = _limits(bench.step(candidate(1), candidate(2, values(discharging=False))))
    all_off = _limits(bench.step(*(candidate(n, values(discharging=False)) for n in (1, 2))))
    return one == (180, 90) and all_off == (180, 0)


def _faulty() -> bool:
    bench = running(packs=2)
    hot = values(alarms=("mosfet_over_temperature_protection",))
    one = got(bench.step(candidate(1), candidate(2, hot)))
    first = _limits(one) == (90, 90) and not said(one).protections
    both = got(bench.step(candidate(1, hot), candidate(2, hot)))
    return first and _limits(both) == (0, 0) and said(both).protections == ("over_temperature",)


def _no_temperature() -> bool:
    bench = running()
    told = got(bench.step(candidate(told=values(temperature_sensor_1=None, temperature_sensor_2=None))))
    return _limits(told) == (0, 90) and said(told).temperature is None


def _impossible() -> bool:
    return got(running().step(candidate(told=values(state_of_charge=120)))).lost


def _no_settings() -> bool:
    bench = running(packs=2)
    told = values(max_charge_current=None)
    return _limits(bench.step(candidate(1), candidate(2, told, settings_required=True))) == (90, 180)


def _above() -> bool:
    bench = running()
    told = bench.run(candidate(told=values(3.5)), seconds=60)
    return _limits(told)[0] == 0 and told.charge_voltage <= 55.2 and told.discharge_current == 90


def _ignores() -> bool:
    bench = running()
    told = bench.run(candidate(told=values(charging=False)), seconds=40)
    return told.charge_voltage < 52.8 and "brake" in told.reasons["charge_voltage"]


def _require_all() -> bool:
    return _limits(running(Setpoints(require_all=True), packs=2).step(candidate(1))) == (0, 0)


def _stopped() -> bool:
    bench = running()
    told = [bench.step(candidate(), enabled=False) for _ in range(4)]
    return [_limits(one) for one in told[:3]] == [(0, 90)] * 3 and told[3] is None


def _hangs() -> bool:
    decision = got(running().decision)
    return decision.expired(decision.valid_until) and not decision.expired(decision.valid_until - 0.1)


ROWS = (
    Row("the app starts, no data yet", "nothing, until one battery is heard completely", _start),
    Row(
        "first data",
        "charging from 0 A up, to its full sum in a minute and by 5 A a second at most; discharging at once",
        _first,
    ),
    Row(
        "the app starts, and not all batteries are heard that are named in `members` or were there within seven days",
        "nothing for up to 15 s, then what those bear that are heard",
        _waiting,
    ),
    Row("data older than 2 s (CAN), 5 s (asked; more with a slow interval)", "no limit rises any more", _aging),
    Row(
        "one of several batteries silent, for 5 s (CAN) or three rounds, at least 10 s",
        "the others go on without it, with an alarm; charging not with more than before for 5 minutes",
        _one_silent,
    ),
    Row(
        "no battery is heard any more",
        "charging 0 at once, the voltage at most that of float; discharging as before, but at most 0.3 C, for "
        "`hold_without_data` (15 minutes); then 0. Internal fault, last charge",
        _all_silent,
    ),
    Row(
        "the same, and it was below 20 % or a cell below 3.20 V when last heard", "discharging 0, too", _all_silent_low
    ),
    Row("no battery heard for longer than `stop_after`", "nothing", _stop_after),
    Row(
        "no battery heard, and empty when last heard: they have switched themselves off",
        "0 both ways, and a finding; *Wake up* charges with 5 A for 10 minutes if it was at least 5 °C",
        _asleep,
    ),
    Row(
        "the app starts, no battery is heard, and they were empty when last heard",
        "nothing for a minute, then the same; *Wake up* at once",
        _asleep_before,
    ),
    Row("frost: every BMS has stopped charging", "charging 0, discharging unchanged, an alarm", _cold),
    Row("one battery is full and has stopped charging", "charging without it, discharging unchanged", _full),
    Row("one weak cell in one of several batteries", "discharging without this battery", _empty_one),
    Row("every battery is empty", "discharging 0, charging goes on; the grid is not asked (`grid_charge`)", _empty_all),
    Row(
        "charge (discharge) MOSFET off in one or all batteries",
        "this direction without them; the other unchanged",
        _mosfets,
    ),
    Row(
        "a fault that stops both directions in one battery, or in all",
        "the others go on, an alarm; with all of them 0 and a protection",
        _faulty,
    ),
    Row("temperature unknown", "charging 0, discharging unchanged; no temperature is made up", _no_temperature),
    Row("a value that is missing, impossible or no number", "the battery counts as silent", _impossible),
    Row(
        "settings of a battery that is asked are not known yet",
        "charging without it, discharging with it",
        _no_settings,
    ),
    Row("the battery is above the voltage that you want", "charging 0, the voltage never higher than you want", _above),
    Row(
        "the inverter charges although the limit is 0",
        "after 20 s a voltage that goes down from the battery's by 0.1 V each 10 s until it stops",
        _ignores,
    ),
    Row("a battery is missing, with `require_all`", "0 both ways", _require_all),
    Row(
        "the app is stopped, or *Enable* switched off, or *Stop* pressed",
        "three times charging 0, discharging unchanged (with `grid_tied` 0, too), then nothing",
        _stopped,
    ),
    Row(
        "the app hangs or crashes",
        "nothing from then on; no frame is repeated by anything but a living program, none is built from a decision "
        "older than 3 s",
        _hangs,
    ),
)
