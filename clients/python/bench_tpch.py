#!/usr/bin/env python3
"""The 22 queries of TPC-H over tables of a DuckLake, over Flight SQL beside official DuckDB on the same lake.

`tpchgen-cli` makes the data; the server takes it by `adbc_ingest` into tables of its lake, which DuckDB attaches in this
process. In every round each query, in the words of DuckDB's own extension, is asked of both in turn, and both must give
the same rows. Computed values may differ in their last digits: one averages decimals as decimals, the other as doubles.
"""

import contextlib
import decimal
import math
import pathlib
import subprocess
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow as pa
import pyarrow.parquet as parquet
from duckdb_extensions import import_extension

from bench_beside import attached, check_rows, in_turns
from bench_fetch import asking
from bench_peers import arrow_of, duckdb_with_ducklake
from bench_server import Server, arguments, at_most, figure, report, scratch_folder

TABLES = ("nation", "region", "part", "supplier", "partsupp", "customer", "orders", "lineitem")
# An average of decimals has six digits behind the point.
LAST_DIGIT = 1e-6


def queries() -> dict[str, str]:
    """The queries by their names, from DuckDB's extension."""
    import_extension("tpch")
    with duckdb_with_ducklake() as connection:
        connection.execute("LOAD tpch")
        found = connection.sql("SELECT query_nr, query FROM tpch_queries() ORDER BY 1").fetchall()
    return {f"query {number}": sql.strip().rstrip(";") for number, sql in found}


def generated(folder: pathlib.Path, scale: float) -> pathlib.Path:
    """The tables as Parquet files, each with the name of its table."""
    program = pathlib.Path(sys.executable).with_name("tpchgen-cli")
    options = ["parquet", "--scale-factor", f"{scale:g}", "--output-dir", str(folder)]
    subprocess.run([str(program), *options], check=True)
    return folder


def load(server: Server, data: pathlib.Path) -> None:
    """Puts the tables into the server's lake."""
    with flight_sql.connect(server.flight_sql_url(), autocommit=True) as connection, connection.cursor() as cursor:
        for name in TABLES:
            file = parquet.ParquetFile(data / f"{name}.parquet")
            reader = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(65_536))
            rows = cursor.adbc_ingest(name, reader, mode="create")
            if rows != file.metadata.num_rows:
                raise SystemExit(f"{name}: {rows} of {file.metadata.num_rows} rows were written")


def same(left: object, right: object) -> bool:
    numbers = (int, float, decimal.Decimal)
    if isinstance(left, numbers) and isinstance(right, numbers):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=LAST_DIGIT)
    return left == right


def check_same(name: str, *answers: pa.Table) -> None:
    """All queries but one, of a single row, say in which order their rows come."""
    check_rows(name, *([tuple(row.values()) for row in answer.to_pylist()] for answer in answers), same)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    asked = queries()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.folder))
        server = stack.enter_context(Server(options.binary, folder / "lake"))
        load(server, generated(folder / "data", options.scale))
        own = stack.enter_context(asking(server.flight_sql_url()))
        connection = stack.enter_context(attached(folder / "lake"))
        medians = in_turns(asked, own, lambda sql: arrow_of(connection.sql(sql)), options.rounds, check_same)
        usage = server.stop()
    totals = [sum(column) for column in zip(*medians.values(), strict=True)]
    report([
        at_most("all queries, ratio to DuckDB", totals[0] / totals[1], 1.0),
        figure("pintail, all queries", totals[0], "s"),
        figure("DuckDB, all queries", totals[1], "s"),
        *[figure(f"{name}, ratio to DuckDB", own / peer) for name, (own, peer) in medians.items()],
        figure("scale", options.scale),
        figure("peak resident memory of the server", usage.peak_resident_bytes / 2**20, "MiB"),
    ])


if __name__ == "__main__":
    main()
