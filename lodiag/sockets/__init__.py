"""The parts of ``conns`` and ``who``: sockets as records, what answers, and one reading after the other."""
