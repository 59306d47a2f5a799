"""What the BMSs broadcast over CAN by themselves."""
