#!/usr/bin/env python3
"""UDP at ten times the server's capacity: every packet accounted for, memory bounded.

The capacity is throttled as a CPU quota does it: the server runs for a slice of every period and stands
still for the rest. What it can store under that quota is measured first. As much is sent then, and ten times
as much after it, for as long: the growth is what the second takes of memory beyond the first.
"""

import signal
import threading
import time

from bench_server import (
    Server,
    arguments,
    at_least,
    at_most,
    committed_rows,
    figure,
    generate,
    report,
    scratch_folder,
    total,
)

PERIOD_SECONDS = 0.05
HOT_BUFFER_BYTES = 64 * 2**20
CONFIG = {"storage": {"ducklake": {"hot_buffer": {"max_bytes": HOT_BUFFER_BYTES}}}}
OVERLOAD_SECONDS = 10


class Quota:
    """Lets a process run for `share` of every period, until it is lifted."""

    def __init__(self, process, share: float):
        self._process = process
        self._share = share
        self._lifted = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._lifted.is_set():
            self._process.send_signal(signal.SIGCONT)
            time.sleep(PERIOD_SECONDS * self._share)
            self._process.send_signal(signal.SIGSTOP)
            time.sleep(PERIOD_SECONDS * (1 - self._share))
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "Quota":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._lifted.set()
        self._thread.join()


def flood(options, server: Server, rate: int, seconds: float) -> tuple[int, float, int]:
    """Sends `rate` packets a second under the quota; packets sent, seconds taken, highest resident memory."""
    packets = int(rate * seconds)
    peak = server.resident_bytes()
    begin = time.monotonic()
    with Quota(server.process, options.share):
        generator = generate(options.binary, server, "udp", packets, rate)
        while generator.poll() is None:
            peak = max(peak, server.resident_bytes())
            time.sleep(PERIOD_SECONDS)
    if generator.returncode != 0:
        raise SystemExit("the generator failed")
    return packets, time.monotonic() - begin, peak


def capacity_under_quota(options) -> float:
    """Packets a second that a server stores when it is offered many more."""
    with scratch_folder(options.folder) as folder, Server(options.binary, folder, CONFIG) as server:
        sent, seconds, _ = flood(options, server, options.saturating_rate, 5)
        account, _ = server.settled("udp", sent, limit_seconds=10)
        server.stop()
    return total(account, "udp", "stored") / seconds


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--share", type=float, default=0.05, help="of a CPU period that the server gets")
    parser.add_argument("--saturating-rate", type=int, default=100_000, help="to measure the capacity with")
    options = parser.parse_args()
    capacity = capacity_under_quota(options)
    print(f"capacity under the quota: {capacity:,.0f} packets/s")
    # Another process: what saturated it to find the capacity would hide what the overload takes.
    with scratch_folder(options.folder) as folder, Server(options.binary, folder, CONFIG) as server:
        sent_before, _, peak_at_capacity = flood(options, server, int(capacity), OVERLOAD_SECONDS)
        server.settled("udp", sent_before, limit_seconds=10)
        overload, seconds, peak = flood(options, server, int(capacity * 10), OVERLOAD_SECONDS)
        sent = sent_before + overload
        account, _ = server.settled("udp", sent, limit_seconds=10)
        peak = max(peak, server.resident_bytes())
        server.stop()
        committed = committed_rows(folder)
    received = total(account, "udp", "received")
    stored = total(account, "udp", "stored")
    rejected = total(account, "udp", "rejected")
    dropped = total(account, "udp", "dropped")
    dropped_by_kernel = total(account, "udp", "dropped", "kernel")
    print("accounting:", {"/".join(key): packets for key, packets in sorted(account.items()) if key[0] == "udp"})
    report([
        at_least("load over capacity", overload / seconds / capacity, 9.5, "times"),
        at_most("packets neither received nor dropped by the kernel", abs(sent - received - dropped_by_kernel), 0),
        at_most("packets received without an outcome", abs(received - stored - rejected - dropped), 0),
        at_most("packets stored and not in committed Parquet", abs(stored - committed), 0),
        at_most("growth of resident memory", max(0, peak - peak_at_capacity) / 2**20, HOT_BUFFER_BYTES / 2**20, "MiB"),
        figure("resident memory at capacity, peak", peak_at_capacity / 2**20, "MiB"),
        figure("capacity under the quota", capacity, "packets/s"),
        figure("packets sent", sent),
        figure("packets stored", stored),
        figure("packets dropped by the server", dropped),
        figure("packets dropped by the kernel", dropped_by_kernel),
    ])


if __name__ == "__main__":
    main()
