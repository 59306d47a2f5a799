"""What is said of trouble comes apart into symptom, likely cause and what to try."""

import pytest

from jkbms_addon.acquisition import diagnosis, ttl_line
from jkbms_addon.acquisition.diagnosis import TROUBLED, Diagnosis, Reason
from jkbms_addon.acquisition.reasons import parted, silence

TABLES = [*diagnosis.REASONS.values(), *ttl_line.REASONS.values()]


@pytest.mark.parametrize("reason", TABLES, ids=lambda reason: reason.symptom)
def test_every_reason(reason: Reason) -> None:
    assert parted(str(reason)) == (reason.symptom, reason.cause, reason.remedy)


def test_what_stands_around_it_stays_with_the_symptom() -> None:
    cut = diagnosis.REASONS["cut"]
    found = Diagnosis(polling=True)
    for _ in range(TROUBLED):
        found.bad(3, "cut", "160 of 300 bytes")
    assert parted(found.troubles()[3]) == (f"{cut.symptom} (160 of 300 bytes)", cut.cause, cut.remedy)
    half = diagnosis.REASONS["half_open"]
    assert parted(f"gateway:4196: {half}") == (f"gateway:4196: {half.symptom}", half.cause, half.remedy)


def test_other_words_are_a_symptom() -> None:
    text = "/dev/ttyUSB0 does not exist; is the adapter plugged in?"
    assert parted(text) == (text, "", "")


def test_who_is_silent() -> None:
    assert parted(str(diagnosis.REASONS["nothing_polled"])) == silence()
