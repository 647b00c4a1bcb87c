"""What all tests share."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# A job in the background, or under nohup, ignores signals, and what it starts does too: tests send some.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

# A busy machine is no failure, and a checkout stays as it is.
settings.register_profile("lodiag", database=None, deadline=None)
settings.load_profile("lodiag")
