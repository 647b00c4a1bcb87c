"""The parts of ``audit``: what is expected of sockets, what was there before, and who is connected to them."""
