"""Several batteries as one: who counts."""
