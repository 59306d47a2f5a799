import pytest


@pytest.fixture(autouse=True)
def no_program_is_left() -> None:
    """Not here: a stage holds for all tests of a file, and they start its broker and program anew."""
