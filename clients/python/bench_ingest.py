#!/usr/bin/env python3
"""CPU time and throughput of the whole server, from TCP to committed Parquet.

The server's CPU time is taken from the kernel's account of the process after it has ended, less what it
had used before the first packet; so the last flush and the commit are in it.
"""

import time

from bench_server import (
    Server,
    arguments,
    at_least,
    at_most,
    committed_rows,
    figure,
    generate_calls,
    report,
    scratch_folder,
    total,
)

MICROSECONDS = 1e6


def main() -> None:
    parser = arguments(__doc__)
    # Whole calls, of which a packet has 738 bytes on average; about 2 million packets.
    parser.add_argument("--calls", type=int, default=320_000)
    options = parser.parse_args()
    with scratch_folder(options.folder) as folder, Server(options.binary, folder) as server:
        before = server.cpu_seconds()
        begin = time.monotonic()
        packets, sent_bytes = generate_calls(options.binary, server, "tcp", options.calls)
        account, settled = server.settled("tcp", packets, limit_seconds=120)
        stored = total(account, "tcp", "stored")
        usage = server.stop()
        committed = committed_rows(folder)
        parquet = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    cpu = (usage.cpu_seconds - before) / packets * MICROSECONDS
    report([
        at_most("CPU time per packet", cpu, 5, "µs"),
        at_least("sustained rate", packets / (settled - begin), 100_000, "packets/s"),
        at_most("packets lost", packets - stored, 0),
        at_most("packets not in committed Parquet", packets - committed, 0),
        figure("packets", packets),
        figure("bytes per packet", sent_bytes / packets),
        figure("bytes of Parquet per packet", parquet / packets),
        figure("peak resident memory", usage.peak_resident_bytes / 2**20, "MiB"),
    ])


if __name__ == "__main__":
    main()
