"""The options: one file, its sections, and what older ones are called now."""
