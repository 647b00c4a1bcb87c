"""Files of checks: what is wrong is said with its line, before anything is sent; nothing wrong ever passes."""

from __future__ import annotations

import io
import random
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from endpoints import listening, port_of, reserved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import ROOT, assert_refused, run_lodiag

from lodiag.checks.keys import seconds
from lodiag.checks.kinds import KINDS, SHORT
from lodiag.checks.lines import find_line
from lodiag.checks.reading import read_checks
from lodiag.checks.source import Source, read_source
from lodiag.cli import main
from lodiag.errors import ConfigError
from lodiag.system import System

if TYPE_CHECKING:
    from pathlib import Path

    from lodiag.checks.reading import Check

HEAD = '[[check]]\nid = "a"\ntype = "tcp"\ntarget = "127.0.0.1:9"\n'
"""Four lines; what a test adds is on line 5."""


def read(text: str, *changes: str, words: tuple[str, ...] = ()) -> list[Check]:
    """Read a file of this text."""
    return read_checks(Source("lodiag.toml", text), words, changes=changes, system=System())


def error_of(text: str, *changes: str, words: tuple[str, ...] = ()) -> str:
    """Read what is wrong, and give the sentence that says so."""
    with pytest.raises(ConfigError) as caught:
        read(text, *changes, words=words)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lodiag.toml holds no check"),
        ("schema = 1\n[defaults]\n", "holds no check"),
        ("schema = 2\n" + HEAD, "line 1: schema must be 1, not 2"),
        ("schema = true\n" + HEAD, "line 1: schema must be 1, not True"),
        ("shema = 1\n" + HEAD, "line 1: unknown table or key 'shema'; did you mean 'schema'?"),
        ("[[checks]]\n", "line 1: unknown table or key 'checks'; did you mean 'check'?"),
        ("[check]\nid = 'a'\n", "line 1: check must be an array of tables: write [[check]]"),
        ("check = [1]\n", "line 1: check must be an array"),
        ("defaults = 1\n" + HEAD, "line 1: defaults must be a table"),
        ("[defaults]\n\ntimout = '1s'\n" + HEAD, "line 3: unknown key 'timout'; did you mean 'timeout'?"),
        ("[defaults]\nwait = 30\n" + HEAD, "line 2: wait must be a duration with a unit"),
        (HEAD + "wiat = '1s'\n", "line 5: unknown key 'wiat'; did you mean 'wait'?"),
        (HEAD + "wait = 30\n", 'line 5: wait must be a duration with a unit, such as "2s" or "250ms", not 30: a bare'),
        (HEAD + "wait = 1.5\n", "a bare number has no unit"),
        (HEAD + "wait = '30'\n", "line 5: wait must be a duration"),
        (HEAD + "wait = '2d'\n", "line 5: wait must be a duration"),
        (HEAD + "wait = '100000s'\n", "line 5: wait must be at most a day"),
        (HEAD + "interval = '0s'\n", "line 5: interval must be at least 1ms"),
        (HEAD + "stable = 0\n", "line 5: stable must be a whole number from 1 to 1000, not 0"),
        (HEAD + "stable = true\n", "line 5: stable must be a whole number"),
        (HEAD + "severity = 'warn'\n", "line 5: severity must be one of error, warning, not 'warn'"),
        (HEAD + "family = 'ipv5'\n", "line 5: family must be one of any, both, ipv4, ipv6"),
        (HEAD + "needs = ['b']\n", "line 5: needs names 'b', which is not a check"),
        (HEAD + "needs = ['a']\n", "line 5: 'a' needs itself in the end"),
        (HEAD + "needs = []\n", "line 5: needs must not be empty"),
        (HEAD + HEAD, "line 6: the id 'a' is that of another check"),
        (HEAD + HEAD.replace("127.0.0.1:9", "192.0.2.1:9"), "line 8: target must be on the loopback: 192.0.2.1"),
        (HEAD.replace("127.0.0.1:9", "127.255.255.255:9"), "line 4: target must be on the loopback"),
        (HEAD.replace("127.0.0.1:9", "[::ffff:127.0.0.1]:9"), "line 4: target must be on the loopback"),
        (HEAD.replace("127.0.0.1:9", "::1:9"), "in brackets as in [::1]:80"),
        (HEAD.replace("127.0.0.1:9", "127.0.0.1"), "line 4: target must end with a port"),
        (HEAD.replace("127.0.0.1:9", "127.0.0.1:70000"), "from 1 to 65535, not 70000"),
        (HEAD.replace("127.0.0.1:9", "127.0.0.1:0"), "from 1 to 65535, not 0"),
        (HEAD.replace("type =", "typ ="), "line 3: the check has no type; is that what 'typ' should be?"),
        (HEAD.replace('"tcp"', '"tpc"'), "line 3: unknown type 'tpc'; did you mean 'tcp'?"),
        (HEAD.replace('"tcp"', "7"), "line 3: unknown type 7"),
        (HEAD.replace('id = "a"\n', ""), "line 1: the check has no id"),
        (HEAD.replace('type = "tcp"\n', ""), "line 1: the check has no type"),
        (HEAD.replace('target = "127.0.0.1:9"\n', ""), "line 1: a check of type tcp needs target"),
        ('[[check]]\nid="u"\ntype="http"\nurl="http://example.invalid:99999/"\n', "line 4: url must be a URL"),
        ('[[check]]\nid="u"\ntype="http"\nurl="http://10.0.0.1/"\n', "line 4: url must be on the loopback"),
        ('[[check]]\nid="u"\ntype="http"\nurl="ftp://127.0.0.1/"\n', "line 4: url must be a URL as in http://"),
        (
            '[[check]]\nid="u"\ntype="http"\nurl="http://127.0.0.1/"\nbody_regex="("\n',
            "line 5: body_regex must be a regular",
        ),
        (
            '[[check]]\nid="p"\ntype="ping"\ntarget="::1"\n[check.fail]\nloss = "1"\n',
            "line 5: fail loss must be a percentage",
        ),
        ('[[check]]\nid="p"\ntype="ping"\ntarget="8.8.8.8"\n', "line 4: target must be on the loopback"),
        (
            '[[check]]\nid="c"\ntype="conns"\nfilter={prot=1}\ncount={max=1}\n',
            "filter has no key 'prot'; did you mean 'proto'",
        ),
        ('[[check]]\nid="c"\ntype="conns"\n', "line 1: a check of type conns needs count"),
        ('[[check]]\nid="c"\ntype="conns"\ncount={min=5, max=1}\n', "line 4: count has a min over its max"),
        (
            '[[check]]\nid="l"\ntype="listen"\nport=1\nstate="free"\nexposed=false\n',
            "exposed has no meaning with state",
        ),
        (
            '[[check]]\nid="d"\ntype="doctor"\ngroups="nmes"\n',
            "line 4: groups must be groups or codes of doctor: 'nmes'",
        ),
        ("[[check]\n", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, says: str) -> None:
    assert says in error_of(text)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("tpc:80", "'tpc:80' is not a check; did you mean 'tcp'?"),
        ("8080", "'8080' is not a check; did you mean 'tcp:8080'?"),
        ("localhost:8080", "did you mean 'tcp:localhost:8080'?"),
        ("8080", "is not a check"),
        ("tcp", "needs target"),
        ("tcp:", "target must be a text"),
        ("tcp:x", "must end with a port"),
        ("tcp:192.0.2.1:80", "must be on the loopback"),
        ("conns", "needs count"),
        ("iface:lo", "iface has nothing behind a colon"),
        ("ftp://127.0.0.1/", "is not a check"),
        ("free:0", "from 1 to 65535"),
    ],
)
def test_words_that_are_no_checks(word: str, says: str) -> None:
    assert says in error_of("", words=(word,)) or says in error_of(HEAD, words=(word,))


@pytest.mark.parametrize("word", ["tcp:80", "tcp://localhost:80", "tcp4:127.0.0.2:80", "tcp6:[::1]:80", "tcp:[::1]:80"])
def test_words_that_are(word: str) -> None:
    (check,) = read_checks(None, [word], system=System())
    assert (check.id, check.kind, check.settings["target"].port) == (word, "tcp", 80)
    assert check.settings.get("family") == {"tcp4": "ipv4", "tcp6": "ipv6"}.get(word.partition(":")[0])


def test_a_word_may_hold_what_parts_a_change() -> None:
    word = "http://127.0.0.1:80/?a=b.c"
    (check,) = read("", f"{word}.status=204", words=(word,))
    assert (check.id, check.settings["status"]) == (word, (204,))


def test_a_mark_of_byte_order_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "lodiag.toml"
    file.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert read(read_source(str(file)).text)[0].id == "a"


def test_changes() -> None:
    (check,) = read(HEAD, "a.wait=3s", "a.stable=2", 'a.family="ipv4"', "defaults.interval=7ms")
    assert (check.wait_s, check.stable, check.interval_s, check.settings["family"]) == (3, 2, 0.007, "ipv4")
    for change, says in {
        "b.wait=3s": "no check 'b' to set wait of; known: a, defaults",
        "a.wiat=3s": "unknown key 'wiat'; did you mean 'wait'?",
        "a.wait": "is not of the form id.key=value",
        "wait=3": "is not of the form id.key=value",
        "a.wait=3": "must be a duration with a unit",
    }.items():
        assert says in error_of(HEAD, change)


@pytest.mark.parametrize(
    ("value", "found"),
    [("250ms", 0.25), ("2s", 2), ("1.5m", 90), ("24h", 86_400), ("0s", 0), ("0.5ms", 0.0005), ("20us", 0.00002)],
)
def test_durations(value: str, found: float) -> None:
    assert seconds(value) == pytest.approx(found)


@pytest.mark.parametrize(
    "value", ["", "s", ".s", "1 s", "-1s", "1e3s", "٣s", "1_0s", "nan", "1ss", 1, None, True, [], "²s"]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(value)


LINES = '''# a = 1
schema = 1
[defaults]
wait = """
[[check]]
id = 3
"""  # [[check]]
[[check]]
id = "a#[{"
list = [
  "id", # ]
  "x",
]
[[check]]
"quoted" = { id = 1 }
sub.key = 'it''
[check.fail]
loss = 1
[[check.more]]
x = 1
[[check.more]]
x = 2
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("schema",), 2),
        (("defaults",), 3),
        (("defaults", "wait"), 4),
        (("check", 0), 8),
        (("check", 0, "id"), 9),
        (("check", 0, "list"), 10),
        (("check", 1), 14),
        (("check", 1, "quoted", "id"), 15),
        (("check", 1, "sub", "key"), 16),
        (("check", 1, "fail", "loss"), 18),
        (("check", 1, "more", 1, "x"), 22),
        (("check", 1, "missing"), 14),
        (("nothing",), None),
    ],
)
def test_lines(place: tuple[str | int, ...], line: int | None) -> None:
    assert find_line(LINES, place) == line


def test_nothing_is_sent_before_all_is_read() -> None:
    """A connection would be waiting to be accepted."""
    with reserved() as sock:
        sock.listen()
        sock.settimeout(0)
        done = run_lodiag("check", f"tcp:127.0.0.1:{port_of(sock)}", "tcp:192.0.2.1:80")
        assert_refused(done, "target must be on the loopback: 192.0.2.1 is not on the loopback")
        with pytest.raises(BlockingIOError):
            sock.accept()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is no check to run"),
        (["--file", "/no/such.toml"], "cannot read '/no/such.toml': No such file or directory"),
        (["--file", "/"], "cannot read '/': Is a directory"),
        (["--file", "/dev/null"], "holds no check"),
        (["--init", "tcp:80"], "takes none"),
        (["tcp:80", "--wait", "soon"], "'soon' is not a number of seconds"),
        (["tcp:80", "--interval", "0s"], "interval must be from 0.001 to 86400 seconds, not 0"),
        (["tcp:80", "--format", "table", "--format", "json"], "has room for one format"),
        (["tcp:80", "--format", "junit=/no/such/dir/x.xml"], "cannot write '/no/such/dir/x.xml'"),
        (
            ["tcp:80", "--format", "junit=/tmp/x", "--format", "tap=/tmp/../tmp/x"],
            "two formats are to be written to one",
        ),
        (["tcp:80", "--"], "there is no command after --"),
    ],
)
def test_what_cannot_run_is_refused(arguments: list[str], says: str) -> None:
    assert_refused(run_lodiag("check", *arguments), says)


def test_ten_thousand_lines_are_read(port_text: str) -> None:
    """How fast is for tests/benchmarks/check.py to tell."""
    text = "".join(port_text.replace('"a"', f'"{number}"') for number in range(1429))
    assert text.count("\n") >= 10_000
    assert len(read(text)) == 1429
    assert error_of(text + "wiat = 1\n").startswith(f"lodiag.toml, line {text.count(chr(10)) + 1}: unknown key 'wiat'")


def test_no_control_character_of_a_file_gets_to_a_terminal(tmp_path: Path) -> None:
    text = HEAD + "needs = ['x']\n" + HEAD.replace('"a"', '"\\u001b[2J"')
    status, out, err = run_text(text, tmp_path / "lodiag.toml")
    assert_sane(status, out, err)
    assert "known: a, \\x1b[2J" in err


@pytest.fixture
def port_text() -> str:
    return HEAD + "wait = '3s'\nstable = 2\n\n"


# --- whatever is in a file -------------------------------------------------------------------------------------------

VALID = """schema = 1
[defaults]
timeout = "50ms"
wait = "0s"
interval = "1ms"
[[check]]
id = "open"
type = "tcp"
target = "127.0.0.1:{port}"
family = "ipv4"
stable = 2
[[check]]
id = "page"
type = "http"
url = "http://127.0.0.1:{closed}/"
status = [200, 204]
body = "ok"
headers = {{ Host = "x" }}
needs = ["open"]
[[check]]
id = "held"
type = "listen"
port = {port}
exposed = false
[[check]]
id = "gone"
type = "listen"
port = {closed}
state = "free"
[[check]]
id = "name"
type = "resolve"
name = "127.0.0.1"
expect = ["127.0.0.1"]
match = "exact"
[[check]]
id = "few"
type = "conns"
filter = {{ state = "CLOSE_WAIT", port = {port} }}
count = {{ max = 10 }}
severity = "warning"
"""


def run_text(text: str, path: Path) -> tuple[int, str, str]:
    """Run a file of this text here, and give the status and what was printed."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["check", "--file", str(path), "--wait", "20ms"])
    return status, out.getvalue(), err.getvalue()


def assert_sane(status: int, out: str, err: str) -> None:
    """Exit 0 only with checks that passed; one sentence where it could not run; never a traceback."""
    assert status in {0, 1, 2}
    assert "Traceback" not in out + err
    assert "lodiag failed" not in out
    if status == 2:
        assert out == ""
        assert ": error [" in err.splitlines()[0]
        assert err.replace("\n", "").isprintable()
    else:
        assert err == ""
        assert out.startswith("fail: " if status else ("ok: ", "warn: "))
    if not status:
        assert not out.startswith("ok: 0 "), "nothing checked is nothing passed"


def mutate(text: str, chance: random.Random) -> str:
    """Change a text as somebody who errs would: a character, a line, a value."""
    lines = text.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    place = chance.randrange(len(text))
    values = ("0", "-1", "true", '""', "[]", "{}", '"x"', "1e999", "nan", "'''", "9" * 30, '"\\u0000"', "1979-05-27")
    return chance.choice(
        (
            lambda: text[:place] + text[place + 1 :],
            lambda: text[:place] + chance.choice("\"'[]{}=#.,\\\x00\x1b\n 0a-é") + text[place:],
            lambda: "".join([*lines[:at], *lines[at + 1 :]]),
            lambda: "".join([*lines[: at + 1], *lines[at:]]),
            lambda: "".join(
                [*lines[:at], lines[at].partition("=")[0], "= ", chance.choice(values), "\n", *lines[at + 1 :]]
            ),
            lambda: text[:place],
            lambda: text.replace("127.0.0.1", chance.choice(("192.0.2.1", "::1", "x..y", "127.1", "0", ""))),
        )
    )()


def test_no_mutation_of_a_file_ends_badly(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    statuses = []
    with listening() as port, reserved() as sock:
        text = VALID.format(port=port, closed=port_of(sock))
        for _ in range(200):
            result = run_text(mutate(text, chance), tmp_path / "lodiag.toml")
            assert_sane(*result)
            statuses.append(result[0])
    assert statuses.count(2) > 50, "most mistakes are found before anything is sent"
    assert statuses.count(0) == 0, "the page is never served, so no file of these may pass unless it asks for nothing"


_KEYS = sorted(
    {"id", "type", "wait", "needs", "target", "port", "url", "name", "count", "filter", "state", "expect", "x"}
)
_SCALARS = (
    st.sampled_from(
        ["1s", "5ms", "127.0.0.1:9", "127.0.0.1", "free", "ipv4", "any", *KINDS, *SHORT, "\x7f", "\ud800", ""]
    )
    | st.integers(-2, 70_000)
    | st.booleans()
    | st.floats()
    | st.text(max_size=5)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["min", "max", "state", "a b"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_CHECKS = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=5)


def write(value: object) -> str:
    """Write a value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if not c.isalnum() else c for c in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(write, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {write(inner)}' for key, inner in value.items()) + "}"
    return repr(value)


@given(kind=st.sampled_from(KINDS), tables=st.lists(_CHECKS, max_size=2), defaults=st.none() | _CHECKS)
@settings(
    max_examples=120,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_file_of_the_grammar_ends_badly(
    tmp_path: Path, kind: str, tables: list[dict[str, object]], defaults: dict[str, object] | None
) -> None:
    """What passes by chance, such as a name that is one, has asked for something that is so."""
    lines = ["[defaults]", *(f"{key} = {write(value)}" for key, value in (defaults or {}).items())] if defaults else []
    for number, table in enumerate(tables):
        full = {"id": f"c{number}", "type": kind, **table}
        lines += ["[[check]]", *(f"{key} = {write(value)}" for key, value in full.items())]
    assert_sane(*run_text("\n".join(lines) + "\n", tmp_path / "lodiag.toml"))


def test_the_file_of_the_readme_is_read() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = readme[readme.index("```toml\n") + 8 :].partition("```")[0]
    assert {check.kind for check in read(text)} == set(KINDS)
