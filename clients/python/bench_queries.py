#!/usr/bin/env python3
"""Twenty questions that people ask of telemetry, over Flight SQL beside official DuckDB on the same lake.

The server takes generated traffic of all kinds and commits it; DuckDB attaches the very same lake in this process. In
every round each question is asked of both in turn, and both must give the same rows. Floating-point values may differ
in their last digits.
"""

import contextlib
import dataclasses
import math
import pathlib

import pyarrow as pa

from bench_beside import attached, check_rows, in_turns
from bench_fetch import asking
from bench_peers import arrow_of
from bench_server import Server, arguments, at_most, figure, generate, report, scratch_folder

MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked; the words in braces are filled from the lake."""

    name: str
    sql: str
    # Rows with equal keys may come in any order; only of an ordered answer the order is compared.
    ordered: bool = False


QUESTIONS = [
    Question(
        "one call with its messages",
        "SELECT timestamp, method, response_code, payload FROM hep_proto_1_call WHERE session_id = '{call}'",
    ),
    Question(
        "one call without payload",
        "SELECT timestamp, src_ip, dst_ip, method, response_code FROM hep_proto_1_call WHERE session_id = '{call}'",
    ),
    Question(
        "newest 500",
        "SELECT timestamp, session_id, caller, callee, src_ip, dst_ip, src_port, dst_port, method, response_code, "
        "cseq_method, payload, data_extra FROM hep_proto_1_call ORDER BY timestamp DESC, uuid LIMIT 500",
        ordered=True,
    ),
    Question(
        "one number",
        "SELECT timestamp, session_id, callee, method, response_code FROM hep_proto_1_call WHERE caller = '{caller}'",
    ),
    Question(
        "one address in a window",
        "SELECT timestamp, session_id, method, response_code FROM hep_proto_1_call WHERE src_ip = '{address}' "
        "AND timestamp >= TIMESTAMP '{window_from}' AND timestamp < TIMESTAMP '{window_to}'",
    ),
    Question(
        "messages a minute by method",
        "SELECT date_trunc('minute', timestamp) AS minute, method, count(*) AS messages FROM hep_proto_1_call "
        "WHERE method IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2",
        ordered=True,
    ),
    Question(
        "failure ratio by prefix",
        "SELECT substr(callee, 1, 4) AS prefix, count(*) AS answers, "
        "avg(CASE WHEN response_code >= '400' THEN 1.0 ELSE 0.0 END) AS failed FROM hep_proto_1_call "
        "WHERE cseq_method = 'INVITE' AND response_code >= '200' GROUP BY 1",
    ),
    Question(
        "registration churn",
        "SELECT date_trunc('minute', timestamp) AS minute, count(*) AS messages, count(DISTINCT aor) AS users "
        "FROM hep_proto_1_registration GROUP BY 1 ORDER BY 1",
        ordered=True,
    ),
    Question(
        "RTCP loss percentiles from JSON",
        "SELECT node_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY lost) AS p50, "
        "percentile_cont(0.95) WITHIN GROUP (ORDER BY lost) AS p95, max(lost) AS worst FROM ("
        "SELECT node_id, CAST(json_extract_string(payload, '$.report_blocks[0].fraction_lost') AS DOUBLE) AS lost "
        "FROM hep_proto_5_default) AS reports GROUP BY 1",
    ),
    Question(
        "calls with their RTCP",
        "SELECT calls.response_code AS response_code, count(*) AS reports, count(DISTINCT calls.session_id) AS calls "
        "FROM hep_proto_1_call AS calls JOIN hep_proto_5_default AS reports ON reports.cid = calls.session_id "
        "WHERE calls.cseq_method = 'INVITE' AND calls.response_code >= '200' GROUP BY 1",
    ),
    Question(
        "distinct callers",
        "SELECT count(DISTINCT caller) AS callers FROM hep_proto_1_call",
    ),
    Question(
        "top talkers",
        "SELECT caller, count(*) AS calls FROM hep_proto_1_call WHERE method = 'INVITE' GROUP BY 1 "
        "ORDER BY 2 DESC, 1 LIMIT 20",
        ordered=True,
    ),
    Question(
        "payload LIKE",
        "SELECT count(*) AS messages, min(timestamp) AS first FROM hep_proto_1_call WHERE payload LIKE '%{needle}%'",
    ),
    Question(
        "set-up times",
        "SELECT date_trunc('minute', invited) AS minute, count(*) AS calls, avg(epoch_us(answered) - epoch_us(invited)) "
        "AS setup FROM (SELECT session_id, min(CASE WHEN method = 'INVITE' THEN timestamp END) AS invited, "
        "min(CASE WHEN response_code = '200' AND cseq_method = 'INVITE' THEN timestamp END) AS answered "
        "FROM hep_proto_1_call GROUP BY 1) AS calls WHERE answered IS NOT NULL AND invited IS NOT NULL GROUP BY 1 "
        "ORDER BY 1",
        ordered=True,
    ),
    Question(
        "gaps by window function",
        "SELECT src_ip, max(gap) AS longest FROM (SELECT src_ip, epoch_us(timestamp) - "
        "epoch_us(lag(timestamp) OVER (PARTITION BY src_ip ORDER BY timestamp)) AS gap FROM hep_proto_1_call) AS gaps "
        "GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 20",
        ordered=True,
    ),
    Question(
        "concurrent calls",
        "SELECT minute, max(running) AS most FROM (SELECT date_trunc('minute', timestamp) AS minute, sum(change) OVER "
        "(ORDER BY timestamp, uuid ROWS UNBOUNDED PRECEDING) AS running FROM (SELECT timestamp, uuid, "
        "CASE WHEN method = 'BYE' THEN -1 ELSE 1 END AS change FROM hep_proto_1_call WHERE method = 'BYE' OR "
        "(response_code = '200' AND cseq_method = 'INVITE')) AS changes) AS level GROUP BY 1 ORDER BY 1",
        ordered=True,
    ),
    Question(
        "answers by day",
        "SELECT date, response_code, count(*) AS answers FROM hep_proto_1_call WHERE response_code IS NOT NULL "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        ordered=True,
    ),
    Question(
        "longest calls",
        "SELECT session_id, min(caller) AS caller, epoch_us(max(timestamp)) - epoch_us(min(timestamp)) AS took "
        "FROM hep_proto_1_call GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 20",
        ordered=True,
    ),
    Question(
        "registered now",
        "SELECT count(*) AS registered FROM (SELECT aor, expires, row_number() OVER (PARTITION BY aor ORDER BY "
        "timestamp DESC, uuid) AS newest FROM hep_proto_1_registration WHERE expires IS NOT NULL) AS bindings "
        "WHERE newest = 1 AND CAST(expires AS INTEGER) > 0",
    ),
    Question(
        "agents from JSON",
        "SELECT json_extract_string(data_extra, '$.user_agent') AS agent, count(*) AS messages FROM hep_proto_1_call "
        "GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1",
        ordered=True,
    ),
]

# What the questions ask for, from the middle of the lake.
CHOICES = {
    "call": "SELECT session_id FROM hep_proto_1_call WHERE method = 'INVITE' ORDER BY timestamp LIMIT 1 OFFSET {middle}",
    "caller": "SELECT caller FROM hep_proto_1_call WHERE method = 'INVITE' ORDER BY timestamp LIMIT 1 OFFSET {middle}",
    "address": "SELECT src_ip FROM hep_proto_1_call WHERE method = 'INVITE' ORDER BY timestamp LIMIT 1 OFFSET {middle}",
    "window_from": "SELECT min(timestamp) + (max(timestamp) - min(timestamp)) / 2 FROM hep_proto_1_call",
    "window_to": "SELECT min(timestamp) + (max(timestamp) - min(timestamp)) / 2 + INTERVAL 1 MINUTE FROM hep_proto_1_call",
}


def rows_of(table: pa.Table, ordered: bool) -> list[tuple]:
    rows = [tuple(row.values()) for row in table.to_pylist()]
    return rows if ordered else sorted(rows, key=repr)


def same(left: object, right: object) -> bool:
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return math.isclose(left, right, rel_tol=1e-9)
    return left == right


def in_lake(options, folder: pathlib.Path) -> Server:
    """A server all of whose rows are in Parquet: it was stopped, which flushes, and started again."""
    with Server(options.binary, folder) as first:
        if generate(options.binary, first, "tcp", options.rows, 0).wait() != 0:
            raise SystemExit("the generator failed")
        first.settled("tcp", options.rows, limit_seconds=600)
        first.stop()
    return Server(options.binary, folder)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="the questions to ask, by a part of their names")
    options = parser.parse_args()
    questions = [q for q in QUESTIONS if not options.only or any(part in q.name for part in options.only)]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(options.folder))
        server = stack.enter_context(in_lake(options, folder))
        own = stack.enter_context(asking(server.flight_sql_url()))
        connection = stack.enter_context(attached(folder))

        def peer(sql: str) -> pa.Table:
            return arrow_of(connection.sql(sql))

        (calls,) = peer("SELECT count(*) FROM hep_proto_1_call WHERE method = 'INVITE'").to_pylist()[0].values()
        words = {
            name: str(peer(sql.format(middle=calls // 2)).to_pylist()[0].popitem()[1]) for name, sql in CHOICES.items()
        }
        words["needle"] = words["call"][:12]
        ordered = {question.name: question.ordered for question in questions}

        def check(name: str, *answers: pa.Table) -> None:
            check_rows(name, *(rows_of(answer, ordered[name]) for answer in answers), same)

        asked = {question.name: question.sql.format(**words) for question in questions}
        medians = in_turns(asked, own, peer, options.rounds, check)
        usage = server.stop()
    totals = [sum(column) for column in zip(*medians.values(), strict=True)]
    slowest = max(own / peer for own, peer in medians.values())
    report([
        at_most("all questions, ratio to DuckDB", totals[0] / totals[1], 0.8),
        at_most("the slowest question, ratio to DuckDB", slowest, 1.3),
        *[figure(f"{name}, ratio to DuckDB", own / peer) for name, (own, peer) in medians.items()],
        *[figure(f"{name}, median", own * 1e3, "ms") for name, (own, peer) in medians.items()],
        figure("rows", options.rows),
        figure("peak resident memory of the server", usage.peak_resident_bytes / MIB, "MiB"),
    ])


if __name__ == "__main__":
    main()
