#!/usr/bin/env python3
"""Prepared statements executed again and again: a constant, and the messages of one call among a million rows.

The client is Rust for all (`prepared_bench load`). The floor is a Rust Flight SQL server that answers the same calls
from memory without SQL. roapi holds the same rows in memory and is sent the text each time.
"""

import contextlib
import json
import pathlib
import statistics
import subprocess

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow.parquet as parquet

from bench_fetch import COLUMNS, TABLE, in_parquet
from bench_peers import Roapi
from bench_server import arguments, at_least, at_most, figure, report, scratch_folder

CONSTANT = "SELECT 1"
ONE_CALL = f"SELECT {COLUMNS} FROM {TABLE} WHERE session_id = ?"
ONE_CALL_OF_ROAPI = f"SELECT {COLUMNS} FROM t WHERE session_id = '{{}}'"


class Floor:
    """The server without SQL."""

    def __init__(self, program: pathlib.Path):
        self.process = subprocess.Popen([program, "floor"], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self) -> "Floor":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()


def load(program: pathlib.Path, url: str, sql: str, connections: int, seconds: float, *more: str) -> dict:
    """What the client measured."""
    command = [program, "load", url, sql, "--connections", connections, "--seconds", seconds, *more]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the client failed at {url}: {done.stderr}")
    return json.loads(done.stdout)


def constants(program: pathlib.Path, own: str, floor: str, rounds: int, seconds: float) -> list[dict]:
    """The rates of the constant, own and floor in turn."""
    figures = []
    for connections in (1, 4, 16):
        rates: dict[str, list[float]] = {own: [], floor: []}
        for _ in range(rounds):
            for url in rates:
                rates[url].append(load(program, url, CONSTANT, connections, seconds)["per_second"])
        ours, lowest = (statistics.median(rates[url]) for url in (own, floor))
        figures.append(at_least(f"constant, {connections} connections, ratio to the floor", ours / lowest, 0.8))
        figures.append(figure(f"constant, {connections} connections", ours, "executions/s"))
    return figures


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--generator-options", nargs="*", default=["--calls-only"])
    options = parser.parse_args()
    program = pathlib.Path(options.binary).with_name("examples") / "prepared_bench"
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.folder))
        server = stack.enter_context(in_parquet(options, folder / "parquet"))
        own = server.flight_sql_url().replace("grpc://", "http://").replace("grpc+tcp://", "http://")
        floor = stack.enter_context(Floor(program))
        with flight_sql.connect(server.flight_sql_url(), autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {COLUMNS} FROM {TABLE}")
            table = cursor.fetch_arrow_table()
        copy = folder / "rows.parquet"
        parquet.write_table(table, copy, compression="zstd")
        values = folder / "call_ids"
        call_ids = sorted(set(table.column("session_id").slice(0, 200_000).to_pylist()))[::7]
        values.write_text("\n".join(call_ids) + "\n")
        del table
        roapi = stack.enter_context(Roapi(copy))
        figures = constants(program, own, floor.url, options.rounds, options.seconds)
        of_call = ["--values", str(values)]
        lookups, peers = [], []
        for _ in range(options.rounds):
            lookups.append(load(program, own, ONE_CALL, 16, options.seconds, *of_call))
            url = roapi.url.replace("grpc://", "http://")
            peers.append(load(program, url, ONE_CALL_OF_ROAPI, 16, options.seconds, "--unprepared", *of_call))
        ours = statistics.median(run["per_second"] for run in lookups)
        theirs = statistics.median(run["per_second"] for run in peers)
        below = load(program, own, ONE_CALL, 16, options.seconds * 2, "--rate", str(ours * 0.5), *of_call)
    report([
        *figures,
        at_least("messages of one call, 16 connections", ours, 500, "executions/s"),
        at_least("messages of one call, ratio to roapi", ours / theirs, 5),
        figure("messages of one call, roapi", theirs, "executions/s"),
        at_most("messages of one call at half the rate, p99", below["p99_ms"], 15, "ms"),
    ])


if __name__ == "__main__":
    main()
