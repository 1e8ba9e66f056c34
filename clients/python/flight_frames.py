#!/usr/bin/env python3
"""pandas and polars, each through the Python ADBC driver, as their users call them."""

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as flightsql
import pandas
import polars

from flight_check import Check, equal, fails, read_target

target = read_target()
DRIVER = f"adbc-driver-flightsql {adbc_driver_flightsql.__version__}"


BASIC = {"username": target.user, "password": target.password}
OIDC = {"username": target.oidc_user, "password": target.oidc_password}


def connect(options, scheme="grpc", address=target.plain):
    return flightsql.connect(f"{scheme}://{address}", db_kwargs=options, autocommit=True)


def bearer(token):
    return {"adbc.flight.sql.authorization_header": f"Bearer {token}"}


def tls():
    with open(target.ca, encoding="utf-8") as file:
        return {"adbc.flight.sql.client_option.tls_root_certs": file.read()}


def drop(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {table}")


class Pandas:
    """read_sql and to_sql."""

    def __init__(self, connection):
        self.connection = connection

    def read(self, sql, **options):
        return pandas.read_sql(sql, self.connection, **options)

    def query(self):
        frame = self.read(f"SELECT session_id, timestamp, src_port FROM {target.table}", dtype_backend="pyarrow")
        equal(len(frame), target.rows, "rows")
        equal(str(frame.dtypes["timestamp"]).startswith("timestamp["), True, "timestamp is a timestamp")
        table = pandas.read_sql_table(target.table, self.connection, schema="main")
        equal(len(table), target.rows, "rows of the table")

    def empty(self):
        frame = self.read(target.query_empty)
        equal(len(frame), 0, "rows")
        return f"{len(frame.columns)} columns"

    def types(self):
        row = self.read(target.query_types).iloc[0]
        equal((row["int64"], row["text"], row["float64"]), (-9_000_000_000_000_000_000, "Grüße", 2.25))
        equal(str(row["timestamp"]), "2026-01-02 03:04:05.678901")
        return f"{len(row)} types"

    def nulls(self):
        equal(bool(self.read(target.query_nulls).isna().all(axis=None)), True, "all null")

    def big(self):
        equal(int(self.read(target.query_big)["n"].sum()), 499_999_500_000, "sum")

    def errors(self):
        return fails(lambda: self.read("SELECT no_such_column"), "no_such_column", "line 1, column 8")

    def ingest(self):
        frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
        table = "clients_pandas"
        equal(frame.to_sql(table, self.connection, index=False), 3, "created")
        fails(lambda: frame.to_sql(table, self.connection, index=False), "exists")
        equal(frame.to_sql(table, self.connection, index=False, if_exists="append"), 3, "appended")
        equal(frame.to_sql(table, self.connection, index=False, if_exists="replace"), 3, "replaced")
        equal(int(self.read(f"SELECT count(*) AS n FROM {table}")["n"][0]), 3)
        drop(self.connection, table)


class Polars:
    """read_database, read_database_uri and write_database."""

    def __init__(self, connection):
        self.connection = connection

    def read(self, sql, **options):
        return polars.read_database(sql, self.connection, **options)

    def query(self):
        frame = self.read(f"SELECT session_id, timestamp, src_port FROM {target.table}")
        equal(frame.height, target.rows, "rows")
        equal(isinstance(frame.schema["timestamp"], polars.Datetime), True, "timestamp is a timestamp")

    def anonymous(self):
        frame = polars.read_database_uri("SELECT 1 AS one", f"flightsql://{target.open}?transport=tcp", engine="adbc")
        equal(frame.to_dicts(), [{"one": 1}])

    def empty(self):
        frame = self.read(target.query_empty)
        equal(frame.height, 0, "rows")
        return f"{frame.width} columns"

    def types(self):
        # polars has no maps of its own and takes months only in intervals of whole units.
        row = self.read(target.query_types).row(0, named=True)
        equal((row["int64"], row["text"], row["float64"]), (-9_000_000_000_000_000_000, "Grüße", 2.25))
        equal((row["list"], row["struct"]), ([1, 2, None], {"a": 1, "b": "x"}))
        equal(str(row["timestamp"]), "2026-01-02 03:04:05.678901")
        return f"{len(row)} types"

    def nulls(self):
        row = self.read(target.query_nulls).row(0)
        equal([value for value in row if value is not None], [], "values")

    def big(self):
        equal(self.read(target.query_big)["n"].sum(), 499_999_500_000, "sum")

    def parameters(self):
        sql = "SELECT CAST(? AS BIGINT) AS i, CAST(? AS VARCHAR) AS t"
        frame = self.read(sql, execute_options={"parameters": (7, "seven")})
        equal(frame.rows(), [(7, "seven")])

    def errors(self):
        return fails(lambda: self.read("SELECT no_such_column"), "no_such_column", "line 1, column 8")

    def ingest(self):
        frame = polars.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
        table = "clients_polars"

        def write(what):
            return frame.write_database(table, self.connection, engine="adbc", if_table_exists=what)

        equal(write("fail"), 3, "created")
        fails(lambda: write("fail"), "exists")
        equal(write("append"), 3, "appended")
        equal(write("replace"), 3, "replaced")
        equal(self.read(f"SELECT count(*) AS n FROM {table}")["n"][0], 3)
        drop(self.connection, table)


for library, frames in ((pandas, Pandas), (polars, Polars)):
    check = Check(library.__name__, f"{library.__name__} {library.__version__}, {DRIVER}")

    def works(*where):
        with connect(*where) as connection:
            equal(len(frames(connection).read("SELECT 1 AS one")), 1, "rows")

    def refused():
        for options in ({}, bearer("wrong"), {**BASIC, "password": "wrong"}):
            fails(lambda credentials=options: works(credentials), "unauthenticated")

    check.feature("token", lambda: works(bearer(target.token)))
    check.feature("basic", lambda: works(BASIC))
    check.feature("oidc", lambda: works(OIDC))
    check.feature("oidc-token", lambda: works(bearer(target.oidc_token)))
    check.feature("refused", refused)
    check.feature("tls", lambda: works(BASIC | tls(), "grpc+tls", target.tls))
    with connect(BASIC) as shared:
        for name in ("anonymous", "query", "empty", "types", "nulls", "big", "parameters", "errors", "ingest"):
            if hasattr(frames, name):
                check.feature(name, getattr(frames(shared), name))
