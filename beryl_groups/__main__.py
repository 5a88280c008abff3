"""``beryl-groups`` and ``python -m beryl_groups``: Ctrl-C is heard while the rest is loaded."""

import os
import signal

_INTERRUPTED = 130


def main(prog_name: str | None = None) -> None:
    """Load the command line and run it."""
    # Elsewhere Ctrl-C is ignored, as in what a script runs with "&", or is the host's.
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if is_ours:
            signal.signal(signal.SIGINT, _end)
    except ValueError:  # this is not the main thread, which alone hears of signals
        is_ours = False
    from beryl_groups.cli import main as run  # noqa: PLC0415

    try:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run(prog_name=prog_name)
    except KeyboardInterrupt:
        _end()


def _end(*_: object) -> None:
    """End at once: an exception may be lost in an import, and nothing is open yet."""
    try:
        os.write(2, b"Interrupted.\n")
    finally:
        os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main("python -m beryl_groups")
