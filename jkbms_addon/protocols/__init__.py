"""Wire formats: bytes to meaning and back, without any I/O."""
