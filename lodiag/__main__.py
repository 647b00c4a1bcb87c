"""Run ``python -m lodiag``."""

import gc
import sys

LEAST_COLLECTED = 20_000
"""New objects after which those that refer to each other are looked through: more than a start-up makes."""


def main() -> int:
    """Run the command line; a Ctrl-C that comes while it still loads ends it as quietly as any other.

    What is loaded is no garbage: to look through it time and again takes 4 ms of 60.
    """
    gc.set_threshold(LEAST_COLLECTED)
    try:
        if sys.argv[1:2] == ["check"]:
            from lodiag.checks.quick import main as check_quickly

            status = check_quickly(sys.argv[2:])
            if status is not None:
                return status
        from lodiag.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()  # or Python looks for garbage in all that was loaded before it ends, for a tenth of a short run


if __name__ == "__main__":
    sys.exit(main())
