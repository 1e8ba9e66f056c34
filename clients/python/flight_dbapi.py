#!/usr/bin/env python3
"""Drives the Flight SQL door through flightsql-dbapi: the two calls that Grafana makes per query, and SQLAlchemy's."""

import flightsql
from flightsql import FlightSQLClient

from flight_check import TABLE, Check, equal, fails, is_wire_schema

check = Check(__doc__)
host, port = check.host_and_port


def connect(token=None):
    return FlightSQLClient(host=host, port=port, insecure=True, token=token, metadata={"database": "main"})


def query(client, sql):
    info = client.execute(sql)
    equal(len(info.endpoints), 1, "endpoints")
    table = client.do_get(info.endpoints[0].ticket).read_all()
    equal(table.schema.types, info.schema.types, "types of the stream and of FlightInfo")
    equal([field.nullable for field in table.schema], [field.nullable for field in info.schema], "nullability")
    return table


def read(client, info):
    return client.do_get(info.endpoints[0].ticket).read_all()


def select(client):
    equal(query(client, "select 1").num_rows, 1, "rows")
    table = query(client, f'SELECT * FROM "{TABLE}" WHERE "session_id" = \'nobody has this\'')
    equal(table.num_rows, 0, "rows")
    is_wire_schema(table.schema)


def ticket_again(client):
    """A ticket can be fetched twice; each time is a query of its own."""
    info = client.execute("SELECT 7 AS seven")
    for _ in range(2):
        equal(read(client, info).to_pydict(), {"seven": [7]})


def browse(client):
    tables = read(client, client.get_tables(table_types=["BASE TABLE"])).to_pylist()
    if TABLE not in {table["table_name"] for table in tables}:
        raise AssertionError(f"no {TABLE} among {tables}")
    schema = read(client, client.get_tables(table_name_filter_pattern=TABLE, include_schema=True))
    equal(schema.schema.names[-1], "table_schema", "last column")
    equal(schema["table_schema"][0].as_py()[:4], b"\xff\xff\xff\xff", "start of the encapsulated schema")
    read(client, client.get_catalogs())
    read(client, client.get_db_schemas())
    equal(read(client, client.get_table_types()).num_rows, 3, "table types")


def sql_info(client):
    for ids in ([0, 2, 3, 504], []):
        rows = read(client, client.get_sql_info(ids)).to_pylist()
        values = {row["info_name"]: row["value"] for row in rows}
        equal((values[0], values[3], values[504]), ("Pintail", True, '"'), "facts")
    if len(values) < 80:
        raise AssertionError(f"only {len(values)} facts")


def dbapi(client):
    connection = flightsql.connect(client)
    cursor = connection.cursor()
    cursor.execute("SELECT 1 AS one, 'x' AS letter")
    equal([tuple(row) for row in cursor.fetchall()], [(1, "x")])
    cursor.close()


def refused():
    if not check.token:
        return "the listener takes everybody"
    fails(lambda: query(connect(), "SELECT 1"), "credentials")
    fails(lambda: query(connect("wrong"), "SELECT 1"), "credentials")


def run():
    client = connect(check.token)
    check.step("select", lambda: select(client))
    check.step("a ticket twice", lambda: ticket_again(client))
    check.step("browse", lambda: browse(client))
    check.step("SqlInfo", lambda: sql_info(client))
    check.step("DB-API", lambda: dbapi(client))
    check.step("empty query", lambda: fails(lambda: query(client, ""), "empty query"))
    check.step("refused without valid credentials", refused)


print("flightsql-dbapi 0.2.2")
check.step("all", run)
check.finish()
