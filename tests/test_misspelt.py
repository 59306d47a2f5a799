"""A misspelt key does not survive the type checker: planted in every module that reads quantities, all are refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# module -> what stands there, and the same with a letter wrong
PLANTS: dict[str, tuple[str, str]] = {
    "bank/bank.py": ("view.current", "view.curent"),
    "bank/candidate.py": ("pack.total_voltage", "pack.total_votlage"),
    "charging/cell_limits.py": ("pack.battery_type", "pack.batery_type"),
    "charging/decide.py": ("one.capacity", "one.capacty"),
    "charging/derating.py": ("view.capacity", "view.capacty"),
    "charging/phases.py": ("seen.state_of_charge", "seen.state_of_chrge"),
    "charging/sharing.py": ("view.capacity", "view.capasity"),
    "commands/command.py": ("pack.serial_number", "pack.serial_numbr"),
    "commands/rules.py": ("pack.cell_voltage_overvoltage_protection", "pack.cell_voltage_overvoltage_protecton"),
    "inverter/state.py": ("bank.full_charge_capacity", "bank.full_charge_capasity"),
    "views/bank.py": ("state.min_temperature", "state.min_temprature"),
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy says of a copy of the package in which all are planted."""
    folder = tmp_path_factory.mktemp("misspelt")
    shutil.copytree(ROOT / "jkbms_addon", folder / "jkbms_addon", ignore=shutil.ignore_patterns("__pycache__"))
    for module, (right, wrong) in PLANTS.items():
        path = folder / "jkbms_addon" / module
        text = path.read_text(encoding="utf-8")
        assert right in text, f"{module} does not hold {right!r} any more: name another key that it reads"
        path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "jkbms_addon"],
        cwd=folder,
        env={"PATH": "", "MYPY_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1, told.stderr
    return told.stdout


@pytest.mark.parametrize("module", PLANTS)
def test_a_misspelt_key_is_refused(module: str, complaints: str) -> None:
    name = PLANTS[module][1].rpartition(".")[2]
    lines = [line for line in complaints.splitlines() if line.startswith(f"jkbms_addon/{module}:")]
    assert any(f'"{name}"' in line for line in lines), complaints


def test_there_is_no_other_complaint(complaints: str) -> None:
    found = {line.partition(":")[0] for line in complaints.splitlines() if ": error:" in line}
    assert found == {f"jkbms_addon/{module}" for module in PLANTS}


def test_there_are_at_least_ten() -> None:
    assert len(PLANTS) >= 10
