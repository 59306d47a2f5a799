"""Wire formats: bytes to values and back. No input, no output, no clock."""
