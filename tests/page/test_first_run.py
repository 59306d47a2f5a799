from pathlib import Path

from jkbms_addon.page.first_run import MOST, look


def test_ports_and_interfaces(tmp_path: Path) -> None:
    by_id, devices, network = tmp_path / "by-id", tmp_path / "dev", tmp_path / "net"
    for folder in (by_id, devices, network):
        folder.mkdir()
    for name in ("ttyUSB0", "ttyUSB1", "ttyACM0", "null"):
        (devices / name).touch()
    (by_id / "usb-FTDI_FT232R-if00").symlink_to(devices / "ttyUSB1")
    for name, kind, state in (("can0", "280", "up"), ("can1", "280", "down"), ("eth0", "1", "up")):
        (network / name).mkdir()
        (network / name / "type").write_text(f"{kind}\n")
        (network / name / "operstate").write_text(f"{state}\n")
    (network / "odd").mkdir()
    assert look(by_id, devices, network) == {
        "ports": [
            {"path": str(by_id / "usb-FTDI_FT232R-if00"), "device": str(devices / "ttyUSB1")},
            {"path": str(devices / "ttyUSB0"), "device": None},
            {"path": str(devices / "ttyACM0"), "device": None},
        ],
        "can": [{"name": "can0", "up": True}, {"name": "can1", "up": False}],
    }


def test_nothing_is_there(tmp_path: Path) -> None:
    assert look(tmp_path / "a", tmp_path / "b", tmp_path / "c") == {"ports": [], "can": []}


def test_what_is_told_is_bounded(tmp_path: Path) -> None:
    for n in range(500):
        (tmp_path / f"ttyUSB{n}").touch()
    assert len(look(tmp_path / "none", tmp_path, tmp_path / "none")["ports"]) == MOST
