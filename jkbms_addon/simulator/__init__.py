"""Simulated batteries behind real ports, for the demo and for tests."""
