#!/usr/bin/env python3
"""One call and the newest messages among very many files.

Two tables of messages are made with one INSERT for each file, one with a hundredth of the other's files. Then the
messages of a call are asked for by its Call-ID, calls that are not asked for again, and the newest 500 messages; the
answers are known.
"""

import contextlib
import statistics
import time
from collections.abc import Callable

from bench_fetch import asking
from bench_server import Server, arguments, at_most, figure, report, scratch_folder

COLUMNS = "timestamp TIMESTAMP, session_id VARCHAR, method VARCHAR, payload VARCHAR"
# Ten messages of each call, one behind the other, every millisecond one.
ROWS = """
SELECT to_timestamp_millis(1780000000000 + value), concat('call-', CAST(value / 10 AS VARCHAR), '@pbx.example'),
       CASE value % 10 WHEN 0 THEN 'INVITE' WHEN 9 THEN 'BYE' ELSE 'ACK' END,
       concat('SIP/2.0 200 OK for message ', CAST(value AS VARCHAR), repeat(' of many', 20))
FROM generate_series({first}, {last})
"""
MESSAGES_OF_CALL = 10
NEWEST = 500


def fill(server: Server, table: str, files: int, rows: int) -> None:
    """A table of so many files of so many rows."""
    server.query(f"CREATE TABLE {table} ({COLUMNS})")
    for number in range(files):
        first = number * rows
        server.query(f"INSERT INTO {table} {ROWS.format(first=first, last=first + rows - 1)}")


def taken(ask: Callable, sql: str, rows: int) -> float:
    """Seconds until the answer of so many rows is there."""
    begin = time.perf_counter()
    answer = ask(sql)
    seconds = time.perf_counter() - begin
    if answer.num_rows != rows:
        raise SystemExit(f"{answer.num_rows} rows instead of {rows}: {sql}")
    return seconds


def look_ups(ask: Callable, table: str, rows: int, rounds: int) -> list[float]:
    """Seconds of one look-up after the other, each of another call; the first one makes what others use."""
    calls = rows // MESSAGES_OF_CALL
    sql = f"SELECT timestamp, method, payload FROM {table} WHERE session_id = "
    of_round = (number * 7919 % calls for number in range(rounds))
    return [taken(ask, f"{sql}'call-{call}@pbx.example'", MESSAGES_OF_CALL) for call in of_round]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rows-of-file", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=41)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.folder))
        changes = {"storage": {"ducklake": {"compaction": {"enable": False}}}}
        with Server(options.binary, folder, changes) as first:
            fill(first, "few", max(1, options.files // 100), options.rows_of_file)
            fill(first, "many", options.files, options.rows_of_file)
            first.stop()
        server = stack.enter_context(Server(options.binary, folder, changes))
        ask = stack.enter_context(asking(server.flight_sql_url()))
        seconds = {
            table: look_ups(ask, table, files * options.rows_of_file, options.rounds)
            for table, files in (("few", max(1, options.files // 100)), ("many", options.files))
        }
        medians = {table: statistics.median(times[1:]) for table, times in seconds.items()}
        newest = f"SELECT timestamp, session_id, payload FROM many ORDER BY timestamp DESC LIMIT {NEWEST}"
        newest_seconds = [taken(ask, newest, NEWEST) for _ in range(options.rounds)]
        planned = [taken(ask, f"EXPLAIN {newest}", 2) for _ in range(options.rounds)]
        usage = server.stop()
    report([
        at_most("one call among many files, median", medians["many"] * 1e3, 100, "ms"),
        at_most("ratio to a hundredth of the files", medians["many"] / medians["few"], 10),
        figure("one call among few files, median", medians["few"] * 1e3, "ms"),
        figure("the first look-up after a start", seconds["many"][0], "s"),
        figure("newest 500, median", statistics.median(newest_seconds) * 1e3, "ms"),
        figure("newest 500, planning alone", statistics.median(planned) * 1e3, "ms"),
        figure("files", options.files),
        figure("rows", options.files * options.rows_of_file),
        figure("peak resident memory of the server", usage.peak_resident_bytes / 2**20, "MiB"),
    ])


if __name__ == "__main__":
    main()
