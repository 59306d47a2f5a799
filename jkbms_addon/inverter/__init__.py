"""What all batteries together let an inverter do, and telling it over CAN."""
