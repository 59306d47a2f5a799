"""How far and how fast the batteries may be charged and discharged: decisions, nothing of how they are said."""
