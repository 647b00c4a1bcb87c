"""The parts of ``ping``: echo probes under way, to one address or to many, and what becomes of each."""
