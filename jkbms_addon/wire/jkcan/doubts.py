"""What tells that a CAN address cannot be believed: small detectors, each fed with what one BMS says.

Source: specification of the JK CAN protocol, chapters 2, 9 and 10. Times are seconds of any one clock.
"""


class Lasting:
    """A condition that counts only when it held without a break."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def holds(self, condition: bool, now: float) -> bool:  # noqa: FBT001
        """Whether it has held for long enough."""
        if not condition:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._seconds


class Alternation:
    """A quantity that hardly ever changes goes to and fro: two BMSs take turns."""

    WITHIN, TURNS = 10.0, 3

    def __init__(self) -> None:
        self._last: object = None
        self._before: object = None
        self._turns: list[float] = []

    def seen(self, value: object, now: float) -> bool:
        """Whether the value has gone back to its predecessor several times."""
        if value == self._last:
            return False
        back = value == self._before
        self._before, self._last = self._last, value
        self._turns = [turn for turn in self._turns if now - turn <= self.WITHIN] + [now] if back else []
        return len(self._turns) >= self.TURNS


class Clocks:
    """A run time that jumps both ways: two clocks. One that only jumps back was restarted."""

    TOLERANCE, WITHIN = 5.0, 60.0

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._jump: tuple[bool, float] | None = None

    def seen(self, seconds: float, now: float) -> bool:
        """Whether this run time jumps the other way than the jump before it."""
        last, self._last = self._last, (seconds, now)
        if last is None:
            return False
        off = seconds - last[0] - (now - last[1])
        if abs(off) <= self.TOLERANCE:
            return False
        before, self._jump = self._jump, (off > 0, now)
        return before is not None and before[0] != (off > 0) and now - before[1] <= self.WITHIN


class Rate:
    """More frames than one BMS sends, in two windows in a row: one may hold what had piled up before."""

    LIMIT, WINDOW = 80.0, 1.0

    def __init__(self, now: float) -> None:
        self._since, self._mark, self._strikes = now, 0, 0
        self.per_second: float | None = None

    def seen(self, count: int, now: float) -> bool:
        """Whether this count of all frames so far shows too high a rate."""
        seconds = now - self._since
        if seconds >= self.WINDOW:
            self.per_second = (count - self._mark) / seconds
            self._strikes = self._strikes + 1 if self.per_second > self.LIMIT else 0
            self._since, self._mark = now, count
        return self._strikes >= 2


class Drift:
    """Half an hour of current one way while the charge goes the other way: the sign looks inverted.

    It only warns: a sign is never turned because of it.
    """

    CURRENT, SECONDS, CHARGE = 5.0, 1800.0, 2.0  # A, s, %

    def __init__(self) -> None:
        self._direction, self._since, self._charge = 0, 0.0, 0.0

    def seen(self, current: float, charge: float, now: float) -> bool:
        """Whether current and state of charge have contradicted each other for long."""
        direction = (current > self.CURRENT) - (current < -self.CURRENT)
        if not direction or direction != self._direction:
            self._direction, self._since, self._charge = direction, now, charge
            return False
        return now - self._since >= self.SECONDS and (charge - self._charge) * direction < -self.CHARGE


class Cells:
    """Puts the frames of four cells together.

    The count is the highest cell that ever had a voltage; how many frames there are is known when one comes
    for the second time. A set is whole when all its frames are of one burst, or, when that keeps failing,
    heard within 1.5 s.
    """

    BURST, TOGETHER = 0.5, 1.5

    def __init__(self) -> None:
        self._frames: dict[int, tuple[float, tuple[float | None, ...]]] = {}
        self._cycled = False
        self._whole_at = float("-inf")
        self.count = 0

    def heard(self, first: int, cells: tuple[float | None, ...], now: float) -> tuple[float | None, ...] | None:
        """All cells in V when this frame makes them whole, a broken sense wire as None; else None."""
        self._cycled = self._cycled or first in self._frames
        self._frames[first] = (now, cells)
        self.count = max([self.count, *(first + n for n, cell in enumerate(cells) if cell is not None)])
        wanted = [self._frames.get(n, (float("-inf"), ())) for n in range(1, self.count + 1, 4)]
        if not self._cycled or not wanted:
            return None
        apart = now - min(at for at, _ in wanted)
        if apart > (self.BURST if now - self._whole_at < self.TOGETHER else self.TOGETHER):
            return None
        self._whole_at = now
        return self._joined()

    def _joined(self) -> tuple[float | None, ...]:
        cells: list[float | None] = [None] * self.count
        for first, (_, voltages) in self._frames.items():
            for n, voltage in enumerate(voltages, first - 1):
                if n < self.count:
                    cells[n] = voltage
        return tuple(cells)
