"""The parts of ``map``: ends of connections joined, named and counted."""
