"""What lodiag could not do, as exceptions; what the network answered is data and never one of these.

Each error is one sentence for a person, a ``hint`` that says how to get further, and a stable ``code``.
The command line prints all three and exits with status 2.
"""


class LodiagError(Exception):
    """lodiag could not run: the base of every error that it raises on purpose."""

    code = "error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        """Keep the sentence and the hint."""
        super().__init__(message)
        self.hint = hint


class TargetError(LodiagError):
    """The target is malformed, unknown, or not on the loopback; nothing was sent."""

    code = "bad-target"


class PrivilegeError(LodiagError):
    """The operating system refused, for lack of permission, every way to measure."""

    code = "no-permission"


class UnsupportedError(LodiagError):
    """This machine lacks what the request needs."""

    code = "unsupported"


class ConfigError(LodiagError):
    """An option, value or file is unusable; nothing was sent."""

    code = "bad-config"


class ConsentError(ConfigError):
    """The change takes away more than it says, and nobody has agreed to that; nothing was changed."""

    code = "needs-consent"
