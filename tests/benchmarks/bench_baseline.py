"""Whether ``bench --baseline`` tells the truth: ``python tests/benchmarks/bench_baseline.py record|replay FOLDER``.

``record FOLDER MINUTES [EVERY_S]`` runs bench again and again, as root, each time in a network namespace of its own,
and writes what every slice measured to a file. Every third run is of a loopback that is slower for real: its packets
pass a filter of so many rules that match nothing.

``replay FOLDER`` takes those runs as baselines, as runs that are judged beside them, and as what a suspect measures
when it is measured again, in the order in which they were made, and counts what would have been said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

RULES = (300, 560, 1500, 2200)
"""Of filters, one after the other: what a packet of a request, or one of a stream, takes is some microseconds."""
RULE = "  meta mark 77 meta length 1 drop"


def write_filter(count: int) -> str:
    """Rules that every packet of the loopback is held against, and that none matches."""
    rules = "\n".join([RULE] * count)
    return f"table inet slow {{\n chain sent {{\n  type filter hook output priority 0;\n{rules}\n }}\n}}\n"


def record_once() -> None:
    """Measure everything once, and write it as JSON."""
    from lodiag.benches.options import BenchOptions
    from lodiag.benches.records import make_records
    from lodiag.benches.rounds import Runner, list_cases
    from lodiag.benches.watching import Watch
    from lodiag.model import to_plain
    from lodiag.system import System
    from lodiag.system.ends.pool import Ends

    system, options = System(), BenchOptions()
    cases = list_cases(options, system.list_cores())
    with Ends() as ends:
        load, watch = os.getloadavg()[0], Watch(system)
        measured = Runner(system, ends, options).run(cases, options.rounds)
        seen = watch.end(ends)
    spent = {
        " ".join(map(str, (*key.case[:5], key.direction))): [piece.told["spent_ns"] for piece in pieces]
        for key, pieces in measured.slices.items()
    }
    records = [{**to_plain(record), "histogram": []} for record in make_records(measured, cases, options)]
    used = sum(item.cores_used for item in seen.interference)
    told = {"load": load, "others": used, "steal": seen.steal_ratio, "records": records, "spent_ns": spent}
    sys.stdout.write(json.dumps(told))


def record(folder: Path, minutes: float, every_s: float) -> None:
    """Run until the time is over."""
    folder.mkdir(parents=True, exist_ok=True)
    end, number = time.monotonic() + minutes * 60, 0
    while time.monotonic() < end:
        begun = time.monotonic()
        rules = RULES[number // 3 % len(RULES)] if number % 3 == 2 else 0
        setup = "ip link set lo up && " + ("nft -f - && " if rules else "")
        command = ["unshare", "-n", "sh", "-c", f'{setup}exec "$0" "$1" once </dev/null', sys.executable, __file__]
        done = subprocess.run(command, input=write_filter(rules), capture_output=True, text=True, check=False)
        if done.returncode == 0:
            told = {"rules": rules, "at": time.time(), **json.loads(done.stdout)}
            (folder / f"{int(told['at'])}.json").write_text(json.dumps(told))
        else:
            sys.stderr.write(done.stderr[-500:])
        number += 1
        time.sleep(max(every_s - (time.monotonic() - begun), 0))


if __name__ == "__main__":
    if sys.argv[1] == "once":
        record_once()
    elif sys.argv[1] == "record":
        record(Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
