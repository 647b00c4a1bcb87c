"""The live table of ``lodiag conns --watch``, on a pseudo-terminal that the test reads."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack, closing

import pytest
from running import environment
from watching import PATIENCE_S, Watcher

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
termios = pytest.importorskip("termios", reason="this system has no pseudo-terminals")

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
TAKE_SCREEN, GIVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
NEW, CHANGED, GONE = "\x1b[1;32m+\x1b[0m", "\x1b[1;35m~\x1b[0m", "\x1b[1;31m-\x1b[0m"
"""The mark alone: a row in yellow cannot be read on white, nor one in blue on black."""
COLOUR = re.compile(r"\x1b\[[0-9;]*3[1-7]")


class Terminal(Watcher):
    """A watcher whose standard output is a terminal."""

    def __init__(
        self, *arguments: str, lines: int = 24, columns: int = 80, command: str = "conns", **variables: str
    ) -> None:
        """Start ``conns --watch``, or another command, with a terminal of that size."""
        self.terminal, slave = pty.openpty()
        self.resize(lines, columns)
        kept = {name: value for name, value in environment().items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
        env = {**kept, "TERM": "xterm", "LC_ALL": "C.UTF-8", **variables}
        watch = ("--watch",) if command != "ping" else ()
        super().__init__(*watch, *arguments, pipe=(self.terminal, slave), env=env, command=command)

    def resize(self, lines: int, columns: int) -> None:
        """Give the terminal another size, as a window manager does."""
        termios.tcsetwinsize(self.terminal, (lines, columns))

    def await_row(self, pattern: str) -> None:
        """Read until a line of the screen is such, without what controls the terminal."""
        self.await_text(lambda text: re.search(pattern, CONTROL.sub("", text)))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it, and read what it leaves behind."""
        self.process.send_signal(number)
        while self.read():
            pass
        status, said = self.end()
        assert said == ""
        return status


def serve(opened: ExitStack) -> tuple[socket.socket, int]:
    server = opened.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
    return server, int(server.getsockname()[1])


def test_what_comes_changes_and_goes_is_marked_by_sign_and_colour(opened: ExitStack) -> None:
    server, port = serve(opened)
    with Terminal("0.3", "--port", str(port)) as terminal:
        terminal.await_row(rf"\n  tcp +listen +127\.0\.0\.1:{port} ")
        client = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
        accepted = opened.enter_context(closing(server.accept()[0]))
        peer = client.getsockname()[1]
        terminal.await_row(rf"\n\+ tcp +established +127\.0\.0\.1:{port} +127\.0\.0\.1:{peer} ")
        terminal.await_row(rf"\n  tcp +established +127\.0\.0\.1:{port} +127\.0\.0\.1:{peer} ")
        client.close()
        terminal.await_row(rf"\n~ tcp +estab->close-wait +127\.0\.0\.1:{port} +127\.0\.0\.1:{peer} ")
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        terminal.await_row(rf"\n- tcp +close-wait +127\.0\.0\.1:{port} +127\.0\.0\.1:{peer} ")
        terminal.await_text(lambda text: all(colour in text for colour in (NEW, CHANGED, GONE)))
        assert terminal.stop() == 130


def test_rates_are_those_of_the_connection(opened: ExitStack) -> None:
    server, port = serve(opened)
    client = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
    accepted = opened.enter_context(closing(server.accept()[0]))
    for sock in (client, accepted):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with Terminal("0.2", "--lport", str(port), "-e") as terminal:
        terminal.await_row(r"in/s +out/s")
        for _ in range(100):
            client.sendall(bytes(65536))
            left = 65536
            while left:
                left -= len(accepted.recv(left))
            terminal.read()
            if re.search(r"established .* \d[\d.]* [KMG]iB +0 B", CONTROL.sub("", terminal.text)):
                break
        else:
            pytest.skip("this source has no counters") if "sock_diag" not in terminal.text else pytest.fail("no rate")
        assert terminal.stop() == 130


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_terminal_is_given_back_with_the_last_table_on_it(number: signal.Signals, status: int) -> None:
    with Terminal("3600", "-l") as terminal:
        terminal.await_row("proto +state")
        before = termios.tcgetattr(terminal.terminal)
        assert terminal.stop(number) == status
        text = terminal.text
        assert termios.tcgetattr(terminal.terminal) == before
    assert 0 <= text.index(TAKE_SCREEN) < text.index(GIVE_SCREEN)
    assert text.count(TAKE_SCREEN) == text.count(GIVE_SCREEN) == 1
    assert text.rindex(HIDE_CURSOR) < text.rindex(SHOW_CURSOR)
    left = CONTROL.sub("", text[text.index(GIVE_SCREEN) :])
    assert re.search(r"sockets \(\+0 ~0 -0\).*\n.*proto +state +local", left)
    assert left.endswith("\n")


def test_no_colour_is_used_where_none_is_wanted(opened: ExitStack) -> None:
    with Terminal("0.2", "-l", "-t", NO_COLOR="1") as terminal:
        terminal.await_row("proto +state")
        _, port = serve(opened)
        terminal.await_row(rf"\n\+ tcp +listen +127\.0\.0\.1:{port} ")
        terminal.stop()
    assert not COLOUR.search(terminal.text)


def test_it_fits_the_terminal_and_follows_its_size(opened: ExitStack) -> None:
    """Between two readings, too: here there is but one."""
    for _ in range(12):
        serve(opened)
    with Terminal("3600", "-l", lines=10, columns=60) as terminal:
        terminal.await_row(r"\n\.\.\. \d+ more")
        lines = CONTROL.sub("", terminal.text).replace("\r", "").split("\n")
        assert len(lines) <= 10
        assert max(map(len, lines)) <= 60
        terminal.text = ""
        terminal.resize(60, 70)
        terminal.await_row("proto +state")
        terminal.await_text(lambda text: text.count("\n") >= 59)
        wide = CONTROL.sub("", terminal.text).replace("\r", "").split("\n")
        assert max(map(len, wide)) == 70
        terminal.stop()


def test_what_changes_is_shown_where_there_is_no_room_for_all(opened: ExitStack) -> None:
    """On an address of this process alone, so that nothing else changes."""
    address = f"127.77.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"
    ports = [opened.enter_context(closing(socket.create_server((address, 0)))).getsockname()[1] for _ in range(12)]
    with Terminal("0.2", "--local", address, "--sort", "pid", lines=8) as terminal:
        terminal.await_row(r"\n\.\.\. \d+ more")
        last = opened.enter_context(closing(socket.create_server((address, 0)))).getsockname()[1]
        terminal.await_row(rf"\n\+ tcp +listen +{re.escape(address)}:{last} ")
        terminal.stop()
    hidden = [port for port in ports if f":{port} " not in terminal.text]
    assert len(hidden) == 12 - 5, "of eight lines, one is the title, one the headers and one says how many more"


def test_a_terminal_that_cannot_be_drawn_over_gets_one_table_after_the_other() -> None:
    with Terminal("0.1", "-l", TERM="dumb") as terminal:
        terminal.await_text(lambda text: text.count("proto state") >= 3)
        assert terminal.stop(signal.SIGTERM) == 143
    assert "\x1b" not in terminal.text


HOSTILE = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
with open("/proc/self/comm", "wb") as file:
    file.write(b"\\x1b[2J[red]x")
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/comm"), reason="no process can be renamed here")  # noqa: PTH110 - a word
def test_no_name_of_a_process_reaches_the_terminal_as_a_command() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOSTILE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as villain:
        assert villain.stdout is not None
        port = int(villain.stdout.readline())
        with Terminal("0.2", "--lport", str(port), columns=120) as terminal:
            terminal.await_row(rf"{port} .*{re.escape(chr(92))}x1b\[2J\[red\]x\[{villain.pid}\]")
            terminal.stop()
        villain.communicate(timeout=PATIENCE_S)
    assert "\x1b[2J" not in terminal.text


@pytest.mark.parametrize("options", [["--columns", "local,backlog,process"], ["--wide"], ["--no-process"]])
def test_the_columns_that_were_asked_for_are_shown(opened: ExitStack, options: list[str]) -> None:
    _, port = serve(opened)
    with Terminal("3600", "--lport", str(port), *options, columns=200) as terminal:
        terminal.await_row(rf"127\.0\.0\.1:{port} ")
        terminal.stop()
    header = next(line for line in CONTROL.sub("", terminal.text).splitlines() if "local" in line).split()
    assert header[-2:] == ["in/s", "out/s"]
    if "--columns" in options:
        assert header[:-2] == ["local", "backlog", "process"]
    assert ("process" in header) == ("--no-process" not in options)


def test_lines_are_printed_to_a_terminal_if_they_are_asked_for() -> None:
    with Terminal("3600", "-l", "--format", "jsonl") as terminal:
        terminal.await_text(lambda text: '{"type": "watching"' in text)
        assert terminal.stop() == 130
    assert "\x1b" not in terminal.text


def test_what_cannot_be_watched_is_said_before_the_screen_is_taken() -> None:
    with Terminal("0") as terminal:
        while terminal.read():
            pass
        status, said = terminal.end()
    assert status == 2
    assert "interval must be from 0.1 to 86400 seconds" in said
    assert terminal.text == ""
