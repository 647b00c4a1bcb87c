"""Where results go: files, pipes, full disks, closed descriptors; and what a signal leaves behind."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from running import environment, parse, run_as_nobody, run_lodiag, skip_world

from lodiag.render import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from running import Done

LODIAG = (sys.executable, "-m", "lodiag")
KEPT = "what was here before\n"
SENTENCE = re.compile(r"lodiag( [a-z]+)?: error \[([a-z-]+)\]: .+")
PING, TRACE, CONNS = "ping -c 1 127.0.0.1", "trace 127.0.0.1", "conns --no-process"

every_format = pytest.mark.parametrize("form", FORMATS)


def run_shell(script: str, *arguments: str) -> Done:
    """Run a bash script in which ``lodiag`` is this one and ``$1`` ... are the arguments."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    defined = f'lodiag() {{ {shlex.join(LODIAG)} "$@"; }}\n{script}'
    command = ["bash", "--norc", "-c", defined, "bash", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(),
        stdin=subprocess.DEVNULL,
        check=False,
    )


def error_of(stderr: str) -> str:
    """Demand one sentence, and a hint at most; give the code."""
    first, *more = stderr.splitlines()
    found = SENTENCE.fullmatch(first)
    assert found, stderr
    assert [line.partition(":")[0] for line in more] in ([], ["hint"])
    return found[2]


# --- the file --------------------------------------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("command", [PING, TRACE, CONNS])
def test_the_file_has_the_text_of_standard_output(tmp_path: Path, command: str, form: str) -> None:
    path = tmp_path / "result"
    done = run_lodiag(*command.split(), "--format", form, "--output", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_text(encoding="utf-8") == done.stdout != ""
    assert os.listdir(tmp_path) == ["result"], "no draft is left"  # noqa: PTH208 - names, hidden ones too


def test_the_file_is_written_where_the_result_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "result"
    done = run_lodiag("ping", "-c", "1", "--max-rtt", "0", "127.0.0.1", "--json", "--output", str(path))
    assert done.returncode == 1
    assert path.read_text(encoding="utf-8") == done.stdout


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_an_existing_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "result"
    path.write_text(KEPT, encoding="utf-8")
    path.chmod(mode)
    done = run_lodiag("trace", "127.0.0.1", "--output", str(path))
    assert path.read_text(encoding="utf-8") == done.stdout
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize(("umask", "mode"), [("022", 0o644), ("027", 0o640), ("077", 0o600), ("000", 0o666)])
def test_a_new_file_honours_the_umask(tmp_path: Path, umask: str, mode: int) -> None:
    path = tmp_path / "result"
    done = run_shell(f'umask {umask}; lodiag {TRACE} --output "$1"', str(path))
    assert done.returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("exists", [True, False], ids=["existing", "dangling"])
@pytest.mark.parametrize("is_relative", [True, False], ids=["relative", "absolute"])
def test_a_link_is_followed_to_its_target(tmp_path: Path, *, exists: bool, is_relative: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    if exists:
        target.write_text(KEPT, encoding="utf-8")
    link.symlink_to("elsewhere/target" if is_relative else target)
    done = run_lodiag("trace", "127.0.0.1", "--output", str(link))
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == done.stdout


def test_a_reader_of_the_old_file_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_text(KEPT, encoding="utf-8")
    with path.open(encoding="utf-8") as before:
        done = run_lodiag("trace", "127.0.0.1", "--output", str(path))
        assert before.read() == KEPT
    assert path.read_text(encoding="utf-8") == done.stdout


def test_the_file_takes_its_place_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_text(KEPT, encoding="utf-8")
    with running("ping", "-c", "0", "-i", "0.05", "127.0.0.1", "--output", str(path)) as process:
        shown = read_until(process.stdout, "seq=2")
        assert path.read_text(encoding="utf-8") == KEPT
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert path.read_text(encoding="utf-8") == shown + rest


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("界" * 85)
    try:
        path.touch()
    except OSError:
        pytest.skip("no names of 255 bytes here")
    done = run_lodiag("trace", "127.0.0.1", "--output", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_text(encoding="utf-8") == done.stdout


@contextmanager
def silent_port() -> Iterator[socket.socket]:
    """Hold a UDP port that answers nothing, and that notices any probe."""
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        yield sock


def probe(sock: socket.socket) -> tuple[str, ...]:
    """Arguments of a trace that probes this socket."""
    return ("trace", "-U", "-p", str(sock.getsockname()[1]), "127.0.0.1")


def make_unusable(folder: Path, kind: str) -> Path:
    """Make a path that cannot be written to, for one reason or another."""
    (folder / "file").write_text(KEPT, encoding="utf-8")
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "to-nowhere").symlink_to("missing/file")
    kinds = {
        "a folder": folder / "folder",
        "in a missing folder": folder / "missing" / "result",
        "in a file": folder / "file" / "result",
        "too long": folder / ("x" * 300),
        "much too long": folder / ("x/" * 5000),
        "a link to itself": folder / "loop",
        "a link into a missing folder": folder / "to-nowhere",
        "empty": Path(),
    }
    return kinds[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "a folder",
        "in a missing folder",
        "in a file",
        "too long",
        "much too long",
        "a link to itself",
        "a link into a missing folder",
        "empty",
    ],
)
def test_nothing_is_measured_for_a_file_that_cannot_be_written(tmp_path: Path, kind: str) -> None:
    path = make_unusable(tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    with silent_port() as sock:
        done = run_lodiag(*probe(sock), "--deadline", "0.5", "--output", "" if kind == "empty" else str(path))
        assert not select.select([sock], [], [], 0)[0], "no probe was sent"
    assert (done.returncode, done.stdout) == (2, "")
    assert error_of(done.stderr) == "bad-config"
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text(encoding="utf-8") == KEPT


def test_without_permission_the_existing_file_is_kept() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "result"
        path.write_text(KEPT, encoding="utf-8")
        path.chmod(0o444)
        folder.chmod(0o555)
        done = run_as_nobody("trace", "127.0.0.1", "--output", str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert error_of(done.stderr) == "bad-config"
        assert path.read_text(encoding="utf-8") == KEPT
        assert list(folder.iterdir()) == [path]
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "command",
    ["ping 8.8.8.8", "ping -c -1 127.0.0.1", "ping --nope", "trace 192.0.2.1", "conns --port 70000", "conns --state x"],
)
def test_a_refused_command_leaves_the_old_file(tmp_path: Path, command: str) -> None:
    path = tmp_path / "result"
    path.write_text(KEPT, encoding="utf-8")
    done = run_lodiag(*command.split(), "--output", str(path))
    assert done.returncode == 2
    assert path.read_text(encoding="utf-8") == KEPT
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


def test_a_refused_command_makes_no_file(tmp_path: Path) -> None:
    assert run_lodiag("ping", "8.8.8.8", "--output", str(tmp_path / "result")).returncode == 2
    assert list(tmp_path.iterdir()) == []


# --- devices and pipes -----------------------------------------------------------------------------------------------


def test_the_null_device_stays_a_device(tmp_path: Path) -> None:
    null = Path(os.devnull)
    if os.geteuid() == 0:  # who could replace the real one is given one of its own
        null = tmp_path / "null"
        try:
            os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
            null.write_text("", encoding="utf-8")
        except OSError as error:
            skip_world(f"no device can be made here: {error}")
    done = run_lodiag("trace", "127.0.0.1", "--output", str(null))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert stat.S_ISCHR(null.stat().st_mode)


def test_a_pipe_with_a_name_is_written_to(tmp_path: Path) -> None:
    path, read = tmp_path / "pipe", list[str]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text(encoding="utf-8")))
    reader.start()
    done = run_lodiag("trace", "127.0.0.1", "--output", str(path))
    reader.join(timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert read == [done.stdout]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no /dev/fd")
def test_an_open_descriptor_is_written_to() -> None:
    """Process substitution: ``lodiag ... --output >(gzip > file)``."""
    reading, writing = os.pipe()
    command = [*LODIAG, "trace", "127.0.0.1", "--output", f"/dev/fd/{writing}"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), cwd="/", pass_fds=[writing], check=False
    )
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        copy = pipe.read()
    assert (done.returncode, done.stderr) == (0, "")
    assert copy == done.stdout


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@needs_full
@pytest.mark.parametrize(
    "command",
    [PING, f"{PING} --json", TRACE, CONNS, "schema", "--help", "conns --help", "--version", "--print-completion bash"],
)
def test_a_full_disk_behind_standard_output(command: str) -> None:
    done = run_shell(f"lodiag {command} > /dev/full")
    assert done.returncode == 2
    assert error_of(done.stderr) == "output-failed"


@pytest.fixture
def many_sockets() -> Iterator[None]:
    """Hold so many sockets that a list of them fills any buffer and any pipe."""
    with ExitStack() as stack:
        for _ in range(400):
            sock = stack.enter_context(closing(socket.socket(type=socket.SOCK_DGRAM)))
            sock.bind(("127.0.0.1", 0))
        yield


@needs_full
@pytest.mark.parametrize("command", [TRACE, "conns --no-process --json"], ids=["short", "long"])
@pytest.mark.usefixtures("many_sockets")
def test_a_full_disk_behind_the_file(command: str) -> None:
    if os.geteuid() == 0 and not stat.S_ISCHR(Path("/dev/full").stat().st_mode):
        pytest.skip("/dev/full is no device here")
    done = run_lodiag(*command.split(), "--output", "/dev/full")
    assert done.returncode == 2
    assert error_of(done.stderr) == "output-failed"


@pytest.mark.usefixtures("many_sockets")
def test_a_file_that_outgrows_its_limit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_text(KEPT, encoding="utf-8")
    done = run_shell('ulimit -f 4; lodiag conns --no-process --json --output "$1"', str(path))
    assert done.returncode == 2
    assert error_of(done.stderr) == "output-failed"
    assert path.read_text(encoding="utf-8") == KEPT
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


# --- pipes that close ------------------------------------------------------------------------------------------------


def test_a_reader_that_has_enough_ends_an_endless_ping() -> None:
    done = run_shell("lodiag ping -c 0 -i 0.05 127.0.0.1 | head -1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ping 127.0.0.1 by ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("command", [PING, TRACE, CONNS, f"{CONNS} --json", "schema", "--help", "--version"])
@pytest.mark.usefixtures("many_sockets")
def test_a_reader_that_never_reads_is_no_error(command: str) -> None:
    done = run_shell(f"lodiag {command} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_file_is_whole_although_the_reader_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "result"
    script = 'lodiag ping -c 5 -i 0.05 127.0.0.1 --format jsonl --output "$1" | head -1; exit ${PIPESTATUS[0]}'
    done = run_shell(script, str(path))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    types = [line["type"] for line in lines]
    assert types[:6] == ["reply"] * 5 + ["record"]
    assert types[-1] == "report"


# --- descriptors that are closed -------------------------------------------------------------------------------------

GOOD = (PING, TRACE, f"{CONNS} --json", "schema", "--help")
BAD = ("", "nope", "ping --nope", "ping 8.8.8.8", "conns --port 70000")


@pytest.mark.parametrize("command", GOOD + BAD)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_changes_no_status(command: str, closed: str) -> None:
    done = run_shell(f"lodiag {command} {closed}")
    assert done.returncode == (2 if command in BAD else 0)
    assert "Traceback" not in done.stderr
    if "2>&-" in closed and command in BAD:
        assert done.stdout == "", "what has nowhere to go does not go to standard output"
    if closed == "<&-":
        assert bool(done.stdout) == (command not in BAD)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", [PING, TRACE, CONNS])
def test_the_file_is_whole_although_descriptors_are_closed(tmp_path: Path, command: str, closed: str) -> None:
    path = tmp_path / "result"
    done = run_shell(f'lodiag {command} --format jsonl --output "$1" {closed}', str(path))
    assert done.returncode == 0
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["type"] == "report"


# --- signals ---------------------------------------------------------------------------------------------------------

Process = subprocess.Popen[str]
SIGNALS = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)


@contextmanager
def running(*arguments: str, before: Sequence[str] = ()) -> Iterator[Process]:
    """Run lodiag beside the test; whatever happens, it has ended afterwards."""
    process = subprocess.Popen(
        [*before, *LODIAG, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd="/",
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[str] | None, word: str) -> str:
    """Read lines up to the first that has ``word`` in it, and no further: communicate() knows no one's buffer."""
    assert stream is not None
    text = b""
    while word.encode() not in text or not text.endswith(b"\n"):
        byte = os.read(stream.fileno(), 1)
        assert byte, f"the output ended before {word!r}: {text!r}"
        text += byte
    return text.decode()


@SIGNALS
def test_an_interrupted_ping_prints_its_statistics(number: signal.Signals, status: int) -> None:
    del status
    with running("ping", "-c", "0", "-i", "0.05", "127.0.0.1") as process:
        read_until(process.stdout, "seq=3")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert re.search(r"^rtt in ms +min +avg", rest, re.MULTILINE)
    assert re.search(r"^127\.0\.0\.1 .* 0 % ", rest, re.MULTILINE)


@SIGNALS
def test_an_interrupted_ping_in_json_lines_ends_with_the_report(number: signal.Signals, status: int) -> None:
    del status
    with running("ping", "-c", "0", "-i", "0.05", "127.0.0.1", "--format", "jsonl") as process:
        shown = read_until(process.stdout, '"seq": 3')
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    lines = [json.loads(line) for line in (shown + rest).splitlines()]
    assert (process.returncode, errors) == (0, "")
    assert lines[-1]["type"] == "report"
    replies = [line for line in lines if line["type"] == "reply"]
    assert lines[-1]["summary"]["received"] == len(replies) >= 3


@SIGNALS
def test_an_interrupted_ping_in_json_is_a_whole_document(number: signal.Signals, status: int) -> None:
    del status
    report = interrupt_json(number)
    assert report["records"][0]["received"] == len(report["records"][0]["replies"]) > 0
    assert report["records"][0]["lost"] == 0


@SIGNALS
@pytest.mark.parametrize("option", ["--method=udp", "--method=auto"])
def test_a_signal_loses_no_probe(number: signal.Signals, status: int, option: str) -> None:
    """With no pause between the probes it comes in the midst of one, and the answer to that is there already."""
    del status
    with running("ping", "-c", "0", "-i", "0", option, "127.0.0.1", "--format", "jsonl") as process:
        shown = read_until(process.stdout, '"seq": 50,')
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    lines = [json.loads(line) for line in (shown + rest).splitlines()]
    (record,) = [line for line in lines if line["type"] == "record"]
    replies = [line for line in lines if line["type"] == "reply"]
    assert (process.returncode, errors) == (0, "")
    assert record["sent"] == record["received"] == len(replies)


def test_an_ignored_signal_stays_ignored() -> None:
    """As in a pipeline's background job, or under nohup."""
    ignoring = ("sh", "-c", 'trap "" INT TERM; exec "$@"', "sh")
    with running("ping", "-c", "20", "-i", "0.05", "127.0.0.1", before=ignoring) as process:
        read_until(process.stdout, "seq=3 ")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "seq=20 " in rest


def interrupt_json(number: signal.Signals) -> dict[str, Any]:
    """Interrupt a ping that tells nothing before its end, when it has run long enough to have had a reply."""
    for patience in (0.5, 1, 2, 4, 8):
        with running("ping", "-c", "0", "-i", "0.02", "127.0.0.1", "--json") as process:
            time.sleep(patience)
            process.send_signal(number)
            out, errors = process.communicate(timeout=30)
        if process.returncode == 0:
            assert errors == ""
            report: dict[str, Any] = json.loads(out)
            return report
    pytest.fail(f"not even after seconds has a reply come: {process.returncode} {errors}")


@SIGNALS
def test_an_interrupted_ping_exits_by_what_it_found(number: signal.Signals, status: int) -> None:
    del status
    with running("ping", "-c", "0", "-i", "3600", "--max-rtt", "0", "127.0.0.1") as process:
        read_until(process.stdout, "seq=1")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (1, "")
    assert "rtt-over-limit" in rest


@SIGNALS
def test_an_interrupted_trace_says_nothing(tmp_path: Path, number: signal.Signals, status: int) -> None:
    path = tmp_path / "result"
    path.write_text(KEPT, encoding="utf-8")
    with (
        silent_port() as sock,
        running(*probe(sock), "-w", "60", "--deadline", "60", "--output", str(path)) as process,
    ):
        sock.recv(100)  # it has sent a probe, and waits for an answer that does not come
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (status, "", "")
    assert path.read_text(encoding="utf-8") == KEPT
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


@SIGNALS
@pytest.mark.usefixtures("many_sockets")
def test_an_interrupted_list_leaves_the_old_file(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """It has begun to write more than the pipe holds, and nobody reads on."""
    path = tmp_path / "result"
    path.write_text(KEPT, encoding="utf-8")
    with running("conns", "--no-process", "--json", "--output", str(path)) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 30)[0]
        process.send_signal(number)
        process.wait(timeout=30)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert (process.returncode, errors) == (status, "")
    assert path.read_text(encoding="utf-8") == KEPT
    assert list(tmp_path.iterdir()) == [path], "no draft is left"


# --- poor surroundings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [PING, TRACE, "conns", "map", "--version"])
def test_home_and_other_variables_may_be_unset(command: str) -> None:
    python_path = environment()["PYTHONPATH"]
    done = run_shell(f"env -i PYTHONPATH={shlex.quote(python_path)} {shlex.join(LODIAG)} {command}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [PING, TRACE, "conns", "map"])
def test_the_working_directory_may_be_read_only_or_gone(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    done = run_shell(f'cd "$1" && lodiag {command}', str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    gone = run_shell(f'cd "$1" && rmdir "$1" && lodiag {command}', str(folder))
    assert (gone.returncode, gone.stderr) == (0, "")


def test_a_relative_file_in_a_directory_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    done = run_shell(f'cd "$1" && rmdir "$1" && lodiag {TRACE} --output result', str(tmp_path / "folder"))
    assert (done.returncode, done.stdout) == (2, "")
    assert error_of(done.stderr) == "bad-config"


MANY_TARGETS = " ".join(f"127.0.0.{last}" for last in range(1, 31))


@pytest.mark.parametrize("limit", [8, 16, 32])
@pytest.mark.parametrize(
    "command",
    [
        PING,
        f"{PING} --output result",
        f"ping -c 1 {MANY_TARGETS}",
        f"ping -c 1 --json {MANY_TARGETS}",
        TRACE,
        "conns",
        "map",
    ],
    ids=["ping", "ping-output", "ping-many", "ping-many-json", "trace", "conns", "map"],
)
def test_few_open_files_are_enough_or_are_told(tmp_path: Path, command: str, limit: int) -> None:
    done = run_shell(f'cd "$1" && ulimit -n {limit} && lodiag {command}', str(tmp_path))
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1, 2}
    if done.returncode == 2:
        error_of(done.stderr)
        assert "open files" in done.stderr
    else:
        assert done.stderr == ""
    if done.returncode == 1:
        assert "too-many-open-files" in done.stdout


def test_too_few_open_files_for_many_targets_is_a_finding_for_each(tmp_path: Path) -> None:
    done = run_shell(f'cd "$1" && ulimit -n 16 && lodiag ping -c 1 --json {MANY_TARGETS}', str(tmp_path))
    report = parse(done)
    assert len(report["records"]) == 30
    errors = [record["error"] for record in report["records"]]
    assert set(errors) == {None, "too-many-open-files"}
    assert done.returncode == 1
