#!/usr/bin/env python3
"""Drives the Flight SQL door through ADBC: connect, browse, query, zero rows, errors."""

import warnings

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow.compute

from flight_check import TABLE, Check, equal, fails, is_wire_schema

check = Check(__doc__)
# Transactions are reported as what they are: not there.
warnings.filterwarnings("ignore", message="Cannot disable autocommit")


def connect(**options):
    return flightsql.connect(check.url, db_kwargs=options)


def bearer():
    return {"adbc.flight.sql.authorization_header": f"Bearer {check.token}"} if check.token else {}


def query(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


def handshake():
    password = check.token or "any"
    for user in ("someone", ""):
        with connect(username=user, password=password) as connection:
            equal(query(connection, "SELECT 1 AS one").to_pydict(), {"one": [1]})


def refused():
    if not check.token:
        return "the listener takes everybody"

    def attempt(**options):
        with connect(**options) as connection:
            query(connection, "SELECT 1")

    header = "adbc.flight.sql.authorization_header"
    fails(lambda: attempt(), "unauthenticated")
    fails(lambda: attempt(**{header: "Bearer wrong"}), "unauthenticated")
    fails(lambda: attempt(username="someone", password="wrong"), "unauthenticated")


def values(connection):
    table = query(
        connection,
        "SELECT 1 AS i, 'ä' AS t, CAST(NULL AS VARCHAR) AS n, TRUE AS b, 1.5::double AS d,"
        " TIMESTAMP '2026-01-02 03:04:05' AS ts, DATE '2026-01-02' AS day, [1, 2] AS list",
    )
    is_wire_schema(table.schema)
    row = table.to_pylist()[0]
    equal((row["i"], row["t"], row["n"], row["b"], row["d"], row["list"]), (1, "ä", None, True, 1.5, [1, 2]))
    equal((str(row["ts"]), str(row["day"])), ("2026-01-02 03:04:05", "2026-01-02"))


def zero_rows(connection):
    sql = f"SELECT * FROM {TABLE} WHERE session_id = 'nobody has this'"
    with connection.cursor() as cursor:
        announced = cursor.adbc_execute_schema(sql)
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
    equal(table.num_rows, 0, "rows")
    equal(table.schema.names, announced.names, "columns")
    equal(table.schema.types, announced.types, "types")
    is_wire_schema(table.schema)
    return f"{len(announced)} columns"


def partitions(connection):
    with connection.cursor() as cursor:
        parts, schema = cursor.adbc_execute_partitions("SELECT 1 AS one UNION ALL SELECT 2 ORDER BY one")
    equal((len(parts), schema.names), (1, ["one"]), "partitions")
    # The cursor that made the partition is closed; its rows are fetched by another one.
    with connection.cursor() as cursor:
        cursor.adbc_read_partition(parts[0])
        equal(cursor.fetch_arrow_table().to_pydict(), {"one": [1, 2]})


def many_rows(connection):
    sql = "SELECT a.value * 1000 + b.value AS n, repeat('x', 20) AS t FROM generate_series(0, 299) a, generate_series(0, 999) b"
    table = query(connection, sql)
    equal(table.num_rows, 300_000, "rows")
    equal(pyarrow.compute.sum(table["n"]).as_py(), sum(range(300_000)), "sum")


def abandoned(connection):
    """A reader that leaves early; the connection goes on."""
    cursor = connection.cursor()
    cursor.execute("SELECT a.value FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
    reader = cursor.fetch_record_batch()
    reader.read_next_batch()
    reader.close()
    cursor.close()
    equal(query(connection, "SELECT 1 AS one").num_rows, 1)


def get_info(connection):
    info = connection.adbc_get_info()
    equal(info["vendor_name"], "Pintail")
    return {key: info[key] for key in ("vendor_name", "vendor_version", "vendor_arrow_version")}


def objects(connection, depth):
    catalogs = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
    if not catalogs:
        raise AssertionError("no catalogs")
    if depth == "catalogs":
        return [catalog["catalog_name"] for catalog in catalogs]
    schemas = [(c["catalog_name"], s["db_schema_name"]) for c in catalogs for s in c["catalog_db_schemas"] or []]
    if depth == "db_schemas":
        if not any(schema == "main" for _, schema in schemas):
            raise AssertionError(f"no schema main in {schemas}")
        return schemas
    tables = [t for c in catalogs for s in c["catalog_db_schemas"] or [] for t in s["db_schema_tables"] or []]
    found = [table for table in tables if table["table_name"] == TABLE]
    if not found:
        raise AssertionError(f"no table {TABLE} in {[table['table_name'] for table in tables]}")
    equal(found[0]["table_type"], "BASE TABLE", "table type")
    if depth == "columns":
        columns = [column["column_name"] for column in found[0]["table_columns"]]
        for name in ("uuid", "timestamp", "session_id", "payload"):
            if name not in columns:
                raise AssertionError(f"no column {name} in {columns}")
    return f"{len(tables)} tables"


def filtered_objects(connection):
    """Names are full of underscores; both the plain and the escaped form must find the table."""
    for pattern in (TABLE, TABLE.replace("_", "\\_"), "hep\\_proto\\_1\\_c%"):
        reader = connection.adbc_get_objects(depth="tables", table_name_filter=pattern, db_schema_filter="main")
        names = {
            table["table_name"]
            for catalog in reader.read_all().to_pylist()
            for schema in catalog["catalog_db_schemas"] or []
            for table in schema["db_schema_tables"] or []
        }
        equal(names, {TABLE}, f"tables like {pattern}")


def table_schema(connection):
    schema = connection.adbc_get_table_schema(TABLE)
    is_wire_schema(schema)
    equal(str(schema.field("timestamp").type).startswith("timestamp["), True, "timestamp is a timestamp")
    streamed = query(connection, f"SELECT * FROM {TABLE} LIMIT 0").schema
    equal(schema.names, streamed.names, "columns")
    equal(schema.types, streamed.types, "types")


def table_types(connection):
    equal(sorted(connection.adbc_get_table_types()), ["BASE TABLE", "SYSTEM TABLE", "VIEW"])


def errors(connection):
    messages = [
        fails(lambda: query(connection, "SELECT * FROM no_such_table"), "no_such_table"),
        fails(lambda: query(connection, "SELEC 1"), "INVALID_ARGUMENT"),
        fails(lambda: query(connection, " "), "empty query"),
        fails(lambda: query(connection, "SELECT 1; SELECT 2"), "INVALID_ARGUMENT"),
    ]
    for message in messages:
        if "DecodeError" in message or "Context(" in message:
            raise AssertionError(f"a debug text reached the client: {message}")
    # A statement that fails while it runs: the error comes with the rows.
    fails(lambda: query(connection, "SELECT 1 / (value - 5) FROM generate_series(1, 10)"), "zero")
    equal(query(connection, "SELECT 1 AS one").num_rows, 1, "rows after errors")


def counted(connection):
    if check.rows is None:
        return "not asked for"
    equal(query(connection, f"SELECT count(*) AS n FROM {TABLE}").to_pydict(), {"n": [check.rows]}, "rows")
    table = query(connection, f"SELECT * FROM {TABLE}")
    equal(table.num_rows, check.rows, "fetched rows")
    is_wire_schema(table.schema)


def is_closed(connection):
    connection.close()
    fails(lambda: query(connection, "SELECT 1"))


def run():
    check.step("handshake with user and password", handshake)
    check.step("refused without valid credentials", refused)
    connection = connect(**bearer())
    check.step("values", lambda: values(connection))
    check.step("zero rows", lambda: zero_rows(connection))
    check.step("partitions", lambda: partitions(connection))
    check.step("many rows", lambda: many_rows(connection))
    check.step("abandoned result", lambda: abandoned(connection))
    check.step("get_info", lambda: get_info(connection))
    for depth in ("catalogs", "db_schemas", "tables", "columns"):
        check.step(f"get_objects {depth}", lambda: objects(connection, depth))
    check.step("get_objects with patterns", lambda: filtered_objects(connection))
    check.step("get_table_schema", lambda: table_schema(connection))
    check.step("get_table_types", lambda: table_types(connection))
    check.step("errors", lambda: errors(connection))
    check.step("rows of the lake", lambda: counted(connection))
    check.step("close", lambda: is_closed(connection))


print(f"adbc-driver-flightsql {adbc_driver_flightsql.__version__}, manager {adbc_driver_manager.__version__}")
check.step("all", run)
check.finish()
