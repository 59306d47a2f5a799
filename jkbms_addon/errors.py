"""The four errors of this program, and who handles each.

AddonError
 +-- OptionsError   the user must act      -> ``__main__`` prints it, status 1; of a bus or a section: a problem of it
 +-- LinkError      the wire is gone       -> ``supervise`` waits and opens it again
 +-- FrameError     bytes make no sense    -> the source counts and skips them
 +-- CommandError   a write was refused    -> the owner of the bus reports it and goes on

Anything else is a bug: ``supervise`` logs the traceback and restarts that owner alone.
"""


class AddonError(Exception):
    """Root of all errors that this program raises on purpose."""


class OptionsError(AddonError):
    """An option is wrong; the message names it and says what is allowed."""


class LinkError(AddonError):
    """A serial port, gateway, broker or CAN interface is not usable now."""


class FrameError(AddonError):
    """Received bytes are not a valid message of their format."""


class CommandError(AddonError):
    """A command was refused, by us or by the BMS; the message says why."""
