#!/usr/bin/env python3
"""Ten million rows of 12 columns as Arrow: from Parquet beside DuckDB, from the hot buffer beside plain Flight.

The two parts follow each other, so that the rows in memory of one do not crowd the other. DuckDB reads the very
Parquet files of the lake in process. The plain pyarrow Flight server and the hot buffer are read by the same client,
pyarrow, which keeps the whole table. A thread looks at the server's memory all the while.
"""

import contextlib
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet

from bench_fetch import COLUMNS, TABLE, adbc, duckdb_on, in_hot_buffer, in_parquet, interleaved
from bench_peers import PlainFlight
from bench_server import Server, arguments, at_most, figure, report, scratch_folder

# glibc gives large blocks back to the system, and takes them again page by page, by thresholds that follow what was freed
# before: a client that fetches the same rows by two ways in turn took twice the time for the one or for the other, by
# chance. This one keeps what it has.
STEADY_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1000000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000000"}

QUERY = f"SELECT {COLUMNS} FROM {TABLE}"
LOOK_SECONDS = 0.02
MIB = 2**20


@contextlib.contextmanager
def watched(server: Server) -> Iterator[list[int]]:
    """The resident memory of the server from before to after, as a list that grows."""
    seen = [server.resident_bytes()]
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            seen.append(server.resident_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def growth(seen: list[int]) -> float:
    """MiB that a warm server grew by at the most."""
    return (max(seen) - seen[0]) / MIB


@contextlib.contextmanager
def pyarrow_client(server: Server) -> Iterator[flight.FlightClient]:
    with flight.connect(server.flight_sql_url()) as client:
        yield client


def whole(client: flight.FlightClient) -> Callable[[], pa.Table]:
    """Fetches the whole table as plain Flight does: SQL text is a ticket too."""
    return lambda: client.do_get(flight.Ticket(QUERY.encode())).read_all()


def first_batch_ms(client: flight.FlightClient) -> float:
    """From sending the query to holding its first rows."""
    begin = time.perf_counter()
    reader = client.do_get(flight.Ticket(QUERY.encode()))
    for chunk in reader:
        if chunk.data.num_rows > 0:
            took = time.perf_counter() - begin
            reader.cancel()
            return took * 1e3
    raise SystemExit("the query gave no rows")


def end_of_plan_ms(server: Server, client: flight.FlightClient) -> float:
    """From closing a stream whose first rows came to the server's word that the query has ended."""
    reader = client.do_get(flight.Ticket(QUERY.encode()))
    reader.read_chunk()
    running = "SELECT count(*) AS n FROM system.queries WHERE state = 'running' AND sql NOT LIKE '%system.queries%'"
    if server.query(running)[0]["n"] != 1:
        raise SystemExit("the query ended before its stream was closed")
    begin = time.perf_counter()
    reader.cancel()
    while server.query(running)[0]["n"] > 0:
        pass
    return (time.perf_counter() - begin) * 1e3


def from_parquet(options, folder: pathlib.Path, copy: pathlib.Path) -> list[dict]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(in_parquet(options, folder))
        fetch = stack.enter_context(adbc(server.flight_sql_url(), TABLE))
        own, peer = "pintail, from Parquet", "DuckDB in process, same Parquet"
        paths = {own: fetch, peer: stack.enter_context(duckdb_on(folder))}
        parquet.write_table(fetch(), copy, compression="zstd")
        with watched(server) as seen:
            medians = interleaved(paths, options.rounds, options.rows)
        client = stack.enter_context(pyarrow_client(server))
        first = first_batch_ms(client)
        end = end_of_plan_ms(server, client)
        server.stop()
    return [
        at_most("from Parquet, ratio to DuckDB", medians[own] / medians[peer], 1.0),
        at_most("from Parquet, first batch", first, 50, "ms"),
        at_most("from Parquet, stream closed to plan ended", end, 1000, "ms"),
        at_most("from Parquet, growth of resident memory", growth(seen), 256, "MiB"),
        *[figure(f"{name}, median", seconds, "s") for name, seconds in medians.items()],
    ]


def from_hot_buffer(options, folder: pathlib.Path, copy: pathlib.Path) -> list[dict]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(in_hot_buffer(options, folder))
        plain = stack.enter_context(PlainFlight(copy))
        client = stack.enter_context(pyarrow_client(server))
        own, peer = "pintail, from the hot buffer", "plain pyarrow Flight, from memory"
        with watched(server) as seen:
            medians = interleaved({own: whole(client), peer: plain.fetch}, options.rounds, options.rows)
        first = first_batch_ms(client)
        server.kill()
    return [
        at_most("from the hot buffer, ratio to plain Flight", medians[own] / medians[peer], 1.15),
        at_most("from the hot buffer, first batch", first, 50, "ms"),
        at_most("from the hot buffer, growth of resident memory", growth(seen), 64, "MiB"),
        *[figure(f"{name}, median", seconds, "s") for name, seconds in medians.items()],
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--generator-options", nargs="*", default=["--calls-only"])
    options = parser.parse_args()
    if not STEADY_MALLOC.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **STEADY_MALLOC})
    with scratch_folder(options.folder) as folder:
        copy = folder / "rows.parquet"
        cold = from_parquet(options, folder / "parquet", copy)
        hot = from_hot_buffer(options, folder / "hot", copy)
    report([*cold, *hot, figure("rows", options.rows)])


if __name__ == "__main__":
    main()
