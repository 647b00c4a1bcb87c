"""Run ``python -m lodiag``."""

import sys

from lodiag.cli import main

sys.exit(main())
