"""The page: a bank understood at a glance, in a browser. Reads what others know; nothing depends on it."""
