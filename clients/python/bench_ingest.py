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
    generate,
    report,
    scratch_folder,
    total,
)

MICROSECONDS = 1e6


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--packets", type=int, default=2_000_000)
    options = parser.parse_args()
    with scratch_folder(options.folder) as folder, Server(options.binary, folder) as server:
        before = server.cpu_seconds()
        begin = time.monotonic()
        generator = generate(options.binary, server, "tcp", options.packets)
        if generator.wait() != 0:
            raise SystemExit("the generator failed")
        account, settled = server.settled("tcp", options.packets, limit_seconds=120)
        stored = total(account, "tcp", "stored")
        usage = server.stop()
        committed = committed_rows(folder)
    cpu = (usage.cpu_seconds - before) / options.packets * MICROSECONDS
    report([
        at_most("CPU time per packet", cpu, 5, "µs"),
        at_least("sustained rate", options.packets / (settled - begin), 100_000, "packets/s"),
        at_most("packets lost", options.packets - stored, 0),
        at_most("packets not in committed Parquet", options.packets - committed, 0),
        figure("packets", options.packets),
        figure("peak resident memory", usage.peak_resident_bytes / 2**20, "MiB"),
    ])


if __name__ == "__main__":
    main()
