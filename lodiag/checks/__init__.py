"""The parts of ``check``: reading checks, running them, and the kinds of them."""
