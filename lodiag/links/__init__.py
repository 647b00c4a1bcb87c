"""The parts of ``iface``: loopback interfaces as records, and how one is changed safely."""
