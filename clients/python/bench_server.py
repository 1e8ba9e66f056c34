"""What every benchmark of the server shares: starting it, asking it, and measuring its process.

A benchmark prints one line of JSON at its end: {"figures": [{"figure", "value", "unit", "goal", "met"}]}.
"""

import argparse
import contextlib
import dataclasses
import http.client
import json
import math
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_LIMIT_SECONDS = 60
STOP_LIMIT_SECONDS = 300


def arguments(description: str) -> argparse.ArgumentParser:
    """The options of every benchmark; each adds its own."""
    # Ended from outside, a benchmark leaves by its contexts too, so that no server stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the pintail to measure")
    parser.add_argument("--folder", type=pathlib.Path, help="where the lake is made, on the disk to measure")
    return parser


@contextlib.contextmanager
def scratch_folder(parent: pathlib.Path | None):
    """An empty folder that is gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pintail-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def merged(base: dict, changes: dict) -> dict:
    """`base` with `changes` laid over it, object by object."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


@dataclasses.dataclass
class Usage:
    """What a server that has ended used, all its threads together."""

    cpu_seconds: float
    peak_resident_bytes: int


class Server:
    """A running `pintail serve` on free ports of loopback."""

    def __init__(self, binary: pathlib.Path, folder: pathlib.Path, changes: dict | None = None):
        listen = {"enable": True, "host": "127.0.0.1", "port": 0}
        config = {
            "data_dir": str(folder),
            "ingest": {"udp": listen, "tcp": listen, "http": listen},
            "storage": {"ducklake": {"flush_interval_sec": 5}},
            "node": {"enable": True, "flight_server": listen, "http_server": listen, "flightsql_server": listen},
            "prometheus": listen,
            "log": {"level": "warn"},
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        config_file = folder / "pintail.json"
        config_file.write_text(json.dumps(merged(config, changes or {}), indent=2))
        ready_file = folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [str(binary), "serve", "--config", str(config_file), "--ready-file", str(ready_file)]
        )
        self.listeners = self._wait_for(ready_file)
        self._http: http.client.HTTPConnection | None = None

    def _wait_for(self, ready_file: pathlib.Path) -> dict[str, str]:
        limit = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < limit:
            if ready_file.exists():
                with contextlib.suppress(ValueError):
                    return json.loads(ready_file.read_text())["listeners"]
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self.process.returncode} before it was ready")
            time.sleep(0.02)
        self.process.kill()
        raise RuntimeError("the server was not ready in time")

    def address(self, listener: str) -> tuple[str, int]:
        """Host and port of a listener, by its name in the ready file."""
        host, port = self.listeners[listener].rsplit(":", 1)
        return host, int(port)

    def flight_sql_url(self) -> str:
        return "grpc://" + self.listeners["node_flightsql"]

    def query(self, sql: str) -> list[dict]:
        """The rows of `sql` over the node's HTTP API, on one connection that is kept."""
        if self._http is None:
            self._http = http.client.HTTPConnection(*self.address("node_http"), timeout=120)
        self._http.request("POST", "/query", json.dumps({"sql": sql}), {"Content-Type": "application/json"})
        response = self._http.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"query failed with {response.status}: {body[:500]!r}")
        return json.loads(body)["data"]

    def accounting(self) -> dict[tuple[str, str, str], int]:
        """Packets by transport, outcome and reason, from system.ingest."""
        rows = self.query("SELECT transport, outcome, reason, packets FROM system.ingest")
        return {(row["transport"], row["outcome"], row["reason"] or ""): int(row["packets"]) for row in rows}

    def settled(self, transport: str, expected: int, limit_seconds: float, pause: float = 0.05) -> tuple[dict, float]:
        """Waits until `expected` packets were received or dropped by the kernel and none is in flight.

        Answers the accounting and the moment when it was so; the caller judges what is in it.
        """
        limit = time.monotonic() + limit_seconds
        while True:
            account = self.accounting()
            now = time.monotonic()
            seen = total(account, transport, "received") + total(account, transport, "dropped", "kernel")
            if (seen >= expected and total(account, transport, "in_flight") == 0) or now > limit:
                return account, now
            time.sleep(pause)

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """Resident memory of the process now."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def stop(self) -> Usage:
        """Ends the server as an operator does, and answers what it used in its whole life."""
        if self._http is not None:
            self._http.close()
        self.process.send_signal(signal.SIGTERM)
        limit = time.monotonic() + STOP_LIMIT_SECONDS
        while True:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > limit:
                self.kill()
                raise RuntimeError("the server did not stop in time")
            time.sleep(0.01)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise RuntimeError(f"the server ended with status {self.process.returncode}")
        return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def kill(self) -> None:
        """Ends the server at once; for the way out after an error."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.kill()


def total(account: dict, transport: str, outcome: str, reason: str | None = None) -> int:
    """Packets of one outcome; of all its reasons but the kernel's when none is given."""
    return sum(
        packets
        for (row_transport, row_outcome, row_reason), packets in account.items()
        if row_transport == transport
        and row_outcome == outcome
        and (row_reason == reason if reason is not None else row_reason != "kernel")
    )


def generator(binary: pathlib.Path, server: Server, transport: str, rate: int, *more: str) -> list[str]:
    """The load generator towards the server: `rate` packets a second, 0 for as fast as it can."""
    host, port = server.address(f"hep_{transport}")
    command = [str(binary), "hep", "gen", "--transport", transport, "--to", f"{host}:{port}"]
    return [*command, "--rate", str(rate), "--seed", "1", *more]


def generate(
    binary: pathlib.Path, server: Server, transport: str, packets: int, rate: int = 0, *more: str
) -> subprocess.Popen:
    """Starts the load generator for so many packets."""
    command = generator(binary, server, transport, rate, "--packets", str(packets), *more)
    return subprocess.Popen(command, stdout=sys.stderr)


def generate_calls(binary: pathlib.Path, server: Server, transport: str, calls: int) -> tuple[int, int]:
    """Sends so many calls, whole and nothing else, as fast as it can; packets and bytes sent."""
    command = generator(binary, server, transport, 0, "--calls-only", "--calls", str(calls), "--json")
    sent = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return sent["packets"], sent["bytes"]


def committed_rows(folder: pathlib.Path) -> int:
    """Rows of the live Parquet files, as the lake's catalog records them; the server need not run."""
    catalogs = sorted(folder.rglob("*.sqlite"))
    if len(catalogs) != 1:
        raise RuntimeError(f"expected one catalog under {folder}, found {catalogs}")
    with contextlib.closing(sqlite3.connect(f"file:{catalogs[0]}?mode=ro", uri=True)) as catalog:
        (rows,) = catalog.execute(
            "SELECT coalesce(sum(record_count), 0) FROM ducklake_data_file WHERE end_snapshot IS NULL"
        ).fetchone()
    return rows


def figure(name: str, value: float, unit: str = "", goal: str = "", met: bool | None = None) -> dict:
    return {"figure": name, "value": value, "unit": unit, "goal": goal, "met": met}


def at_most(name: str, value: float, limit: float, unit: str = "") -> dict:
    return figure(name, value, unit, f"at most {limit:,g} {unit}".strip(), value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = "") -> dict:
    return figure(name, value, unit, f"at least {limit:,g} {unit}".strip(), value >= limit)


def report(figures: list[dict]) -> None:
    """The benchmark's last word."""
    print(json.dumps({"figures": figures}), flush=True)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]
