"""What the Python clients of the matrix share: the servers they are told about, and one printed line per feature.

A script is called with the path of a file of `key=value` lines that says where the servers are, what is in them and who
may come in (`xtask/src/clients/target.rs` writes it). It prints `client<TAB>feature<TAB>pass|fail<TAB>detail` for every
feature that its driver has, and ends with status 0: what a failure means is judged by `cargo xtask clients`.
"""

import sys
import time
import traceback
import types
import uuid

# How long to wait for what must happen soon, such as a cancelled query to end.
PATIENCE_SECONDS = 20


def read_target():
    """The description of the servers, with a field for each key of the file."""
    with open(sys.argv[1], encoding="utf-8") as file:
        values = dict(line.rstrip("\n").split("=", 1) for line in file)
    numbers = {key: int(values[key]) for key in ("rows", "wide_length")}
    return types.SimpleNamespace(**values | numbers)


class Check:
    """Runs the features of one client and prints what came of them."""

    def __init__(self, client, version):
        self.client = client
        self.line("version", version)

    def line(self, *parts):
        text = "\t".join(" ".join(str(part).split()) for part in (self.client, *parts))
        print(text, flush=True)

    def feature(self, name, run):
        """Runs one feature; its return value, if any, is the detail."""
        try:
            outcome = run()
        except Exception as error:  # a driver may fail in any way
            self.line(name, "fail", f"{type(error).__name__}: {str(error)[:400]}")
            traceback.print_exc(limit=4)
            return
        self.line(name, "pass", "" if outcome is None else outcome)


def restart_server():
    """Asks whoever started us to restart the server with TLS, and waits until it is there again."""
    print("restart", flush=True)
    sys.stdin.readline()


def marker():
    """A text that no other query holds."""
    return f"marker-{uuid.uuid4()}"


def wait_until_idle(count, name):
    """Waits until `count(sql)` finds no live query that holds `name`."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while count(name) > 0:
        if time.monotonic() > limit:
            raise AssertionError(f"the cancelled query still runs after {PATIENCE_SECONDS} s")


def equal(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what} is {actual!r} and should be {expected!r}")


def holds(names, *wanted):
    """Checks that each wanted name is among `names`."""
    for name in wanted:
        if name not in names:
            raise AssertionError(f"{name!r} is not among {sorted(names)}")


def fails(run, *parts):
    """Runs what must fail, and checks that the message holds every part (in any case of letters)."""
    try:
        result = run()
    except Exception as error:  # which class it is differs between clients
        message = str(error)
        for part in parts:
            if part.lower() not in message.lower():
                raise AssertionError(f"the error should say {part!r}: {message[:300]}") from error
        for debug in ("DecodeError", "Context(", "SchemaError(", "Plan(\""):
            if debug in message:
                raise AssertionError(f"a debug text reached the client: {message[:300]}") from error
        return message.splitlines()[0][:160]
    raise AssertionError(f"should have failed and gave {str(result)[:300]}")


def is_wire_schema(schema):
    """No view or dictionary types leave the server."""
    for field in schema:
        name = str(field.type)
        if "view" in name or "dictionary" in name or "run_end" in name or name.startswith("large_"):
            raise AssertionError(f"column {field.name} has type {name}")


def is_big_result(table):
    """What the query `big` must give: a million rows, each number once."""
    import pyarrow.compute

    equal(table.num_rows, 1_000_000, "rows")
    equal(pyarrow.compute.sum(table["n"]).as_py(), 499_999_500_000, "sum")
    return f"{table.num_rows} rows"


def check_values(row):
    """The one row of the query `types`, as Python values of Arrow."""
    expected = {
        "int8": -8, "int16": -16000, "int32": -2_000_000_000, "int64": -9_000_000_000_000_000_000,
        "uint8": 200, "uint16": 60_000, "uint32": 4_000_000_000, "uint64": 18_000_000_000_000_000_000,
        "float32": 1.5, "float64": 2.25, "boolean": True, "text": "Grüße", "view": "view", "dictionary": "word",
        "binary": b"\x00\xff", "list": [1, 2, None], "struct": {"a": 1, "b": "x"},
    }  # fmt: skip
    for name, value in expected.items():
        equal(row[name], value, name)
    texts = {
        "decimal": "12345.678", "date": "2026-01-02", "time": "03:04:05", "timestamp": "2026-01-02 03:04:05.678901",
        "timestamp_utc": "2026-01-02 03:04:05.678901+00:00",
    }  # fmt: skip
    for name, text in texts.items():
        equal(str(row[name]), text, name)
    equal(dict(row["map"]), {"k": 1}, "map")
    return f"{len(row)} types"
