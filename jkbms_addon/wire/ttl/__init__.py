"""The first generation on the UART-TTL port (``4E 57``)."""
