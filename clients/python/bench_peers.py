"""The peers of the benchmarks: roapi and a plain pyarrow Flight server with rows in memory, and DuckDB in process."""

import http.client
import pathlib
import socket
import subprocess
import sys
import time

import duckdb
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet
from duckdb_extensions import import_extension

START_LIMIT_SECONDS = 120


def free_port() -> int:
    """A port that was free a moment ago; for programs that cannot tell which one they took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def duckdb_with_ducklake() -> duckdb.DuckDBPyConnection:
    """Official DuckDB in this process, able to attach lakes with a catalog in SQLite."""
    for name in ("sqlite_scanner", "ducklake"):
        import_extension(name)
    connection = duckdb.connect()
    connection.execute("LOAD sqlite_scanner; LOAD ducklake")
    return connection


def arrow_of(relation: duckdb.DuckDBPyRelation, batch_rows: int = 1_000_000) -> pa.Table:
    """All rows of a query, in batches of so many at most."""
    result = relation.arrow(batch_rows)
    return result if isinstance(result, pa.Table) else result.read_all()


class Roapi:
    """roapi serving one Parquet file as table `t`, loaded at its start."""

    def __init__(self, file: pathlib.Path):
        program = pathlib.Path(sys.executable).with_name("roapi")
        http_port, postgres_port, flight_port = free_port(), free_port(), free_port()
        self.url = f"grpc://127.0.0.1:{flight_port}"
        self.process = subprocess.Popen(
            [
                str(program),
                "--addr-http", f"127.0.0.1:{http_port}",
                "--addr-postgres", f"127.0.0.1:{postgres_port}",
                "--addr-flight-sql", f"127.0.0.1:{flight_port}",
                "-t", f"t={file}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        limit = time.monotonic() + START_LIMIT_SECONDS
        while not self._answers(http_port) or not self._accepts(flight_port):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.process.kill()
                raise RuntimeError("roapi did not start")
            time.sleep(0.1)

    @staticmethod
    def _answers(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    @staticmethod
    def _accepts(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def __enter__(self) -> "Roapi":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()


class _InMemory(flight.FlightServerBase):
    """Answers every ticket with the same table."""

    def __init__(self, table: pa.Table):
        super().__init__("grpc://127.0.0.1:0")
        self._table = table

    def do_get(self, context, ticket):
        return flight.RecordBatchStream(self._table)


class PlainFlight:
    """A pyarrow Flight server, C++ end to end, in a process of its own as every other server is."""

    def __init__(self, file: pathlib.Path):
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the plain Flight server did not start")
        self.url = f"grpc://127.0.0.1:{int(line)}"
        self._client = flight.connect(self.url)

    def fetch(self) -> pa.Table:
        return self._client.do_get(flight.Ticket(b"")).read_all()

    def __enter__(self) -> "PlainFlight":
        return self

    def __exit__(self, *_) -> None:
        self._client.close()
        self.process.kill()
        self.process.wait()


def main() -> None:
    """Serves the Parquet file that is named until the standard input ends."""
    with _InMemory(parquet.read_table(sys.argv[1])) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
