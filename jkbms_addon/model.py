"""Where plug-ins of other people find what a reading is; the program itself does not import it from here."""

from jkbms_addon.battery.quantities import Pack, Scalar, Value, Values
from jkbms_addon.battery.reading import Reading, derive, flat, statistics

__all__ = ["Pack", "Reading", "Scalar", "Value", "Values", "derive", "flat", "statistics"]
