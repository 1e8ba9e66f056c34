#!/usr/bin/env python3
"""The Python ADBC driver for Flight SQL: what its DB-API offers, and what it takes options for."""

import json
import urllib.parse
import warnings

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as flightsql
import datafusion
import datafusion.substrait
import pyarrow

from flight_check import (
    Check, check_values, equal, fails, holds, is_big_result, is_wire_schema, marker, read_target, restart_server,
    wait_until_idle,
)  # fmt: skip

target = read_target()
check = Check("adbc-python", f"adbc-driver-flightsql {adbc_driver_flightsql.__version__}")
HEADER = "adbc.flight.sql.authorization_header"
TLS = "adbc.flight.sql.client_option."
SCRATCH = "clients_adbc_python"


def connect(address, tls=False, **options):
    return flightsql.connect(f"grpc{'+tls' if tls else ''}://{address}", db_kwargs=options, autocommit=True)


def bearer(token):
    return {HEADER: f"Bearer {token}"}


def query(connection, sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


def works(address, **options):
    with connect(address, **options) as connection:
        equal(query(connection, "SELECT 1 AS one").to_pydict(), {"one": [1]})


def update(connection, sql):
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query(sql)
        return cursor.adbc_statement.execute_update()


def basic():
    works(target.plain, username=target.user, password=target.password)
    # Tools that know only user and password give the token as the password.
    works(target.plain, username="anybody", password=target.token)


def oidc():
    options = {"username": target.oidc_user, "password": target.oidc_password}
    works(target.plain, **options)
    works(target.tls, tls=True, **options, **certificates())


def refused():
    for options in ({}, bearer("wrong"), {"username": target.user, "password": "wrong"}):
        fails(lambda credentials=options: works(target.plain, **credentials), "unauthenticated")


def certificates():
    return {TLS + "tls_root_certs": read(target.ca)}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def tls():
    works(target.tls, tls=True, **bearer(target.token), **certificates())
    works(target.tls, tls=True, username=target.user, password=target.password, **certificates())
    fails(lambda: works(target.tls, tls=True, **bearer(target.token)), "certificate")


def mutual_tls():
    pair = {
        TLS + "mtls_cert_chain": read(target.client_certificate),
        TLS + "mtls_private_key": read(target.client_key),
    }
    works(target.mutual_tls, tls=True, **bearer(target.token), **certificates(), **pair)
    fails(lambda: works(target.mutual_tls, tls=True, **bearer(target.token), **certificates()))


def restarted():
    options = {"username": target.user, "password": target.password} | certificates()
    with connect(target.tls, tls=True, **options) as connection:
        equal(query(connection, "SELECT 1 AS one").num_rows, 1)
        restart_server()
        equal(query(connection, "SELECT 2 AS two").to_pydict(), {"two": [2]})


def server_info(connection):
    info = connection.adbc_get_info()
    equal(info["vendor_name"], "Pintail")
    return f"{info['vendor_name']} {info['vendor_version']}"


def objects(connection, **options):
    return connection.adbc_get_objects(**options).read_all().to_pylist()


def catalogs(connection):
    names = [catalog["catalog_name"] for catalog in objects(connection, depth="catalogs")]
    holds(names, target.catalog)
    return ", ".join(names)


def schemas(connection):
    found = objects(connection, depth="db_schemas")
    names = {(c["catalog_name"], s["db_schema_name"]) for c in found for s in c["catalog_db_schemas"] or []}
    holds(names, (target.catalog, "main"))


def tables_of(found):
    schemas = [schema for catalog in found for schema in catalog["catalog_db_schemas"] or []]
    return {table["table_name"]: table for schema in schemas for table in schema["db_schema_tables"] or []}


def tables(connection):
    found = tables_of(objects(connection, depth="tables"))
    holds(found, target.table)
    equal(found[target.table]["table_type"], "BASE TABLE", "table type")
    # Names are full of underscores; both the plain and the escaped form must find the table.
    for pattern in (target.table, target.table.replace("_", "\\_"), "hep\\_proto\\_1\\_c%"):
        some = objects(connection, depth="tables", table_name_filter=pattern, db_schema_filter="main")
        equal(set(tables_of(some)), {target.table}, f"tables like {pattern}")
    return f"{len(found)} tables"


def columns(connection):
    some = objects(connection, depth="columns", table_name_filter=target.table)
    found = tables_of(some)[target.table]["table_columns"]
    holds([column["column_name"] for column in found], "uuid", "timestamp", "session_id", "payload")
    schema = connection.adbc_get_table_schema(target.table)
    is_wire_schema(schema)
    equal(str(schema.field("timestamp").type).startswith("timestamp["), True, "timestamp is a timestamp")
    streamed = query(connection, f"SELECT * FROM {target.table} LIMIT 0").schema
    equal((schema.names, schema.types), (streamed.names, streamed.types), "columns")
    return f"{len(found)} columns"


def table_types(connection):
    holds(connection.adbc_get_table_types(), "BASE TABLE", "VIEW")


def rows(connection):
    equal(query(connection, f"SELECT count(*) AS n FROM {target.table}").to_pydict(), {"n": [target.rows]}, "rows")
    table = query(connection, f"SELECT * FROM {target.table}")
    equal(table.num_rows, target.rows, "fetched rows")
    is_wire_schema(table.schema)
    with connection.cursor() as cursor:
        parts, schema = cursor.adbc_execute_partitions("SELECT 1 AS one UNION ALL SELECT 2 ORDER BY one")
    equal((len(parts), schema.names), (1, ["one"]), "partitions")
    # The cursor that made the partition is closed; its rows are fetched by another one.
    with connection.cursor() as cursor:
        cursor.adbc_read_partition(parts[0])
        equal(cursor.fetch_arrow_table().to_pydict(), {"one": [1, 2]})


def empty(connection):
    with connection.cursor() as cursor:
        announced = cursor.adbc_execute_schema(target.query_empty)
        cursor.execute(target.query_empty)
        table = cursor.fetch_arrow_table()
    equal(table.num_rows, 0, "rows")
    equal((table.schema.names, table.schema.types), (announced.names, announced.types), "columns")
    is_wire_schema(table.schema)
    return f"{len(announced)} columns"


def every_type(connection):
    table = query(connection, target.query_types)
    is_wire_schema(table.schema)
    return check_values(table.to_pylist()[0])


def nulls(connection):
    row = query(connection, target.query_nulls).to_pylist()[0]
    equal({name for name, value in row.items() if value is not None}, set(), "columns with values")


def wide(connection):
    equal(len(query(connection, target.query_wide)["wide"][0].as_py()), target.wide_length, "length")


def errors(connection):
    fails(lambda: query(connection, "SELECT * FROM no_such_table"), "NOT_FOUND", "no_such_table")
    fails(lambda: query(connection, " "), "INVALID_ARGUMENT", "empty query")
    fails(lambda: query(connection, "SELECT 1; SELECT 2"), "INVALID_ARGUMENT")
    # A statement that fails while it runs: the error comes with the rows.
    fails(lambda: query(connection, "SELECT 1 / (value - 5) FROM generate_series(1, 10)"), "zero")
    equal(query(connection, "SELECT 1 AS one").num_rows, 1, "rows after errors")
    return fails(lambda: query(connection, "SELECT 1,\n  no_such_column"), "no_such_column", "line 2", "column 3")


def live(connection, name):
    return query(connection, target.query_live.replace("MARKER", name))["n"][0].as_py()


def cancel(connection):
    name = marker()
    with connection.cursor() as cursor:
        cursor.execute(target.query_slow.replace("MARKER", name))
        reader = cursor.fetch_record_batch()
        reader.read_next_batch()
        equal(live(connection, name), 1, "live queries before")
        cursor.adbc_cancel()

        def rest():
            for _ in reader:
                pass

        outcome = fails(rest, "cancel")
    wait_until_idle(lambda text: live(connection, text), name)
    # A reader that just leaves stops its query too.
    with connection.cursor() as cursor:
        cursor.execute(target.query_slow.replace("MARKER", name))
        cursor.fetch_record_batch().read_next_batch()
    wait_until_idle(lambda text: live(connection, text), name)
    return outcome


def prepared(connection):
    with connection.cursor() as cursor:
        schema = cursor.adbc_prepare("SELECT CAST(? AS BIGINT) AS i, CAST(? AS VARCHAR) AS t")
        equal([str(field.type) for field in schema], ["int64", "string"], "types of the parameters")
        for number in range(20):
            cursor.execute("SELECT CAST(? AS BIGINT) AS i, CAST(? AS VARCHAR) AS t", (number, str(number)))
            equal(cursor.fetchall(), [(number, str(number))])


def parameters(connection):
    sql = f"SELECT count(*) AS n FROM {target.table} WHERE src_port > ? AND session_id <> ?"
    equal(query(connection, sql, (0, "it's nobody"))["n"][0].as_py(), target.rows, "rows")
    sql = "SELECT CAST($1 AS DOUBLE) AS d, CAST($2 AS BOOLEAN) AS b, CAST($3 AS VARCHAR) AS t"
    equal(query(connection, sql, (1.5, True, None)).to_pylist(), [{"d": 1.5, "b": True, "t": None}])
    fails(lambda: query(connection, "SELECT CAST(? AS BIGINT)", ()), "parameter")


def parameter_rows(connection):
    batch = pyarrow.record_batch({"1": pyarrow.array([1, 2, None], pyarrow.int64())})
    equal(query(connection, "SELECT CAST(? AS BIGINT) AS i", batch)["i"].to_pylist(), [1, 2, None])


def ddl(connection):
    update(connection, f"CREATE TABLE {SCRATCH} (id BIGINT, name VARCHAR)")
    update(connection, f"ALTER TABLE {SCRATCH} ADD COLUMN value DOUBLE")
    update(connection, f"CREATE VIEW {SCRATCH}_view AS SELECT name FROM {SCRATCH}")
    equal(query(connection, f"SELECT * FROM {SCRATCH}_view").num_rows, 0)
    update(connection, f"DROP VIEW {SCRATCH}_view")
    update(connection, f"CREATE TABLE {SCRATCH}_copy AS SELECT 1 AS one")
    # What a person types: DDL through execute, whose rows nobody fetches, runs once.
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {SCRATCH}_copy")
    update(connection, f"CREATE SCHEMA {SCRATCH}_schema")
    update(connection, f"DROP SCHEMA {SCRATCH}_schema")
    columns = connection.adbc_get_table_schema(SCRATCH).names
    equal(columns, ["id", "name", "value"], "columns")


def update_counts(connection):
    insert = f"INSERT INTO {SCRATCH} VALUES (1, 'a', 1.5), (2, 'b', NULL), (3, NULL, 3.5)"
    equal(update(connection, insert), 3, "inserted")
    equal(update(connection, f"UPDATE {SCRATCH} SET value = 0 WHERE id > 1"), 2, "updated")
    equal(update(connection, f"DELETE FROM {SCRATCH} WHERE name IS NULL"), 1, "deleted")
    equal(query(connection, f"SELECT id FROM {SCRATCH} ORDER BY id")["id"].to_pylist(), [1, 2])


def batch(connection):
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {SCRATCH} VALUES (?, ?, ?)", [(n, f"name {n}", n / 2) for n in range(100, 200)])
        equal(cursor.rowcount, 100, "row count")
    sums = query(connection, f"SELECT count(*) AS n, sum(value) AS s FROM {SCRATCH} WHERE id >= 100").to_pylist()
    equal(sums, [{"n": 100, "s": 7475.0}])
    update(connection, f"DROP TABLE {SCRATCH}")


def ingest(connection):
    table = f"{SCRATCH}_ingest"
    data = pyarrow.table({"a": pyarrow.array([1, 2, 3], pyarrow.int64()), "b": ["x", "y", None]})

    def write(mode, **options):
        with connection.cursor() as cursor:
            return cursor.adbc_ingest(table, data, mode=mode, **options)

    def count(name=table):
        return query(connection, f"SELECT count(*) AS n FROM {name}")["n"][0].as_py()

    fails(lambda: write("append"), "NOT_FOUND")
    equal((write("create"), count()), (3, 3), "create")
    fails(lambda: write("create"), "ALREADY_EXISTS")
    equal((write("append"), count()), (3, 6), "append")
    equal((write("create_append"), count()), (3, 9), "create_append")
    equal((write("replace"), count()), (3, 3), "replace")
    equal((write("append", catalog_name=target.catalog, db_schema_name="main"), count()), (3, 6), "named")
    update(connection, f"DROP TABLE {table}")
    equal((write("create_append"), count()), (3, 3), "create_append of a new table")
    update(connection, f"DROP TABLE {table}")
    # A temporary table lasts as long as the session, which a Handshake makes.
    with connect(target.plain, username=target.user, password=target.password) as session:
        with session.cursor() as cursor:
            equal(cursor.adbc_ingest(f"{table}_t", data, mode="create", temporary=True), 3, "temporary")
        equal(query(session, f"SELECT count(*) AS n FROM {table}_t")["n"][0].as_py(), 3)
    fails(lambda: count(f"{table}_t"), f"{table}_t")


def telemetry(connection):
    for sql in (f"DELETE FROM {target.table}", f"DROP TABLE {target.table}", f"UPDATE {target.table} SET cid = 'x'"):
        fails(lambda: update(connection, sql), target.table)
    data = query(connection, f"SELECT * FROM {target.table} LIMIT 1")
    with connection.cursor() as cursor:
        return fails(lambda: cursor.adbc_ingest(target.table, data, mode="append"), target.table)


def read_only():
    with connect(target.read_only, **bearer(target.token)) as connection:
        equal(query(connection, "SELECT 1 AS one").num_rows, 1)
        fails(lambda: query(connection, "CREATE TABLE clients_refused (a BIGINT)"), "read-only")
        return fails(lambda: update(connection, "CREATE TABLE clients_refused (a BIGINT)"), "read-only")


def session_options():
    with connect(target.plain, username=target.user, password=target.password) as connection:
        equal((connection.adbc_current_catalog, connection.adbc_current_db_schema), (target.catalog, "main"))
        connection.adbc_current_db_schema = "system"
        equal(connection.adbc_current_db_schema, "system")
        equal(query(connection, "SELECT count(*) AS n FROM queries").num_rows, 1)
        connection.adbc_current_catalog = target.catalog
        connection.adbc_current_db_schema = "main"
        low = connection.adbc_connection
        low.set_options(**{"adbc.flight.sql.session.option.time_zone": "Europe/Berlin"})
        equal(low.get_option("adbc.flight.sql.session.option.time_zone"), "Europe/Berlin")
        low.set_options(**{"adbc.flight.sql.session.optionerase.time_zone": ""})
        options = json.loads(low.get_option("adbc.flight.sql.session.options"))
        equal(options["catalog"], target.catalog)
        wrong = {"adbc.flight.sql.session.option.no_such_option": "1"}
        return fails(lambda: low.set_options(**wrong), "no_such_option")


def substrait():
    """A plan that another engine made of a query on an empty table of the same columns."""
    with connect(target.plain, **bearer(target.token)) as connection:
        columns = connection.adbc_get_table_schema(target.table)
        context = datafusion.SessionContext()
        context.register_record_batches(target.table, [[pyarrow.RecordBatch.from_pylist([], schema=columns)]])
        sql = f"SELECT method, count(*) AS n FROM {target.table} WHERE src_port > 0 GROUP BY method ORDER BY method"
        plan = datafusion.substrait.Serde.serialize_bytes(sql, context)
        with connection.cursor() as cursor:
            cursor.execute(plan)
            by_plan = cursor.fetch_arrow_table()
            equal(by_plan.to_pydict(), query(connection, sql).to_pydict(), "rows of the plan")
            cursor.adbc_statement.set_substrait_plan(plan)
            reader, _ = cursor.adbc_statement.execute_query()
            unprepared = pyarrow.RecordBatchReader.from_stream(reader).read_all()
            equal(unprepared.to_pydict(), by_plan.to_pydict(), "rows of the plan, not prepared")
        equal(sum(by_plan["n"].to_pylist()), target.rows, "rows counted")
    return f"by datafusion {datafusion.__version__}"


def transactions():
    """They are not there, and the driver is told so instead of being left to believe."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        url = f"grpc://{target.plain}"
        with flightsql.connect(url, db_kwargs=bearer(target.token)) as connection:
            equal(query(connection, "SELECT 1 AS one").num_rows, 1)
    holds(" ".join(str(warning.message) for warning in caught), "Cannot disable autocommit")


def uri():
    """The form of the URI that names the transport."""
    parts = urllib.parse.urlsplit(f"//{target.plain}")
    with flightsql.connect(f"flightsql://{parts.netloc}?transport=tcp", db_kwargs=bearer(target.token), autocommit=True) as c:
        equal(query(c, "SELECT 1 AS one").num_rows, 1)


def run(connection):
    for name, step in {
        "server-info": server_info, "catalogs": catalogs, "schemas": schemas, "tables": tables, "columns": columns,
        "table-types": table_types, "query": rows, "empty": empty, "types": every_type, "nulls": nulls,
        "big": lambda c: is_big_result(query(c, target.query_big)), "wide": wide, "errors": errors, "cancel": cancel,
        "prepared": prepared, "parameters": parameters, "parameter-rows": parameter_rows, "ddl": ddl,
        "update-counts": update_counts, "batch": batch, "ingest": ingest, "telemetry": telemetry,
    }.items():  # fmt: skip
        check.feature(name, lambda: step(connection))


def token():
    works(target.plain, **bearer(target.token))
    uri()


check.feature("anonymous", lambda: works(target.open))
check.feature("token", token)
check.feature("basic", basic)
check.feature("oidc", oidc)
check.feature("oidc-token", lambda: works(target.plain, **bearer(target.oidc_token)))
check.feature("refused", refused)
check.feature("tls", tls)
check.feature("mutual-tls", mutual_tls)
check.feature("read-only", read_only)
check.feature("session-options", session_options)
check.feature("substrait", substrait)
check.feature("transactions", transactions)
with connect(target.plain, **bearer(target.token)) as shared:
    run(shared)
check.feature("restart", restarted)
