"""What must not be told, as an inverter cannot be told it rightly. Pure."""

from jkbms_addon.charging.decision import Decision
from jkbms_addon.inverter.dialects import Dialect


def too_low(dialect: Dialect, decision: Decision) -> str:
    """Why a decision cannot be told: the least that this inverter takes would be above the owner's voltage."""
    recalled = decision.recalled
    cells = recalled.cells if recalled else min((view.cells for view in decision.bank.counted), default=0)
    most = cells * decision.facts.charge_voltage
    if not cells or most >= dialect.least_voltage:
        return ""
    return (
        f"this inverter takes no charge voltage below {dialect.least_voltage:g} V, "
        f"and {most:.1f} V is the most for this battery"
    )
