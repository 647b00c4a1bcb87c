"""The diagnoses themselves, interchangeable: a module for each thing looked at, listed in ``catalogue``."""
