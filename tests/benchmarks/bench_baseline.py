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
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodiag.bench import SAVED_RUNS
from lodiag.benches.baseline import Baseline, name_record
from lodiag.benches.options import BenchOptions
from lodiag.benches.records import make_records
from lodiag.benches.rounds import Runner, list_cases
from lodiag.benches.shares import Piece, find_speeds, find_taken
from lodiag.benches.verdicts import judge
from lodiag.benches.watching import Watch
from lodiag.model import names_of, to_plain
from lodiag.model.bench import BenchRecord
from lodiag.system import System
from lodiag.system.ends.pool import Ends

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RULES = (300, 560, 1500, 2200)
"""Of filters, one after the other: what a packet of a request, or one of a stream, takes is some microseconds."""
RULE = "  meta mark 77 meta length 1 drop"


def write_filter(count: int) -> str:
    """Rules that every packet of the loopback is held against, and that none matches."""
    rules = "\n".join([RULE] * count)
    return f"table inet slow {{\n chain sent {{\n  type filter hook output priority 0;\n{rules}\n }}\n}}\n"


def record_once() -> None:
    """Measure everything once, and write it as JSON."""
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


def read_run(path: Path) -> dict[str, Any]:
    """Read a run that was recorded, with what others took from each of its slices."""
    told = json.loads(path.read_text())
    names = names_of(BenchRecord)
    records = []
    for plain in told["records"]:
        case = [str(plain[name]) for name in ("test", "proto", "family", "address", "placement", "direction")]
        spent = told["spent_ns"].get(" ".join(case), [])
        cores = (0, 0) if plain["placement"] == "same-core" else None
        taken = tuple(find_taken(ends, cores) for ends in spent)
        if plain["slices"] and len(taken) == len(plain["slices"]):
            known = {name: plain.get(name) for name in names} | {"taken_ratios": taken, "histogram": ()}
            records.append(BenchRecord(**known))
    return {"rules": told["rules"], "others": told["others"], "records": records}


def list_pieces(record: BenchRecord) -> list[Piece]:
    """Slices of a record."""
    return [Piece(*pair) for pair in zip(record.slices, record.taken_ratios, strict=True)]


def make_baseline(runs: Sequence[dict[str, Any]]) -> Baseline:
    """Put runs together, as --save does."""
    found: dict[Any, list[list[Piece]]] = {}
    for run in runs:
        for record in run["records"]:
            found.setdefault(name_record(record), []).append(list_pieces(record))
    return Baseline("", {}, {}, found)


def find_true_ratios(runs: Sequence[dict[str, Any]]) -> dict[tuple[int, Any], float]:
    """How many times as slow each filter makes each test, by the medians of all its runs."""
    speeds: dict[tuple[int, Any], list[float]] = {}
    for run in runs:
        for record in run["records"]:
            found = find_speeds(record.measure, record.placement, list_pieces(record))
            speeds.setdefault((run["rules"], name_record(record)), []).extend(found)
    plain = {name: statistics.median(found) for (rules, name), found in speeds.items() if found and not rules}
    return {
        (rules, name): plain[name] / statistics.median(found)
        for (rules, name), found in speeds.items()
        if found and name in plain
    }


def replay(runs: Sequence[dict[str, Any]]) -> None:
    """Judge every run beside every baseline of three runs that it is not part of, and count."""
    plain = [run for run in runs if not run["rules"]]
    baselines = [plain[at : at + SAVED_RUNS] for at in range(0, len(plain) - SAVED_RUNS + 1, SAVED_RUNS)]
    true = find_true_ratios(runs)
    said: dict[str, Counter[str]] = {}
    raised = judged = 0
    for saved in baselines:
        baseline = make_baseline(saved)
        for run in runs:
            if any(run is one for one in saved):
                continue
            same = [one for one in runs if one["rules"] == run["rules"] and not any(one is other for other in saved)]
            at = next(index for index, one in enumerate(same) if one is run)
            later = iter([*same[at + 1 :], *same[:at]])

            def again(suspects: Sequence[BenchRecord], later: Iterator[dict[str, Any]] = later) -> list[BenchRecord]:
                wanted = {name_record(record) for record in suspects}
                return [record for record in next(later)["records"] if name_record(record) in wanted]

            statuses = {name_record(one): one.compared.status for one in judge(run["records"], baseline, again)}
            if not run["rules"]:
                judged += 1
                raised += "slower" in statuses.values()
            for name, status in statuses.items():
                ratio = 1.0 if not run["rules"] else true.get((run["rules"], name), 0)
                kinds = {"unchanged": ratio == 1, "1.5x": 1.4 <= ratio < 1.7, "2x and more": ratio >= 1.9}
                for kind in (kind for kind, is_so in kinds.items() if is_so):
                    for key in (kind, f"{kind}: {name[0]} {name[-1] if name[0] == 'stream' else name[1]}"):
                        said.setdefault(key, Counter())[status] += 1
    busy = statistics.median(run["others"] for run in runs)
    sys.stdout.write(f"{len(runs)} runs, {len(plain)} of them unchanged; others used {busy:.1f} cores (median)\n")
    sys.stdout.write(f"exit 1 of unchanged runs: {raised} of {judged}, {raised / max(judged, 1):.2%}\n")
    for key, counts in sorted(said.items()):
        told = counts.total() - counts["inconclusive"]
        share = counts["slower"] / told if told else 0
        sys.stdout.write(f"{key:<34} {dict(sorted(counts.items()))}  slower: {share:.1%} of what was judged\n")


def main() -> None:
    """Do what was asked for."""
    if sys.argv[1] == "once":
        record_once()
    elif sys.argv[1] == "record":
        record(Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
    else:
        replay([read_run(path) for path in sorted(Path(sys.argv[2]).glob("*.json"))])


if __name__ == "__main__":
    main()
