"""Run ``python -m lodiag``."""

import sys


def main() -> int:
    """Run the command line; a Ctrl-C that comes while it still loads ends it as quietly as any other."""
    try:
        from lodiag.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
