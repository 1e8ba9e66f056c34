#!/usr/bin/env python3
"""Ten million rows of 12 columns from a client's memory into a table of a lake: by ADBC, and by DuckDB.

The rows are an Arrow table in this process. `adbc_ingest` sends them to a server, which commits them to a table of
its lake. DuckDB writes the very same Arrow table to a DuckLake of its own with a catalog in SQLite, in this process
and as it does by itself, and once more with the server's compression. Every round makes a new table on each way.
"""

import contextlib
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
import pyarrow as pa

from bench_peers import arrow_of, duckdb_with_ducklake
from bench_server import Server, arguments, at_most, figure, report, scratch_folder

# Calls as an application would load them: few values that repeat, some that grow, some that are all different.
ROWS = """
SELECT i AS id,
       TIMESTAMP '2026-01-01' + to_microseconds(i * 977) AS started,
       md5((i // 8)::VARCHAR) AS call_id,
       '+49' || (30000000 + hash(i) % 5000000)::VARCHAR AS caller,
       '+1' || (2000000 + hash(i + 1) % 5000000)::VARCHAR AS callee,
       '10.' || (i % 4)::VARCHAR || '.' || (hash(i + 2) % 250)::VARCHAR || '.7' AS source,
       (5060 + i % 7)::INTEGER AS port,
       ['INVITE', 'ACK', 'BYE', 'CANCEL', 'OPTIONS'][1 + (hash(i + 3) % 5)::INTEGER] AS method,
       (100 * (1 + hash(i + 4) % 6))::SMALLINT AS code,
       CASE WHEN i % 3 = 0 THEN NULL ELSE (hash(i + 5) % 100000) / 1000.0 END::DOUBLE AS duration,
       hash(i + 6) % 2 = 0 AS answered,
       'agent/' || (hash(i + 7) % 40)::VARCHAR AS agent
FROM range({rows}) t(i)
"""
# Rows of one message: some megabytes.
BATCH_ROWS = 65_536


def rows_in_memory(rows: int) -> pa.Table:
    """The rows to be written, in batches as clients have them."""
    with duckdb.connect() as connection:
        table = arrow_of(connection.sql(ROWS.format(rows=rows)), BATCH_ROWS)
    return pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=BATCH_ROWS))


@contextlib.contextmanager
def by_adbc(server: Server, table: pa.Table) -> Iterator[Callable[[str], int]]:
    """Writes the rows into a new table of the server, on one connection."""
    with flight_sql.connect(server.flight_sql_url(), autocommit=True) as connection:

        def write(name: str) -> int:
            with connection.cursor() as cursor:
                return cursor.adbc_ingest(name, table.to_reader(), mode="create")

        yield write


@contextlib.contextmanager
def by_duckdb(folder: pathlib.Path, table: pa.Table, *statements: str) -> Iterator[Callable[[str], int]]:
    """Writes the rows into a new table of a DuckLake of DuckDB's."""
    folder.mkdir()
    with duckdb_with_ducklake() as connection:
        connection.execute(f"ATTACH 'ducklake:sqlite:{folder}/lake.sqlite' AS lake (DATA_PATH '{folder}/data/')")
        connection.register("incoming", table)
        for statement in statements:
            connection.execute(statement)

        def write(name: str) -> int:
            connection.execute(f"CREATE TABLE lake.main.{name} AS SELECT * FROM incoming")
            return connection.sql(f"SELECT count(*) FROM lake.main.{name}").fetchone()[0]

        yield write


def parquet_bytes(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.folder))
        # Before the rows are made: a process counts the memory of the one that started it to its own peak.
        server = stack.enter_context(Server(options.binary, folder / "pintail"))
        table = rows_in_memory(options.rows)
        zstd = "CALL lake.set_option('parquet_compression', 'zstd')"
        paths = {
            "pintail": stack.enter_context(by_adbc(server, table)),
            "DuckDB": stack.enter_context(by_duckdb(folder / "duckdb", table)),
            "DuckDB with zstd": stack.enter_context(by_duckdb(folder / "zstd", table, zstd)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in paths}
        for number in range(options.rounds):
            for name, write in paths.items():
                begin = time.perf_counter()
                written = write(f"round_{number}")
                seconds[name].append(time.perf_counter() - begin)
                if written != options.rows:
                    raise SystemExit(f"{name} wrote {written} of {options.rows} rows")
        usage = server.stop()
        sizes = [parquet_bytes(folder / name) / options.rounds for name in ("pintail", "duckdb", "zstd")]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    report([
        at_most("time, ratio to DuckDB", medians["pintail"] / medians["DuckDB"], 1.0),
        figure("time, ratio to DuckDB with zstd", medians["pintail"] / medians["DuckDB with zstd"]),
        *[figure(f"{name}, median", median, "s") for name, median in medians.items()],
        figure("rows", options.rows),
        figure("rows a second", options.rows / medians["pintail"]),
        figure("Arrow data", table.nbytes / 2**20, "MiB"),
        *[figure(f"{name}, Parquet", size / 2**20, "MiB") for name, size in zip(paths, sizes)],
        figure("peak resident memory of the server", usage.peak_resident_bytes / 2**20, "MiB"),
    ])


if __name__ == "__main__":
    main()
