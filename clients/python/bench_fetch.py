#!/usr/bin/env python3
"""One million rows of 12 columns as Arrow: from Parquet, from the hot buffer, and from the peers.

Two servers take the same generated calls. One commits them to Parquet at once, the other keeps them in its
hot buffer. DuckDB reads the first one's files in process; roapi and a plain pyarrow Flight server hold the
same rows in memory. Every round fetches from each path in turn.
"""

import contextlib
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
import pyarrow as pa
import pyarrow.parquet as parquet

from bench_peers import PlainFlight, Roapi, arrow_of
from bench_server import Server, arguments, at_most, figure, generate, report, scratch_folder, total

TABLE = "hep_proto_1_call"
COLUMNS = (
    "timestamp, session_id, caller, callee, src_ip, dst_ip, src_port, dst_port, method, response_code, "
    "cseq_method, node_id"
)
# More than a row takes, in memory and in the journal.
LIMIT_BYTES_OF_A_ROW = 4_096
AN_HOUR = 3600


def fill(options, server: Server) -> None:
    """Sends calls until the server has the wanted number of rows, and waits until all can be read."""
    packets = options.rows
    generator = generate(options.binary, server, "tcp", packets, 0, *options.generator_options)
    if generator.wait() != 0:
        raise SystemExit("the generator failed")
    account, _ = server.settled("tcp", packets, limit_seconds=300)
    if total(account, "tcp", "stored") != packets:
        raise SystemExit(f"not every packet was stored: {account}")
    limit = time.monotonic() + 10
    while (found := count(server)) != packets:
        if time.monotonic() > limit:
            raise SystemExit(f"{found} of {packets} packets became rows of {TABLE}")
        time.sleep(0.05)


def count(server: Server, condition: str = "true") -> int:
    (row,) = server.query(f"SELECT count(*) AS n FROM {TABLE} WHERE {condition}")
    return int(row["n"])


def in_parquet(options, folder: pathlib.Path) -> Server:
    """A server all of whose rows are in Parquet: it was stopped, which flushes, and started again."""
    with Server(options.binary, folder) as first:
        fill(options, first)
        first.stop()
    return Server(options.binary, folder)


@contextlib.contextmanager
def in_hot_buffer(options, folder: pathlib.Path) -> Iterator[Server]:
    """A server all of whose rows are still in memory."""
    limit = {"max_bytes": LIMIT_BYTES_OF_A_ROW * options.rows}
    ducklake = {"flush_interval_sec": AN_HOUR, "hot_buffer": {**limit, "high_water": 1.0}}
    changes = {"storage": {"ducklake": ducklake}, "ingest": {"journal": limit}}
    with Server(options.binary, folder, changes) as server:
        fill(options, server)
        if count(server, "storage_volume <> 'buffer'") > 0:
            raise SystemExit("some rows left the hot buffer")
        yield server


@contextlib.contextmanager
def asking(url: str) -> Iterator[Callable[[str], pa.Table]]:
    """Asks through ADBC's Flight SQL driver, on one connection."""
    with flight_sql.connect(url, autocommit=True) as connection:

        def ask(sql: str) -> pa.Table:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetch_arrow_table()

        yield ask


@contextlib.contextmanager
def adbc(url: str, table: str) -> Iterator[Callable[[], pa.Table]]:
    """Fetches the whole table through ADBC's Flight SQL driver, on one connection."""
    with asking(url) as ask:
        yield lambda: ask(f"SELECT {COLUMNS} FROM {table}")


@contextlib.contextmanager
def duckdb_on(folder: pathlib.Path) -> Iterator[Callable[[], pa.Table]]:
    """DuckDB in this process, over the Parquet files of the table anywhere under `folder`."""
    files = [str(file) for file in folder.glob(f"**/{TABLE}/**/*.parquet")]
    with duckdb.connect() as connection:
        query = f"SELECT {COLUMNS} FROM read_parquet({files})"

        def fetch() -> pa.Table:
            return arrow_of(connection.sql(query))

        yield fetch


def interleaved(paths: dict[str, Callable[[], pa.Table]], rounds: int, rows: int) -> dict[str, float]:
    """The median seconds of each path; one round to warm up, then every path in turn in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(rounds + 1):
        for name, fetch in paths.items():
            begin = time.perf_counter()
            table = fetch()
            took = time.perf_counter() - begin
            if table.shape != (rows, 12):
                raise SystemExit(f"{name} gave {table.shape} rows and columns, not {(rows, 12)}")
            del table
            if number > 0:
                seconds[name].append(took)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    # Calls only, so that every packet is a row of one table.
    parser.add_argument("--generator-options", nargs="*", default=["--calls-only"])
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.folder))
        cold = stack.enter_context(in_parquet(options, folder / "parquet"))
        hot = stack.enter_context(in_hot_buffer(options, folder / "hot"))
        from_parquet = stack.enter_context(adbc(cold.flight_sql_url(), TABLE))
        from_hot_buffer = stack.enter_context(adbc(hot.flight_sql_url(), TABLE))
        from_duckdb = stack.enter_context(duckdb_on(folder / "parquet"))
        table = from_parquet()
        copy = folder / "rows.parquet"
        parquet.write_table(table, copy, compression="zstd")
        rows, arrow_bytes = table.num_rows, table.nbytes
        del table
        roapi = stack.enter_context(Roapi(copy))
        plain = stack.enter_context(PlainFlight(copy))
        paths = {
            "pintail, from Parquet": from_parquet,
            "pintail, from the hot buffer": from_hot_buffer,
            "DuckDB in process, same Parquet": from_duckdb,
            "roapi, from memory": stack.enter_context(adbc(roapi.url, "t")),
            "plain pyarrow Flight, from memory": plain.fetch,
        }
        medians = interleaved(paths, options.rounds, rows)
        cold_seconds, hot_seconds, duckdb_seconds, roapi_seconds, floor_seconds = medians.values()
        hot.kill()
        cold.stop()
    report([
        at_most("from Parquet, ratio to DuckDB", cold_seconds / duckdb_seconds, 1.0),
        at_most("from the hot buffer, ratio to plain Flight", hot_seconds / floor_seconds, 1.3),
        figure("from Parquet, ratio to roapi", cold_seconds / roapi_seconds),
        figure("from the hot buffer, ratio to roapi", hot_seconds / roapi_seconds),
        *[figure(f"{name}, median", seconds, "s") for name, seconds in medians.items()],
        figure("rows", rows),
        figure("Arrow data", arrow_bytes / 2**20, "MiB"),
    ])


if __name__ == "__main__":
    main()
