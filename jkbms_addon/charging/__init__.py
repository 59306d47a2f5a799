"""How far and how fast is charged and discharged."""
