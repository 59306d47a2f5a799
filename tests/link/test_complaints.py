"""What BlueZ and its library complain of."""

import pytest
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakDBusError, BleakError

from jkbms_addon.errors import LinkError
from jkbms_addon.link.complaints import translated

NONE = BleakBluetoothNotAvailableError("No Bluetooth adapters found.", BleakBluetoothNotAvailableReason.NO_BLUETOOTH)
TROUBLES = [
    (BleakDBusError("org.bluez.Error.InProgress", []), "another program is connecting"),
    (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), "adapter is switched off"),
    (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []), "bluetoothd does not run"),
    (BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", ["An AppArmor policy"]), "D-Bus refuses this program"),
    (BleakDBusError("org.bluez.Error.AuthenticationFailed", []), "set the option pin"),
    (BleakDBusError("org.bluez.Error.Failed", ["br-connection-canceled"]), "it may demand pairing"),
    (BleakDBusError("org.bluez.Error.Failed", ["Not connected"]), "the BMS hung up"),
    (NONE, "no Bluetooth on this host: no adapter is found"),
    (BleakDBusError("org.freedesktop.DBus.Error.Spawn.ChildExited", ["Launch helper"]), "bluetoothd does not run"),
    (FileNotFoundError(2, "No such file"), "its D-Bus is not there"),
    (EOFError(), "its D-Bus went away"),
    (BleakError("something new"), "something new"),
    (TimeoutError(), "does not answer in time"),
]


@pytest.mark.parametrize(("error", "words"), TROUBLES, ids=lambda x: x if isinstance(x, str) else type(x).__name__)
def test_troubles_are_told_in_words_that_help(error: Exception, words: str) -> None:
    with pytest.raises(LinkError, match="unit: ") as caught, translated("unit"):
        raise error
    assert words in str(caught.value)
