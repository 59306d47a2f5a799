"""What tests of the broker's owner have in common."""

from collections.abc import Callable

import pytest

from jkbms_addon.mqtt.session import Session


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many connections have been begun."""
    begun: list[object] = []
    enter = Session.__aenter__

    async def counted(session: Session) -> Session:
        begun.append(session)
        return await enter(session)

    monkeypatch.setattr(Session, "__aenter__", counted)
    return lambda: len(begun)
