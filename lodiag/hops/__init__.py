"""The parts of ``trace``: hop probes under way, the ways of several methods, and what fits them."""
