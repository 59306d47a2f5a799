"""How a decision is said to an inverter over CAN."""
