#!/usr/bin/env python3
"""Resident memory of the server while it streams a result of ten times its memory limit.

The rows come out of Parquet, whole, payload and all. One client reads as fast as it can, and one reads
slowly, so that the server has to wait for it.
"""

import time

import adbc_driver_flightsql.dbapi as flight_sql

from bench_server import Server, arguments, at_least, at_most, figure, generate, report, scratch_folder, total

TABLE = "hep_proto_1_call"
ALLOWANCE_BYTES = 256 * 2**20


def stream(server: Server, sql: str, pause_seconds: float) -> tuple[int, int]:
    """Reads the whole result batch by batch and keeps none; its bytes and the highest resident memory."""
    streamed = 0
    peak = server.resident_bytes()
    with flight_sql.connect(server.flight_sql_url(), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        for batch in cursor.fetch_record_batch():
            streamed += batch.nbytes
            peak = max(peak, server.resident_bytes())
            if pause_seconds:
                time.sleep(pause_seconds)
    return streamed, peak


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--limit-mib", type=int, default=256)
    parser.add_argument("--packets", type=int, default=2_300_000)
    options = parser.parse_args()
    limit = options.limit_mib * 2**20
    changes = {"limits": {"memory_bytes": limit}}
    with scratch_folder(options.folder) as folder:
        with Server(options.binary, folder, changes) as server:
            generator = generate(options.binary, server, "tcp", options.packets, 0, "--calls-only")
            if generator.wait() != 0:
                raise SystemExit("the generator failed")
            account, _ = server.settled("tcp", options.packets, limit_seconds=300)
            if total(account, "tcp", "stored") != options.packets:
                raise SystemExit(f"not every packet was stored: {account}")
            server.stop()
        with Server(options.binary, folder, changes) as server:
            at_rest = server.resident_bytes()
            sql = f"SELECT * FROM {TABLE}"
            streamed, peak_fast = stream(server, sql, 0)
            _, peak_slow = stream(server, sql, 0.02)
            server.stop()
    allowed = (limit + ALLOWANCE_BYTES) / 2**20
    report([
        at_most("resident memory, fast reader", peak_fast / 2**20, allowed, "MiB"),
        at_most("resident memory, slow reader", peak_slow / 2**20, allowed, "MiB"),
        at_least("streamed over the memory limit", streamed / limit, 10, "times"),
        figure("memory limit", limit / 2**20, "MiB"),
        figure("resident memory at rest", at_rest / 2**20, "MiB"),
    ])


if __name__ == "__main__":
    main()
