"""No translation falls behind the English text."""

import pytest

from tests import translated


@pytest.mark.parametrize("language", translated.languages())
def test_every_translation_was_made_from_the_english_text_of_today(language: str) -> None:
    assert translated.behind(language) == [], f"look at them, then run python -m tests.translated {language}"


def test_a_changed_sentence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = translated.english()
    monkeypatch.setattr(translated, "english", lambda: {**now, "buses.strategy.description": "another"})
    assert translated.behind("de") == ["buses.strategy.description"]
