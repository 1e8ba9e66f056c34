"""The same questions asked of the server and of official DuckDB on its lake, in turns."""

import pathlib
import statistics
import time
from collections.abc import Callable

import duckdb
import pyarrow as pa

from bench_peers import duckdb_with_ducklake


def attached(folder: pathlib.Path) -> duckdb.DuckDBPyConnection:
    """Official DuckDB in this process, on the lake of the server, whose tables need no qualification."""
    (catalog,) = folder.rglob("*.sqlite")
    connection = duckdb_with_ducklake()
    connection.execute(f"ATTACH 'ducklake:sqlite:{catalog}' AS lake (READ_ONLY)")
    connection.execute("USE lake.main")
    return connection


def in_turns(
    asked: dict[str, str],
    own: Callable[[str], pa.Table],
    peer: Callable[[str], pa.Table],
    rounds: int,
    check: Callable[[str, pa.Table, pa.Table], None],
) -> dict[str, tuple[float, float]]:
    """Median seconds of both for each question by its name; a first round, which warms, does not count."""
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in asked}
    for number in range(rounds + 1):
        for name, sql in asked.items():
            answers = []
            for ask, taken in zip((own, peer), seconds[name], strict=True):
                begin = time.perf_counter()
                answers.append(ask(sql))
                if number > 0:
                    taken.append(time.perf_counter() - begin)
            check(name, *answers)
    return {name: (statistics.median(own), statistics.median(peer)) for name, (own, peer) in seconds.items()}


def check_rows(name: str, own: list[tuple], peer: list[tuple], same: Callable[[object, object], bool]) -> None:
    """Ends the benchmark unless both have given the same rows, in the same order."""
    if len(own) != len(peer):
        raise SystemExit(f"{name}: {len(own)} rows, DuckDB has {len(peer)}")
    for number, (own_row, peer_row) in enumerate(zip(own, peer, strict=True)):
        if len(own_row) != len(peer_row) or not all(map(same, own_row, peer_row)):
            raise SystemExit(f"{name}: row {number} is {own_row}, DuckDB has {peer_row}")
