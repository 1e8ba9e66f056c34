#!/usr/bin/env python3
"""flightsql-dbapi: its client of Flight SQL, its DB-API, and its dialect of SQLAlchemy."""

import importlib.metadata

import flightsql
import flightsql.sqlalchemy  # registers the dialect
import sqlalchemy
from flightsql import FlightSQLClient
from flightsql.client import TableRef

from flight_check import (
    Check, check_values, equal, fails, holds, is_big_result, is_wire_schema, marker, read_target, restart_server,
    wait_until_idle,
)  # fmt: skip

target = read_target()
VERSION = f"flightsql-dbapi {importlib.metadata.version('flightsql-dbapi')}"
check = Check("flightsql-dbapi", VERSION)
SCRATCH = "clients_dbapi"


def connect(address, insecure=True, **options):
    host, port = address.rsplit(":", 1)
    return FlightSQLClient(host=host, port=int(port), insecure=insecure, **options)


def read(client, info):
    equal(len(info.endpoints), 1, "endpoints")
    return client.do_get(info.endpoints[0].ticket).read_all()


def query(client, sql):
    info = client.execute(sql)
    table = read(client, info)
    equal(table.schema.types, info.schema.types, "types of the stream and of FlightInfo")
    equal([field.nullable for field in table.schema], [field.nullable for field in info.schema], "nullability")
    return table


def works(client):
    equal(query(client, "SELECT 1 AS one").to_pydict(), {"one": [1]})


def basic():
    works(connect(target.plain, user=target.user, password=target.password))
    works(connect(target.plain, user="anybody", password=target.token))


def refused():
    fails(lambda: works(connect(target.plain)), "unauthenticated")
    fails(lambda: works(connect(target.plain, token="wrong")), "unauthenticated")
    fails(lambda: works(connect(target.plain, user=target.user, password="wrong")), "unauthenticated")


def certificate():
    with open(target.ca, "rb") as file:
        return file.read()


def tls():
    works(connect(target.tls, insecure=False, token=target.token, tls_root_certs=certificate()))
    fails(lambda: works(connect(target.tls, insecure=False, token=target.token)))


def mutual_tls():
    with open(target.client_certificate, "rb") as chain, open(target.client_key, "rb") as key:
        pair = {"cert_chain": chain.read(), "private_key": key.read()}
    options = {"insecure": False, "token": target.token, "tls_root_certs": certificate()}
    works(connect(target.mutual_tls, **options, **pair))
    fails(lambda: works(connect(target.mutual_tls, **options)))


def restarted():
    options = {"insecure": False, "tls_root_certs": certificate()}
    client = connect(target.tls, user=target.user, password=target.password, **options)
    works(client)
    restart_server()
    works(client)


def server_info(client):
    for ids in ([0, 2, 3, 504], []):
        values = {row["info_name"]: row["value"] for row in read(client, client.get_sql_info(ids)).to_pylist()}
        equal((values[0], values[504]), ("Pintail", '"'), "facts")
    if len(values) < 80:
        raise AssertionError(f"only {len(values)} facts")
    return f"{len(values)} facts"


def catalogs(client):
    holds(read(client, client.get_catalogs())["catalog_name"].to_pylist(), target.catalog)


def schemas(client):
    rows = read(client, client.get_db_schemas(catalog=target.catalog)).to_pylist()
    holds([row["db_schema_name"] for row in rows], "main")


def tables(client):
    rows = read(client, client.get_tables(table_types=["BASE TABLE"])).to_pylist()
    holds([row["table_name"] for row in rows], target.table)
    return f"{len(rows)} tables"


def columns(client):
    rows = read(client, client.get_tables(table_name_filter_pattern=target.table, include_schema=True))
    equal(rows.schema.names[-1], "table_schema", "last column")
    equal(rows["table_schema"][0].as_py()[:4], b"\xff\xff\xff\xff", "start of the encapsulated schema")


def table_types(client):
    holds(read(client, client.get_table_types())["table_type"].to_pylist(), "BASE TABLE", "VIEW")


def type_info(client):
    rows = read(client, client.get_xdbc_type_info(None))
    equal(rows.num_columns, 19, "columns")
    equal(read(client, client.get_xdbc_type_info(12)).num_rows >= 1, True, "a type for VARCHAR")
    return f"{rows.num_rows} types"


def keys(client):
    one = TableRef(catalog=target.catalog, db_schema="main", table=target.table)
    for info in (
        client.get_primary_keys(one),
        client.get_exported_keys(one),
        client.get_imported_keys(one),
        client.get_cross_reference(one, one),
    ):
        equal(read(client, info).num_rows, 0, "keys")


def rows(client):
    equal(query(client, f"SELECT * FROM {target.table}").num_rows, target.rows, "rows")
    # A ticket can be fetched twice; each time is a query of its own.
    info = client.execute("SELECT 7 AS seven")
    for _ in range(2):
        equal(read(client, info).to_pydict(), {"seven": [7]})


def empty(client):
    table = query(client, target.query_empty)
    equal(table.num_rows, 0, "rows")
    is_wire_schema(table.schema)


def every_type(client):
    table = query(client, target.query_types)
    is_wire_schema(table.schema)
    return check_values(table.to_pylist()[0])


def nulls(client):
    row = query(client, target.query_nulls).to_pylist()[0]
    equal({name for name, value in row.items() if value is not None}, set(), "columns with values")


def wide(client):
    equal(len(query(client, target.query_wide)["wide"][0].as_py()), target.wide_length, "length")


def errors(client):
    fails(lambda: query(client, ""), "empty query")
    fails(lambda: query(client, "SELECT * FROM no_such_table"), "no_such_table")
    return fails(lambda: query(client, "SELECT 1,\n  no_such_column"), "no_such_column", "line 2", "column 3")


def cancel(client):
    """It has no call for it: a reader that is let go stops its query."""

    def live(name):
        return query(client, target.query_live.replace("MARKER", name))["n"][0].as_py()

    name = marker()
    info = client.execute(target.query_slow.replace("MARKER", name))
    reader = client.do_get(info.endpoints[0].ticket)
    reader.read_chunk()
    equal(live(name), 1, "live queries before")
    reader.cancel()
    wait_until_idle(live, name)


def prepared(client):
    with client.prepare("SELECT 5 AS five") as statement:
        for _ in range(3):
            equal(read(client, statement.execute(None)).to_pydict(), {"five": [5]})


def parameters(client):
    """The DB-API binds each value as a dense union, which only this client does."""
    cursor = flightsql.connect(client).cursor()
    cursor.execute("SELECT CAST(? AS BIGINT) AS i, CAST(? AS VARCHAR) AS t", (7, "it's seven"))
    equal([tuple(row) for row in cursor.fetchall()], [(7, "it's seven")])


def ddl(client):
    client.execute_update(f"CREATE TABLE {SCRATCH} (id BIGINT, name VARCHAR)")
    cursor = flightsql.connect(client).cursor()
    cursor.execute(f"CREATE TABLE {SCRATCH}_copy AS SELECT 1 AS one")
    cursor.execute(f"DROP TABLE {SCRATCH}_copy")


def update_counts(client):
    equal(client.execute_update(f"INSERT INTO {SCRATCH} VALUES (1, 'a'), (2, 'b')"), 2, "inserted")
    equal(client.execute_update(f"UPDATE {SCRATCH} SET name = 'c' WHERE id = 2"), 1, "updated")
    equal(client.execute_update(f"DELETE FROM {SCRATCH}"), 2, "deleted")
    client.execute_update(f"DROP TABLE {SCRATCH}")


def telemetry(client):
    return fails(lambda: client.execute_update(f"DELETE FROM {target.table}"), target.table)


def read_only():
    client = connect(target.read_only, token=target.token)
    works(client)
    return fails(lambda: client.execute_update("CREATE TABLE clients_refused (a BIGINT)"), "read-only")


def flight_sql():
    check.feature("anonymous", lambda: works(connect(target.open)))
    check.feature("token", lambda: works(connect(target.plain, token=target.token)))
    check.feature("basic", basic)
    oidc = {"user": target.oidc_user, "password": target.oidc_password}
    check.feature("oidc", lambda: works(connect(target.plain, **oidc)))
    check.feature("oidc-token", lambda: works(connect(target.plain, token=target.oidc_token)))
    check.feature("refused", refused)
    check.feature("tls", tls)
    check.feature("mutual-tls", mutual_tls)
    check.feature("read-only", read_only)
    client = connect(target.plain, user=target.user, password=target.password)
    for name, step in {
        "server-info": server_info, "catalogs": catalogs, "schemas": schemas, "tables": tables, "columns": columns,
        "table-types": table_types, "type-info": type_info, "keys": keys, "query": rows, "empty": empty,
        "types": every_type, "nulls": nulls, "big": lambda c: is_big_result(query(c, target.query_big)),
        "wide": wide, "errors": errors, "cancel": cancel, "prepared": prepared, "parameters": parameters, "ddl": ddl,
        "update-counts": update_counts, "telemetry": telemetry,
    }.items():  # fmt: skip
        check.feature(name, lambda: step(client))
    check.feature("restart", restarted)


def engine(address, credentials="", **options):
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return sqlalchemy.create_engine(f"datafusion+flightsql://{credentials}{address}?{query}")


class Dialect:
    """What SQLAlchemy's users do: connect by URL, inspect, and query with bound values."""

    check = Check("sqlalchemy", f"SQLAlchemy {sqlalchemy.__version__}, {VERSION}")

    def __init__(self):
        self.engine = engine(target.plain, f"{target.user}:{target.password}@", insecure="True")
        self.table = sqlalchemy.Table(target.table, sqlalchemy.MetaData(), sqlalchemy.Column("session_id"))

    @staticmethod
    def works(address, credentials="", **options):
        with engine(address, credentials, **options).connect() as connection:
            equal(connection.execute(sqlalchemy.text("SELECT 1 AS one")).fetchall(), [(1,)])

    def schemas(self):
        holds(sqlalchemy.inspect(self.engine).get_schema_names(), "main")

    def tables(self):
        holds(sqlalchemy.inspect(self.engine).get_table_names(schema="main"), target.table)

    def columns(self):
        columns = {c["name"]: c for c in sqlalchemy.inspect(self.engine).get_columns(target.table, schema="main")}
        holds(columns, "uuid", "timestamp", "session_id", "payload")
        equal(isinstance(columns["timestamp"]["type"], sqlalchemy.types.DateTime), True, "timestamp is a timestamp")

    def query(self):
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(self.table)
        with self.engine.connect() as connection:
            equal(connection.execute(count).scalar(), target.rows, "rows")

    def empty(self):
        nobody = sqlalchemy.select(self.table).where(self.table.c.session_id == "it's nobody")
        with self.engine.connect() as connection:
            equal(connection.execute(nobody).fetchall(), [], "rows")

    def parameters(self):
        """With prepared statements switched on the dialect binds values instead of writing them into the text."""
        options = {"insecure": "True", "feature-sqlalchemy-prepared-statements": "on"}
        binding = engine(target.plain, f"{target.user}:{target.password}@", **options)
        some = sqlalchemy.select(sqlalchemy.func.count()).where(self.table.c.session_id != "it's nobody")
        with binding.connect() as connection:
            equal(connection.execute(some).scalar(), target.rows, "rows")

    def errors(self):
        def wrong():
            with self.engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT no_such_column"))

        return fails(wrong, "no_such_column", "line 1, column 8")

    def run(self):
        user = f"{target.user}:{target.password}@"
        self.check.feature("token", lambda: self.works(target.plain, insecure="True", token=target.token))
        self.check.feature("basic", lambda: self.works(target.plain, user, insecure="True"))
        oidc = f"{target.oidc_user}:{target.oidc_password}@"
        self.check.feature("oidc", lambda: self.works(target.plain, oidc, insecure="True"))
        self.check.feature("oidc-token", lambda: self.works(target.plain, insecure="True", token=target.oidc_token))
        unverified = {"disable_server_verification": "True"}
        self.check.feature("tls", lambda: self.works(target.tls, user, **unverified))
        for name in ("schemas", "tables", "columns", "query", "empty", "parameters", "errors"):
            self.check.feature(name, getattr(self, name))


flight_sql()
Dialect().run()
