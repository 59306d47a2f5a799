"""The newest lines of the log, as the page shows them."""

import logging

from jkbms_addon.doctor.log import LINES, LONGEST, Newest

LOGGER = logging.getLogger("jkbms_addon.tests")


def kept(*secrets: str) -> Newest:
    newest = Newest()
    newest.keep(secrets)
    newest.keep(secrets)  # once is enough
    return newest


def test_lines_are_numbered_bounded_and_without_secrets() -> None:
    newest = kept("geheim-4711", "abc", "")
    try:
        LOGGER.warning("broker: %s was refused, abc", "geheim-4711")
        assert [(line.level, line.text) for line in newest.after(0)] == [("WARNING", "broker: *** was refused, abc")]
        assert newest.after(newest.count) == []
        for n in range(2 * LINES):
            LOGGER.warning("%d %s", n, "x" * 2 * LONGEST)
        assert newest.count == 2 * LINES + 1
        assert len(newest.after(0)) == LINES
        assert [line.text.split()[0] for line in newest.after(newest.count - 2)] == ["598", "599"]
        assert max(len(line.text) for line in newest.after(0)) == LONGEST
    finally:
        logging.getLogger().removeHandler(newest)


def test_an_error_is_named() -> None:
    newest = kept()
    try:
        try:
            int("odd")
        except ValueError:
            LOGGER.exception("this is a bug")
        assert newest.after(0)[0].text == "this is a bug (ValueError: invalid literal for int() with base 10: 'odd')"
    finally:
        logging.getLogger().removeHandler(newest)
