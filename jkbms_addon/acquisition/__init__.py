"""Strategies of acquiring data, as plug-ins."""
