"""What the Flight client tests share: arguments, steps with one line each, and the schemas of FlightSql.proto.

A script makes a `Check`, runs named steps, and ends with `check.finish()`, whose status is 1 if any step failed.
"""

import argparse
import sys
import traceback
import urllib.parse

TABLE = "hep_proto_1_call"


class Check:
    """Runs steps and remembers which failed."""

    def __init__(self, description):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--url", required=True, help="grpc://HOST:PORT of a Flight listener")
        parser.add_argument("--token", help="bearer token; absent for a listener without credentials")
        parser.add_argument("--plain-url", help="grpc://HOST:PORT of the plain Flight listener; the same as --url if absent")
        parser.add_argument("--rows", type=int, help=f"rows that {TABLE} must hold")
        arguments = parser.parse_args()
        self.url = arguments.url
        self.token = arguments.token
        self.plain_url = arguments.plain_url or arguments.url
        self.rows = arguments.rows
        self.failed = []

    @property
    def host_and_port(self):
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname, parts.port

    def step(self, name, run):
        """Runs one step; its return value, if any, stands in the line."""
        try:
            outcome = run()
        except Exception as error:  # a step may fail in any way its client can
            self.failed.append(name)
            print(f"FAILED {name}: {type(error).__name__}: {str(error)[:400]}", flush=True)
            traceback.print_exc(limit=4)
            return
        print(f"ok {name}" + (f": {outcome}" if outcome is not None else ""), flush=True)

    def finish(self):
        if self.failed:
            print(f"{len(self.failed)} failed: {', '.join(self.failed)}", flush=True)
        sys.exit(1 if self.failed else 0)


def equal(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what} is {actual!r} and should be {expected!r}")


def fails(run, *parts):
    """Runs what must fail, and checks that the message holds every part (in any case of letters)."""
    try:
        result = run()
    except Exception as error:  # which class it is differs between clients
        message = str(error)
        for part in parts:
            if part.lower() not in message.lower():
                raise AssertionError(f"the error should say {part!r}: {message[:300]}") from error
        return message.splitlines()[0][:120]
    raise AssertionError(f"should have failed and gave {result!r}")


def is_wire_schema(schema):
    """No view or dictionary types leave the server."""
    for field in schema:
        name = str(field.type)
        if "view" in name or "dictionary" in name or "run_end" in name or name.startswith("large_"):
            raise AssertionError(f"column {field.name} has type {name}")
