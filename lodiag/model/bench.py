"""Records of ``bench``."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import FAMILIES, detail, fact, label, metric

TESTS = ("stream", "rr", "crr", "udp")
SERVICE_TESTS = ("connect", "request")
BENCH_PROTOS = ("tcp", "udp", "unix")
PLACEMENTS = ("same-core", "across-cores", "chosen-cores", "unpinned")
DIRECTIONS = ("to-server", "to-client")
CLOSINGS = ("abortive", "graceful")
COMPARISONS = ("slower", "faster", "no-change", "inconclusive", "not-compared")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchBucket:
    """How many round trips took so long."""

    from_ms: float = fact("Shortest round trip that it counts.")
    below_ms: float = fact("Round trips as long as this, or longer, are in a later bucket.")
    count: int = fact("Round trips in it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchComparison:
    """How a test does beside a baseline; every ratio is one of speed, so that less than 1 is slower."""

    status: str = fact("What the comparison comes to.", COMPARISONS)
    speed_ratio: float | None = fact("Speed now of that of the baseline, by the medians of their slices.")
    speed_low_ratio: float | None = fact("Least speed ratio that the slices allow, with 95 % confidence.")
    speed_high_ratio: float | None = fact("Greatest speed ratio that the slices allow, with 95 % confidence.")
    could_miss_ratio: float | None = fact("A slowdown by less than this factor could go unseen in such slices.")
    compared_slices: int = fact("Slices, repeated ones among them, that others left alone enough to be compared.")
    baseline_slices: tuple[float, ...] = fact("What each slice of the baseline measured.")
    repeated: int = fact("How often the test was measured again before this was said.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRecord:
    """What one test measured over one path."""

    test: str = label("What was measured.", (*TESTS, *SERVICE_TESTS))
    proto: str = label("What carried it; unix is the baseline that no network stack is in.", BENCH_PROTOS)
    family: str | None = label("Family of the address; null for unix.", FAMILIES)
    address: str | None = label("Loopback address of the server; null for unix.")
    port: int | None = label("Port of the running service; null where both ends were lodiag's own.")
    placement: str = label("Where the two ends ran, which decides latencies more than anything else.", PLACEMENTS)
    direction: str | None = label("Which way the data went; null where it went both ways in turn.", DIRECTIONS)
    congestion: str | None = label("TCP's congestion control; null where there is none.")
    client_core: int | None = fact("Core that the client ran on; null where it was not told to.")
    server_core: int | None = fact("Core that the server ran on; null where it was not told to.")
    streams: int = fact("Connections at a time.")
    size_bytes: int | None = fact("Bytes of a write, a request, or a datagram.")
    read_bytes: int | None = fact("Bytes of a read.")
    send_buffer_bytes: int | None = fact("Send buffer of the sockets, as the kernel tells it when it begins.")
    receive_buffer_bytes: int | None = fact("Receive buffer of the sockets, likewise; TCP enlarges it as it goes.")
    segment_bytes: int | None = fact("TCP's maximum segment size (TCP_MAXSEG).")
    measured_ms: float = fact("How long it was measured, all slices together, in milliseconds.")
    throughput_bps: float | None = metric("Bits a second that were received, the median of the slices.")
    throughput_low_bps: float | None = metric("Throughput of the slowest slice.")
    throughput_high_bps: float | None = metric("Throughput of the fastest slice.")
    client_cpu_s_per_gb: float | None = metric("Seconds of CPU that the client took for 10^9 bytes.")
    server_cpu_s_per_gb: float | None = metric("Seconds of CPU that the server took for 10^9 bytes.")
    retransmits: int | None = metric("TCP segments that were sent again.")
    pacing_bps: float | None = metric("Rate at which TCP lets segments out, at the end; null if it does not pace.")
    transactions: int | None = metric("Requests that were answered.")
    transactions_per_s: float | None = metric("Requests that were answered a second, the median of the slices.")
    rtt_min_ms: float | None = metric("Shortest round trip, or connection where each transaction has its own.")
    rtt_p50_ms: float | None = metric("Median round trip.")
    rtt_p90_ms: float | None = metric("90th percentile round trip.")
    rtt_p99_ms: float | None = metric("99th percentile round trip.")
    rtt_p999_ms: float | None = metric("99.9th percentile round trip.")
    rtt_max_ms: float | None = metric("Longest round trip.")
    closing: str | None = fact("How connections were closed; an abortive close leaves no TIME_WAIT.", CLOSINGS)
    source_addresses: int | None = fact("Source addresses that connections came from, in turn.")
    failed: int | None = metric("Connections that could not be made.")
    limited_by: str | None = fact("What keeps the rate of connections from being higher.")
    time_wait_left: int | None = metric("Sockets in TIME_WAIT that were there after the test and not before.")
    sent: int | None = metric("Datagrams that were sent.")
    received: int | None = metric("Datagrams that were received.")
    lost: int | None = metric("Datagrams that were sent and not received.")
    loss_ratio: float | None = metric("Lost of sent, 0 to 1; null when nothing was sent.")
    dropped: int | None = metric("Lost datagrams that found the receive buffer full, as the kernel counts them.")
    reordered: int | None = metric("Datagrams that a later one had overtaken.")
    duplicates: int | None = metric("Datagrams that came again.")
    received_per_s: float | None = metric("Datagrams that were received a second, the median of the slices.")
    unix_ratio: float | None = metric("Speed of that of the same test over AF_UNIX in the same run.")
    status_line: str | None = fact("What the running service answered, as its first line; null if there was none.")
    error: str | None = fact("Code of what kept it from being measured; null if nothing did.")
    errno: str | None = fact("The system's own word for that.")
    measure: str = fact("Name of the field that slices hold.")
    slices: tuple[float, ...] = detail("What each slice measured, in the order in which they were taken.")
    taken_ratios: tuple[float | None, ...] = detail(
        "Share of each slice's time that others took from its ends on their cores, 0 to 1; null where it is not told."
    )
    run_slices: tuple[int, ...] = detail("How many of them each run took.")
    histogram: tuple[BenchBucket, ...] = detail("Round trips by their duration, in buckets of less than 1 % error.")
    compared: BenchComparison | None = detail("How it does beside the baseline; null if there is none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchParameters:
    """What was asked for: results with other parameters are not to be compared."""

    time_s: float | None = fact("Seconds to measure each test; null for the usual.")
    total_bytes: int | None = fact("Bytes to send in each slice; null where it was measured for a time.")
    streams: int = fact("Connections at a time, in stream and udp.")
    size_bytes: int | None = fact("Bytes of a write, a request or a datagram; null for the usual.")
    window_bytes: int | None = fact("Socket buffers; null for the kernel's own.")
    reverse: bool = fact("Whether the server sent.")
    bidir: bool = fact("Whether both sent.")
    congestion: str | None = fact("Congestion control that was asked for; null for the system's.")
    affinity: tuple[int, ...] | None = fact("Cores of the client and the server that were asked for.")
    busy_poll: bool = fact("Whether both ends of rr waited awake.")
    graceful: bool = fact("Whether crr closed as most programs do.")
    source_addresses: int = fact("Addresses from which crr connected.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSetting:
    """A kernel parameter that speed depends on."""

    name: str = fact("Its name.")
    value: str | None = fact("Its value; null if it cannot be read.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchMachine:
    """What the machine was: results of two that differ in kernel, cpu or cores are not to be compared."""

    kernel: str = fact("Kernel and its release.")
    cpu: str | None = fact("Model of the processor.")
    cores: int = fact("Cores that this process may use.")
    python: str = fact("Version of Python, by which both ends run.")
    governor: str | None = fact("What chooses the frequency of the first core that may be used.")
    clock: str | None = fact("The kernel's clock source.")
    qdisc: str | None = fact("What queues the loopback interface's packets.")
    mtu_bytes: int | None = fact("MTU of the loopback interface.")
    cpu_max: str | None = fact("Quota and period of the control group (cpu.max); null without a limit.")
    settings: tuple[BenchSetting, ...] = detail("Kernel parameters that speed depends on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchInterference:
    """A process of somebody else that used the processors meanwhile."""

    pid: int = label("Its process id.")
    process: str | None = label("Its name.")
    cores_used: float = metric("Cores that it used, on average over the run.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSummary:
    """How it was measured, and on what."""

    tests: tuple[str, ...] = fact("Tests that were run.")
    rounds: int = fact("How often each test was measured; each time is a slice.")
    runs: int = fact("Runs that were made, of so many rounds each.")
    machine: BenchMachine = fact("What the machine was.")
    parameters: BenchParameters = fact("What was asked for.")
    elapsed_ms: float = fact("How long all of it took, in milliseconds.")
    load_before: float | None = metric("Load average over a minute when it began.")
    interference: tuple[BenchInterference, ...] = detail("Processes of others that used the processors, most first.")
    steal_ratio: float | None = metric("Share of the processors' time that the host gave to others, 0 to 1.")
    throttled_ms: float | None = metric("How long the control group's quota stopped its processes.")
    baseline_at: str | None = fact("When the baseline was saved; null if nothing was compared.")
    verdict: str | None = fact("Whether a service or the stack takes the time; null if none was asked.")


RECORD, SUMMARY = BenchRecord, BenchSummary
