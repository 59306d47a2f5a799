from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.sensors import Sensors


def told(value: float, address: int | None = 1, form: str = "pb") -> Reading:
    return Reading(address, "live", {"temperature_sensor_1": value, "mosfet_temperature": 20.0}, format=form)


def shown(reading: Reading) -> object:
    return reading.values["temperature_sensor_1"]


def test_zero_ever_since_is_not_fitted_and_anything_else_is_real() -> None:
    sensors = Sensors()
    assert [shown(sensors.fitted(told(value))) for value in (0.0, 0.0, 12.0, 0.0)] == [None, None, 12.0, 0.0]
    assert shown(sensors.fitted(told(0.0, 2))) is None


def test_a_frame_of_nobody_has_no_past() -> None:
    sensors = Sensors()
    assert [shown(sensors.fitted(told(value, None))) for value in (12.0, 0.0)] == [12.0, None]


def test_other_formats_say_otherwise_what_is_not_fitted() -> None:
    assert shown(Sensors().fitted(told(0.0, form="ttl"))) == 0.0


def test_who_was_away_may_be_at_another_temperature_and_its_probes_are_as_real() -> None:
    sensors = Sensors()
    assert shown(sensors.believed(told(30.0), 0.0)) == 30.0
    sensors.proved(told(30.0))
    assert shown(sensors.believed(told(5.0), 2.0)) is None
    sensors.forget(1)
    assert shown(sensors.believed(told(5.0), 4.0)) == 5.0
    sensors.forget(1)
    assert shown(sensors.believed(told(0.0), 6.0)) == 0.0
