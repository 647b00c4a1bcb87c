"""Where results go: standard output, and a file that is written whole or not at all."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from errno import EISDIR
from io import TextIOWrapper
from typing import TYPE_CHECKING, Self, TextIO

from lodiag.errors import ConfigError, LodiagError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


def tell(text: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):  # nobody is left to tell
            sys.stderr.write(_fit(text.encode("ascii", "backslashreplace").decode("ascii")) + "\n")
            sys.stderr.flush()


def _fit(text: str) -> str:
    """Break a text between words where the terminal would break it within one."""
    if not sys.stderr.isatty():
        return text
    from lodiag.render.prose import LEAST_WIDTH, wrap

    with suppress(OSError, ValueError):  # it tells no size
        width = max(os.get_terminal_size(sys.stderr.fileno()).columns, LEAST_WIDTH)
        return "\n".join(line for part in text.split("\n") for line in wrap(part, width, indent="  "))
    return text


class OutputError(LodiagError):
    """A result could not be written."""

    code = "output-failed"


class Output:
    """Standard output, and a file if one was asked for.

    The file's text is collected beside it and takes its place at the end, so an existing file is never
    half overwritten, and it is opened at the start, so that what cannot be written is not measured.
    A device or a pipe is written to directly.
    """

    def __init__(self, path: str | None, *, is_shown: bool = True, aside: bool = False) -> None:
        """Open; ``ConfigError`` if ``path`` cannot be written.

        Without ``is_shown`` there is the file alone; with ``aside`` standard error takes the place of standard output,
        which is for another's use.
        """
        self._stream = (sys.stderr if aside else sys.stdout) if is_shown else None
        self._reader_is_gone = False
        if isinstance(self._stream, TextIOWrapper):  # a name that the locale cannot spell is no reason to fail
            self._stream.reconfigure(errors="backslashreplace")
        self._name = path
        self._file: TextIO | None = None
        self._path: Path | None = None
        self._draft: Path | None = None
        if path is not None:
            try:
                self._open_file(path)
            except (OSError, ValueError) as error:
                message = f"cannot write {path[:200]!r}: {getattr(error, 'strerror', None) or error}"
                raise ConfigError(message, "Nothing was measured, and no file was changed.") from error

    def _open_file(self, name: str) -> None:
        import stat
        import tempfile
        from pathlib import Path

        if not os.path.basename(name):  # noqa: PTH119 - a Path would drop the slash that makes it a directory
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        owner = None
        try:
            found = os.stat(name)  # noqa: PTH116 - of the name as given: a loop of links is an error
        except FileNotFoundError:
            mode = 0o666 & ~_umask()
        else:
            if not stat.S_ISREG(found.st_mode):
                self._file = open(name, "w", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115 - closed in __exit__
                return
            mode, owner = stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)
            open(name, "a").close()  # noqa: PTH123 - a file that may not be written may not be replaced
        path = self._path = Path(os.path.realpath(name))
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".lodiag-")
        self._draft = Path(draft)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        if owner is not None and hasattr(os, "chown"):
            with suppress(PermissionError):  # only root may give a file away, and only then is it another's
                os.chown(draft, *owner)
        self._draft.chmod(mode)

    def __enter__(self) -> Self:
        """Return this output."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Put the file in its place; after an error, leave what was there."""
        try:
            if self._file is not None:
                self._file.close()
            if self._draft is not None and self._path is not None and kind is None:
                self._draft.replace(self._path)
                self._draft = None
        except OSError as error:
            raise self._file_error(error) from error
        finally:
            if self._draft is not None:
                self._draft.unlink(missing_ok=True)

    def _file_error(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._name!r}: {error.strerror}", "The file that was there is as it was.")

    @property
    def is_in_vain(self) -> bool:
        """Whether whoever wanted the result has gone away."""
        return self._reader_is_gone and self._file is None

    @property
    def has_lost_reader(self) -> bool:
        """Whether whoever wanted the result has gone away, though nothing was written since (poll(2): POLLERR)."""
        if self._stream is None:
            return self._file is None
        with suppress(OSError, ValueError):  # a stream of a caller's own is no file of the system
            if not self._reader_is_gone and hasattr(select, "poll"):  # Windows has none: there, writing will tell
                poll = select.poll()
                poll.register(self._stream.fileno(), 0)
                if poll.poll(0):
                    self._abandon()
        return self.is_in_vain

    @property
    def width(self) -> int | None:
        """Columns of the terminal that standard output is; none where a file is to hold the same."""
        if self._stream is None or self._file is not None:
            return None
        with suppress(OSError, ValueError):  # it is no terminal, or no file of the system
            return os.get_terminal_size(self._stream.fileno()).columns or None
        return None

    @property
    def encoding(self) -> str | None:
        """How standard output spells characters; ``None`` where a file is to hold the same, which spells all."""
        return None if self._file is not None else getattr(self._stream, "encoding", None)

    def can_write(self, text: str) -> bool:
        """Whether standard output has these characters."""
        try:
            text.encode(getattr(self._stream, "encoding", None) or "utf-8")
        except (LookupError, UnicodeError):
            return False
        return True

    def write(self, text: str) -> None:
        """Write and flush; nothing more goes to a reader that has gone."""
        try:
            if self._file is not None:
                self._file.write(text)
        except OSError as error:
            raise self._file_error(error) from error
        if self._reader_is_gone or self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._abandon()
        except OSError as error:
            self._abandon()
            message = f"cannot write to standard output: {error.strerror}"
            raise OutputError(message) from error

    def _abandon(self) -> None:
        """Point standard output nowhere, so that Python's own flush at exit does not fail again."""
        self._reader_is_gone = True
        if self._stream is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
