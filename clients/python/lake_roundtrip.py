#!/usr/bin/env python3
"""Official DuckDB on a lake: reads and writes it, one step a call, and prints what it sees as JSON.

Usage: lake_roundtrip.py CATALOG.sqlite STEP [ARGUMENT]...

Each call is a process of its own, as another program beside Pintail is. Tables have the columns
id, date, timestamp, method, mos, data_extra (and what `add-column` added).

Steps:
  make DATA_PATH         a new lake made by DuckDB, with a table `calls` like ours and a few inlined rows
  count                  rows, sum of ids and a hash of every table, at the head
  history                the row count of `calls` at every snapshot
  insert FIRST COUNT     rows into `calls`; few of them are inlined
  delete FIRST COUNT     rows with these ids
  update ID METHOD       one row
  add-column NAME        a column with a default
  create NAME            a table of DuckDB's own, with some rows
  kinds                  a table `kinds` with inlined rows of many types, one column renamed afterwards
  flush                  inlined rows into files
  merge                  adjacent files into one
  rewrite                files with deleted rows
  expire                 every snapshot but the newest
  cleanup                files that no snapshot needs
  options                the lake's options, tables and files, through DuckDB's own functions
  pruned DATE            how many files a query of one day reads
  sql STATEMENT          any statement
"""
import json
import re
import sys

import duckdb
from duckdb_extensions import import_extension

ROW = """{i}, CAST(TIMESTAMP '2026-01-01' + INTERVAL ({i}) HOUR AS DATE), TIMESTAMP '2026-01-01' + INTERVAL ({i}) HOUR,
         ['INVITE', 'BYE'][1 + ({i}) % 2], CASE WHEN ({i}) % 3 = 0 THEN NULL ELSE ({i}) / 2.0 END,
         '{{"id":' || ({i}) || '}}'"""
COLUMNS = "id, date, timestamp, method, mos, data_extra"


def attach(catalog: str, options: str = "") -> duckdb.DuckDBPyConnection:
    for name in ("sqlite_scanner", "ducklake"):
        import_extension(name)
    connection = duckdb.connect()
    connection.execute("LOAD sqlite_scanner; LOAD ducklake; SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
    connection.execute(f"ATTACH 'ducklake:sqlite:{catalog}' AS lake {options}")
    return connection


def count(connection: duckdb.DuckDBPyConnection) -> dict:
    tables = connection.sql(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'lake' ORDER BY 1, 2").fetchall()
    counted = {}
    for schema, table in tables:
        name = f'lake."{schema}"."{table}"'
        columns = [row[0] for row in connection.sql(f"DESCRIBE {name}").fetchall()]
        total = "coalesce(sum(id), 0)::BIGINT" if "id" in columns else "0"
        rows, total = connection.sql(f"SELECT count(*), {total} FROM {name}").fetchone()
        # A second look at every value: an aggregate over all columns of all rows.
        digest = connection.sql(f"SELECT coalesce(bit_xor(hash(t)), 0)::VARCHAR FROM {name} t").fetchone()[0]
        counted[f"{schema}.{table}"] = {"rows": rows, "sum": total, "columns": columns, "digest": digest}
    return counted


def run(connection: duckdb.DuckDBPyConnection, step: str, arguments: list[str]):
    if step == "count":
        return count(connection)
    if step == "history":
        seen = {}
        for (snapshot,) in connection.sql("SELECT snapshot_id FROM ducklake_snapshots('lake') ORDER BY 1").fetchall():
            try:
                rows = connection.sql(f"SELECT count(*) FROM lake.main.calls AT (VERSION => {snapshot})").fetchone()[0]
            except duckdb.CatalogException:  # before the table was made
                rows = None
            seen[snapshot] = rows
        return seen
    if step == "insert":
        first, rows = int(arguments[0]), int(arguments[1])
        values = ROW.format(i=f"{first} + i")
        return connection.execute(
            f"INSERT INTO lake.main.calls ({COLUMNS}) SELECT {values} FROM range({rows}) t(i)").fetchone()[0]
    if step == "delete":
        first, rows = int(arguments[0]), int(arguments[1])
        return connection.execute(
            f"DELETE FROM lake.main.calls WHERE id >= {first} AND id < {first + rows}").fetchone()[0]
    if step == "update":
        return connection.execute("UPDATE lake.main.calls SET method = ? WHERE id = ?",
                                  [arguments[1], int(arguments[0])]).fetchone()[0]
    if step == "add-column":
        connection.execute(f"ALTER TABLE lake.main.calls ADD COLUMN {arguments[0]} VARCHAR DEFAULT 'dflt'")
        return None
    if step == "create":
        name = arguments[0]
        connection.execute(f"""CREATE TABLE lake.main.{name}(id BIGINT, happened TIMESTAMPTZ, ok BOOLEAN, price DECIMAL(18, 3),
            tags VARCHAR[], attributes MAP(VARCHAR, VARCHAR), place STRUCT(x INTEGER, y VARCHAR), raw BLOB, key UUID)""")
        connection.execute(f"""INSERT INTO lake.main.{name} SELECT i, TIMESTAMPTZ '2026-01-01 00:00:00+00', i % 2 = 0, i / 4.0,
            ['a', 'b'], MAP {{'k': 'v'}}, {{'x': i, 'y': 'z'}}, ('r' || i)::BLOB, uuid() FROM range(100) t(i)""")
        return None
    if step == "kinds":
        connection.execute("""CREATE TABLE lake.main.kinds(id BIGINT, small UTINYINT, big UBIGINT, half FLOAT, whole DOUBLE,
            price DECIMAL(18, 3), text VARCHAR, raw BLOB, day DATE, clock TIME, moment TIMESTAMP, zoned TIMESTAMPTZ,
            key UUID, ok BOOLEAN, list INTEGER[], place STRUCT(x INTEGER, y VARCHAR))""")
        connection.execute("""INSERT INTO lake.main.kinds VALUES (1, 7, 18446744073709551615, 1.5, 'inf', 1.25, 'x',
            '\\x00\\x01'::BLOB, '2026-01-01', '01:02:03', '2026-01-01 00:00:00.5', '2026-01-01 00:00:00+00',
            '00000000-0000-0000-0000-000000000001', true, [1, 2], {'x': 1, 'y': 'z'})""")
        connection.execute("INSERT INTO lake.main.kinds(id) VALUES (2)")
        connection.execute("ALTER TABLE lake.main.kinds RENAME COLUMN text TO words")
        connection.execute("INSERT INTO lake.main.kinds(id, words) VALUES (3, 'y')")
        return None
    if step == "flush":
        return connection.execute("CALL ducklake_flush_inlined_data('lake')").fetchall()
    if step == "merge":
        return len(connection.execute("CALL ducklake_merge_adjacent_files('lake')").fetchall())
    if step == "rewrite":
        connection.execute("CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)").fetchall()
        return None
    if step == "expire":
        return len(connection.execute("CALL ducklake_expire_snapshots('lake', older_than => now())").fetchall())
    if step == "cleanup":
        return len(connection.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)").fetchall())
    if step == "options":
        return {
            "options": len(connection.sql("FROM ducklake_options('lake')").fetchall()),
            "tables": sorted(row[0] for row in connection.sql(
                "SELECT table_name FROM ducklake_table_info('lake')").fetchall()),
            "files": len(connection.sql("FROM ducklake_list_files('lake', 'calls')").fetchall()),
            "views": sorted(row[0] for row in connection.sql(
                "SELECT view_name FROM duckdb_views() WHERE database_name = 'lake' AND NOT internal").fetchall()),
        }
    if step == "sql":
        return connection.execute(arguments[0]).fetchall()
    if step == "pruned":
        plan = connection.sql(
            f"EXPLAIN ANALYZE SELECT count(*) FROM lake.main.calls WHERE date = DATE '{arguments[0]}' AND id >= 0"
        ).fetchall()[0][1]
        return int(re.search(r"Total Files Read:\s*(\d+)", plan).group(1))
    raise SystemExit(f"unknown step {step}\n{__doc__}")


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    catalog, step, *arguments = sys.argv[1:]
    if step == "make":
        connection = attach(catalog, f"(DATA_PATH '{arguments[0]}')")
        connection.execute("""CREATE TABLE lake.main.calls(id BIGINT, date DATE, timestamp TIMESTAMP, method VARCHAR,
            mos DOUBLE, data_extra JSON)""")
        connection.execute("ALTER TABLE lake.main.calls SET PARTITIONED BY (date)")
        run(connection, "insert", ["0", "48"])
        run(connection, "insert", ["48", "3"])
        result = count(connection)
    elif step in ("count", "history", "options", "pruned"):
        connection = attach(catalog, "(READ_ONLY)")
        result = run(connection, step, arguments)
    else:
        connection = attach(catalog)
        result = run(connection, step, arguments)
    connection.execute("DETACH lake")
    print(json.dumps(result, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
