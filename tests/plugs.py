"""An adapter that can be pulled out and plugged in again: its path stays, what is behind it is new each time."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Generic, Protocol, TypeVar


class HasPort(Protocol):
    port: str


Far = TypeVar("Far", bound=HasPort)


class Plug(Generic[Far]):
    """``path`` leads to what ``make`` makes, as a link in /dev/serial/by-id leads to the adapter."""

    def __init__(self, path: Path, make: Callable[[], AbstractAsyncContextManager[Far]]) -> None:
        self.path, self._make = path, make
        self._stack: AsyncExitStack | None = None
        self._far: Far | None = None

    @property
    def far(self) -> Far:
        """What is plugged in now."""
        assert self._far is not None
        return self._far

    async def plug(self) -> None:
        self._stack = AsyncExitStack()
        self._far = await self._stack.enter_async_context(self._make())
        self.path.symlink_to(self._far.port)

    async def pull(self) -> None:
        self.path.unlink(missing_ok=True)
        stack, self._stack, self._far = self._stack, None, None
        if stack:
            await stack.aclose()
