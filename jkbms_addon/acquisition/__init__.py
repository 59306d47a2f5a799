"""Acquisition strategies: how data comes from a bus. What a plug-in may import is named here."""

from jkbms_addon.acquisition.contract import GROUP, Changing, Open, Options, Plugin, Source, known, load

__all__ = ["GROUP", "Changing", "Open", "Options", "Plugin", "Source", "known", "load"]
