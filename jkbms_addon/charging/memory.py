"""What the charge control remembers over a restart: one small file in ``/data``. Pure."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from math import inf
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jkbms_addon.bank.bank import LASTING, Lasting
from jkbms_addon.bank.candidate import Key
from jkbms_addon.battery.chemistry import Name, known
from jkbms_addon.battery.quantities import Value, typed
from jkbms_addon.battery.snapshot import label
from jkbms_addon.charging.phases import Phase, Progress
from jkbms_addon.kept import LAST_DAY

WEEK = 7 * 86400.0
LONGEST = 3  # digits of an address
Finite = Annotated[float, Field(ge=-LAST_DAY, le=LAST_DAY, allow_inf_nan=False)]  # V, A, Ah, or s since 1970


LARGEST = 100000.0
Setting = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]  # V, A, °C
Cell = Annotated[float, Field(ge=1.0, le=5.0)]  # V
Bank = Annotated[float, Field(ge=0, le=1000)]  # V


class Asleep(BaseModel):
    """A battery that was empty when it was last heard, at ``at``, as it was then; V, A, %, Ah, °C.

    ``charge``, ``floating`` and ``empty`` are V per cell of ``cells`` in series, after all bounds; ``least`` is the
    voltage of the battery down to which it was discharged.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=False)

    at: Finite
    coldest: Annotated[float, Field(ge=-100, le=200)] | None = None
    voltage: Bank
    current: Finite
    state_of_charge: Annotated[float, Field(ge=0, le=100)]
    state_of_health: Annotated[float, Field(ge=0, le=100)] | None = None
    capacity: Finite | None = None
    packs: Annotated[int, Field(ge=0, le=1000)] = 0
    cells: Annotated[int, Field(ge=1, le=400)]
    chemistry: Name
    charge: Cell
    floating: Cell
    empty: Cell
    least: Bank


class Memory(BaseModel):
    """Phase, count, corrections, what was learned, and who is there; times are s since 1970.

    ``None`` is what is infinite or unknown; packs are named ``bus/address``. ``settings`` are those of each pack that
    limits are made from, as another wire that goes on without them must not raise these.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=False)

    phase: Phase = "bulk"
    clock: Annotated[float, Field(ge=0, le=LAST_DAY)] = 0.0
    at_voltage: Annotated[float, Field(ge=0, le=LAST_DAY)] = 0.0
    highest: Annotated[float, Field(ge=0, le=100)] = 0.0
    ramp: Finite | None = None
    learned: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    doubtful: bool = False
    last_full: Finite | None = None
    counted_from: Finite | None = None
    tried: Finite | None = None
    unbalanced: tuple[Finite, ...] = ()
    unlimited: bool = False
    trim: Finite | None = None
    float_trim: Annotated[float, Field(ge=-0.4, le=0.4)] = 0.0
    brake: Finite | None = None
    sent: Finite | None = None
    empty: tuple[str, ...] = ()
    seen: dict[str, Finite] = {}
    asleep: Asleep | None = None
    phase_since: Finite | None = None
    settings: dict[str, dict[str, Setting | Name]] = {}

    def told(self) -> dict[Key, Lasting]:
        """The settings of each pack, as far as they can be such."""
        found: dict[Key, Lasting] = {}
        for name, settings in self.settings.items():
            for key in keys([name]):
                with suppress(ValueError):
                    typed(settings)
                    found[key] = {one: value for one, value in settings.items() if one in LASTING}
        return found

    def progress(self) -> Progress:
        """The part of the phases."""
        return Progress(
            phase=self.phase,
            clock=self.clock,
            at_voltage=self.at_voltage,
            highest=self.highest,
            ramp=infinite(self.ramp),
            learned=self.learned,
            doubtful=self.doubtful,
            last_full=self.last_full,
            counted_from=self.counted_from,
            tried=self.tried,
            unbalanced=list(self.unbalanced),
            unlimited=self.unlimited,
        )

    def expected(self, wall: float) -> frozenset[Key]:
        """Packs that were there within the last seven days."""
        return frozenset(keys(name for name, at in self.seen.items() if 0 <= wall - at <= WEEK))


def infinite(value: float | None) -> float:
    """A voltage that is not limited is kept as null."""
    return inf if value is None else value


def finite(value: float) -> float | None:
    """A voltage for the file, to the millivolt."""
    return None if value == inf else round(value, 3)


def keys(names: Iterable[str]) -> Iterable[Key]:
    """Packs by their names in the file; what is none is left out."""
    for text in names:
        bus, _, address = text.partition("/")
        if len(address) <= LONGEST and address.isascii() and address.isdecimal():
            yield bus, int(address)


def noted(settings: Mapping[Key, Lasting], packs: Collection[str]) -> dict[str, Any]:
    """The settings of these packs for the file, without what none can be."""
    told = {label(key): one for key, one in settings.items() if label(key) in packs}
    return {name: {one: value for one, value in kept.items() if _possible(value)} for name, kept in told.items()}


def _possible(value: Value) -> bool:
    return known(value) if isinstance(value, str) else isinstance(value, float | int) and abs(value) <= LARGEST


def remembered(content: object) -> tuple[Memory, str]:
    """The memory of an earlier run, and what is wrong with it; then everything begins anew."""
    try:
        return Memory.model_validate(content), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return Memory(), f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
