"""What all tests share."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from lodiag.errors import UnsupportedError
from lodiag.limits import SOURCES
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).parent))

# A job in the background, or under nohup, ignores signals, and what it starts does too: tests send some.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGQUIT"):
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# A busy machine is no failure, and a checkout stays as it is.
settings.register_profile("lodiag", database=None, deadline=None)
settings.load_profile("lodiag")


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Close what a test opens."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    """Name each source of the socket table that this machine has."""
    name = str(request.param)
    try:
        System().list_sockets(name)
    except UnsupportedError as error:
        pytest.skip(str(error))
    return name
