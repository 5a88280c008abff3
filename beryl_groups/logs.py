"""Where the package says what nobody can be told by an exception."""

from __future__ import annotations

import logging

# `logging.config` disables the loggers that are there already and that a configuration does not
# name: by default, and both of these then. Who means to silence the package disables the first.
# (Where both have happened nothing tells that; a level, or a configuration that names it, does.)
_LOGGER = logging.getLogger("beryl_groups")
_WITNESS = logging.getLogger("beryl_groups.witness")


def logger() -> logging.Logger:
    """Return the logger ``beryl_groups``, to be asked for each time that something is logged.

    A configuration that disables all loggers that it does not name has not disabled this one;
    what the application did to this one stays as it is.
    """
    if _WITNESS.disabled:
        _LOGGER.disabled = _WITNESS.disabled = False
    return _LOGGER
