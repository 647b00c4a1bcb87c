"""A running service beside the stack that carries it: connecting, and being answered."""

from __future__ import annotations

import errno
import statistics
from typing import TYPE_CHECKING, Any

from lodiag.benches import Slice, open_window
from lodiag.benches.kinds.rr import take_times
from lodiag.benches.records import NOTHING, tell_times
from lodiag.benches.rounds import translate
from lodiag.clock import to_ms
from lodiag.model.bench import BenchRecord
from lodiag.system.ends.paths import FAMILIES, Path
from lodiag.system.ends.pool import EndError, Task
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.benches.options import BenchOptions
    from lodiag.system import System
    from lodiag.system.ends.pool import Ends

KINDS = ("auto", "http", "echo", "none")
MOST_CONNECTIONS, MOST_REQUESTS = 40, 200
"""Of a slice: a service is asked no more often than 200 and 1000 times in all, whatever time is given."""
PATIENCE_S = 5.0
REQUEST = "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lodiag\r\nAccept: */*\r\n\r\n"
ECHO = "lodiag-bench-echo"


class Against:
    """Measures a service and, in turn with it, the stack alone, by the same means."""

    def __init__(  # noqa: PLR0913 - what is measured, by whom, and how
        self, system: System, ends: Ends, options: BenchOptions, *, address: str, port: int, kind: str
    ) -> None:
        """Ask in the way that ``kind`` says; auto finds out."""
        self._system, self._ends, self._options = system, ends, options
        self._address, self._port, self._kind = address, port, kind
        self._family = family_of(address)
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._request = ECHO if kind == "echo" else REQUEST.format(host=host)
        self._status: str | None = None

    def run(self, step: Callable[[], None]) -> list[BenchRecord]:
        """Measure connecting, and requests if the service answers any, round after round."""
        slices: dict[tuple[str, int | None], list[Slice]] = {}
        failures: dict[tuple[str, int | None], tuple[str, str | None]] = {}
        for _ in range(self._options.rounds):
            for test, port, measure in self._list_measures():
                if (test, port) not in failures and (test != "request" or self._kind != "none"):
                    try:
                        slices.setdefault((test, port), []).append(measure())
                    except (EndError, OSError) as error:
                        failures[test, port] = _explain(error)
                    finally:
                        self._ends.drop()
                step()
        kept = {key: found for key, found in slices.items() if self._kind != "none" or key[0] == "connect"}
        keys = [key for key in dict.fromkeys([*kept, *failures]) if self._kind != "none" or key[0] == "connect"]
        return [self._make(*key, kept.get(key, []), failures.get(key)) for key in sorted(keys, key=_order)]

    def _list_measures(self) -> list[tuple[str, int | None, Callable[[], Slice]]]:
        """Tests in the order in which they are measured: the service first, which tells how to ask."""
        return [
            ("connect", self._port, lambda: self._connect((self._address, self._port), None)),
            ("connect", None, lambda: self._with_own(self._connect)),
            ("request", self._port, self._ask),
            ("request", None, lambda: self._with_own(self._ask_own)),
        ]

    def _with_own(self, measure: Callable[[tuple[str, int], Any], Slice]) -> Slice:
        """Measure with a listener of our own in the service's place."""
        listener = self._ends.listen(Path("stream", self._family, self._address))
        return measure(listener.getsockname()[:2], listener)

    def _connect(self, target: tuple[str, int], listener: Any) -> Slice:  # noqa: ANN401 - a socket or None
        self._ends.prepare(2)
        window = open_window("crr", self._options, self._system.monotonic_ns())
        settings = {
            "family": int(FAMILIES[self._family]),
            "address": list(target),
            "end_ns": window.end_ns,
            "most": MOST_CONNECTIONS,
            "abort": listener is not None,
        }
        tasks = [Task("service-connect", [], settings)]
        if listener is not None:  # as with most services, nobody accepts before the connection is there
            tasks.append(Task("service-accept", [listener], {}))
        return take_times(self._ends.run(tasks, window.timeout_s + PATIENCE_S)[0], {})

    def _ask(self) -> Slice:
        self._ends.prepare(1)
        window = open_window("crr", self._options, self._system.monotonic_ns())
        settings = {
            "family": int(FAMILIES[self._family]),
            "address": [self._address, self._port],
            "request": self._request,
            "kind": self._kind,
            "end_ns": window.end_ns,
            "most": MOST_REQUESTS,
        }
        (answer,) = self._ends.run([Task("service-ask", [], settings)], window.timeout_s + 2 * PATIENCE_S)
        self._kind = answer["kind"]
        if answer.get("timed_out") and self._kind != "none":
            message = "it took too long"
            raise EndError(message)
        self._status = answer.get("status")
        return take_times(answer, {"size_bytes": len(self._request)})

    def _ask_own(self, target: tuple[str, int], listener: Any) -> Slice:  # noqa: ANN401 - a socket
        """Let an end of our own give back the same request."""
        del target
        listener.close()
        client, server = self._ends.connect(Path("stream", self._family, self._address))
        self._ends.prepare(2)
        window = open_window("rr", self._options, self._system.monotonic_ns())
        size = len(self._request)
        asking = {
            "size_bytes": size,
            "start_ns": window.start_ns,
            "end_ns": window.end_ns,
            "total": None,
            "spin": False,
        }
        tasks = [
            Task("rr-ask", [client], asking),
            Task("rr-answer", [server], {"size_bytes": size, "spin": False}),
        ]
        return take_times(self._ends.run(tasks, window.timeout_s)[0], {"size_bytes": size})

    def _make(
        self, test: str, port: int | None, pieces: list[Slice], failure: tuple[str, str | None] | None
    ) -> BenchRecord:
        values = tuple(piece.value for piece in pieces if piece.value is not None)
        rates = [piece.told["transactions"] * 1e9 / piece.told["elapsed_ns"] for piece in pieces]
        told: dict[str, Any] = {
            **NOTHING,
            "test": test,
            "proto": "tcp",
            "family": self._family,
            "address": self._address,
            "port": port,
            "placement": "unpinned",
            "streams": 1,
            "size_bytes": len(self._request) if test == "request" else None,
            "measured_ms": to_ms(sum(piece.told["elapsed_ns"] for piece in pieces)),
            "measure": "rtt_p50_ms",
            "slices": values,
            "taken_ratios": (None,) * len(values),
            "run_slices": (len(values),),
            "histogram": (),
            "transactions": sum(piece.told["transactions"] for piece in pieces),
            "transactions_per_s": statistics.median(rates) if rates else None,
            "status_line": self._status if test == "request" and port is not None else None,
        }
        told |= tell_times(pieces)
        if failure is not None:
            told |= {"error": failure[0], "errno": failure[1]}
        return BenchRecord(**told)


def _order(key: tuple[str, int | None]) -> tuple[str, bool]:
    return key[0], key[1] is not None


def _explain(error: EndError | OSError) -> tuple[str, str | None]:
    """Name what kept a service from being measured: a code, and the system's own word."""
    failure = translate(error.errno, str(error))
    if error.errno in {errno.EINPROGRESS, errno.EAGAIN, errno.ETIMEDOUT}:  # SO_SNDTIMEO, SO_RCVTIMEO
        return "timeout", failure.errno
    if error.errno is None and "reset" in str(error):
        return "reset", None
    return {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset"}.get(error.errno or 0, failure.code), failure.errno


def sum_up(records: list[BenchRecord]) -> str | None:
    """Say whose time it is, the stack's or the service's; ``None`` where one of them was not measured."""
    p50 = {(record.test, record.port is not None): record.rtt_p50_ms for record in records if record.error is None}
    for test, verb in (("request", "answer a request"), ("connect", "take a connection")):
        stack, service = p50.get((test, False)), p50.get((test, True))
        if stack and service:
            share = max(1 - stack / service, 0)
            shown = f"{stack * 1000:.3g} us of the {service * 1000:.3g} us that it takes to {verb} are the stack's"
            return f"{shown}: {share:.0%} is the service's"
    return None
