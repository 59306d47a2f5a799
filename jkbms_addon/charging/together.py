"""The packs of the bank as the one battery that is charged. Pure."""

from dataclasses import dataclass

from jkbms_addon.bank.bank import BankState
from jkbms_addon.bank.candidate import View
from jkbms_addon.charging.sharing import capacity_of
from jkbms_addon.charging.trim import Battery


@dataclass(frozen=True, slots=True)
class Together:
    """The bank in numbers: V of the packs whose charge MOSFET is closed, their highest cell and worst spread."""

    voltage: float
    hot: float
    hottest: View
    spread: float
    low: float
    current: float
    capacity: float
    state_of_charge: float
    cells: int

    @property
    def battery(self) -> Battery:
        """The same, as the corrections want it."""
        return Battery(self.voltage, self.hot, self.current, self.capacity, self.cells)


def together(bank: BankState) -> Together:
    """Of all packs that count."""
    views = bank.counted
    closed = [view for view in views if view.charge_closed] or list(views)
    hottest = max(closed, key=_highest)
    # a full cell that is heard counts even where its pack does not: the MOSFET may be stuck
    for one in bank.excluded:
        if one.view is not None and one.view.charge_closed and one.view.high.value > hottest.high.value:
            hottest = one.view
    charge = bank.state_of_charge
    return Together(
        voltage=max(view.voltage for view in closed),
        hot=hottest.high.value,
        hottest=hottest,
        spread=max(view.high.value - view.low.value for view in closed),
        low=min(view.low.value for view in views),
        current=sum(view.current for view in views),
        capacity=sum(map(capacity_of, views)),
        state_of_charge=0.0 if charge is None else charge,
        cells=min(view.cells for view in closed),
    )


def _highest(view: View) -> float:
    return view.high.value
