#!/usr/bin/env python3
"""Drives the plain Flight side through pyarrow: SQL text as command, and the calls below Flight SQL."""

import pyarrow
import pyarrow.flight as flight

from flight_check import TABLE, Check, equal, fails, is_wire_schema

check = Check(__doc__)


def options(token=check.token):
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    return flight.FlightCallOptions(headers=headers)


def command(sql):
    return flight.FlightDescriptor.for_command(sql.encode())


def query(client, sql, call=None):
    call = call or options()
    info = client.get_flight_info(command(sql), call)
    equal(len(info.endpoints), 1, "endpoints")
    equal(info.endpoints[0].locations, [], "locations")
    table = client.do_get(info.endpoints[0].ticket, call).read_all()
    equal(table.schema.equals(info.schema, check_metadata=True), True, "schema of the stream and of FlightInfo")
    equal(client.get_schema(command(sql), call).schema.equals(info.schema), True, "schema of GetSchema")
    return table


def select(client):
    equal(query(client, "SELECT 1 AS one").to_pydict(), {"one": [1]})
    table = query(client, f"SELECT * FROM {TABLE} LIMIT 0")
    equal(table.num_rows, 0, "rows")
    is_wire_schema(table.schema)
    if check.rows is not None:
        equal(query(client, f"SELECT count(*) AS n FROM {TABLE}")["n"][0].as_py(), check.rows, "rows")


def ticket_of_text(client):
    """SQL text as ticket, without GetFlightInfo."""
    table = client.do_get(flight.Ticket(b"SELECT 2 AS two"), options()).read_all()
    equal(table.to_pydict(), {"two": [2]})


def basic_token():
    client = flight.connect(check.url)
    header = client.authenticate_basic_token(b"someone", (check.token or "any").encode())
    equal(header[0], b"authorization", "header")
    call = flight.FlightCallOptions(headers=[header])
    equal(query(client, "SELECT 1 AS one", call).num_rows, 1)
    closed = list(client.do_action(flight.Action("CloseSession", b""), call))
    equal(closed[0].body.to_pybytes(), b"\x08\x01", "close result")
    fails(lambda: query(client, "SELECT 1", call), "session")


def every_call_is_refused():
    if not check.token:
        return "the listener takes everybody"
    client = flight.connect(check.url)
    descriptor = command("SELECT 1")
    calls = {
        "get_flight_info": lambda c: client.get_flight_info(descriptor, c),
        "get_schema": lambda c: client.get_schema(descriptor, c),
        "do_get": lambda c: client.do_get(flight.Ticket(b"SELECT 1"), c).read_all(),
        "list_flights": lambda c: list(client.list_flights(b"", c)),
        "list_actions": lambda c: list(client.list_actions(c)),
        "do_action": lambda c: list(client.do_action(flight.Action("NoSuchAction", b""), c)),
        "do_put": lambda c: put(client, c),
        "do_exchange": lambda c: exchange(client, c),
    }
    for name, call in calls.items():
        for token in (None, "wrong"):
            # Streams raise another class than unary calls do; the code is in both messages.
            try:
                fails(lambda: call(options(token)), "unauthenticated")
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


def put(client, call):
    schema = pyarrow.schema([("a", pyarrow.int64())])
    writer, reader = client.do_put(command("SELECT 1"), schema, call)
    writer.done_writing()
    try:
        reader.read()
    finally:
        writer.close()


def exchange(client, call):
    writer, reader = client.do_exchange(command("SELECT 1"), call)
    writer.done_writing()
    try:
        reader.read_chunk()
    finally:
        writer.close()


def actions(client):
    names = {action.type for action in client.list_actions(options())}
    for name in ("CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo", "CloseSession"):
        if name not in names:
            raise AssertionError(f"{name} is not among {names}")
    try:
        list(client.do_action(flight.Action("NoSuchAction", b""), options()))
    except (NotImplementedError, pyarrow.ArrowNotImplementedError):
        return
    raise AssertionError("an unknown action should be UNIMPLEMENTED")


def cancel(client):
    """CancelFlightInfo, twice; pyarrow has no call of its own for it."""
    sql = "SELECT a.value FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    info = client.get_flight_info(command(sql), options())
    reader = client.do_get(info.endpoints[0].ticket, options())
    reader.read_chunk()
    # CancelFlightInfoRequest { info = 1 }, answered by CancelFlightInfoResult { status = CANCELLED }
    message = info.serialize()
    length, prefix = len(message), bytearray(b"\x0a")
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    action = flight.Action("CancelFlightInfo", bytes(prefix) + message)
    for _ in range(2):
        results = [result.body.to_pybytes() for result in client.do_action(action, options())]
        equal(results, [b"\x08\x01"], "results")

    # read_all would take the server's CANCELLED for a Ctrl-C of its own.
    def rest():
        while True:
            reader.read_chunk()

    return fails(rest, "cancel")


def errors(client):
    fails(lambda: query(client, "SELECT * FROM no_such_table"), "no_such_table")
    fails(lambda: query(client, " "), "empty query")
    descriptor = flight.FlightDescriptor.for_path("main", TABLE)
    fails(lambda: client.get_flight_info(descriptor, options()), "path")
    descriptor = flight.FlightDescriptor.for_command(b"\xff\xfe\x00")
    message = fails(lambda: client.get_flight_info(descriptor, options()), "neither")
    if "DecodeError" in message:
        raise AssertionError(message)


def run():
    for url in dict.fromkeys([check.url, check.plain_url]):
        client = flight.connect(url)
        check.step(f"select at {url}", lambda: select(client))
        check.step(f"SQL text as ticket at {url}", lambda: ticket_of_text(client))
    client = flight.connect(check.url)
    check.step("Handshake and CloseSession", basic_token)
    check.step("every call is refused without credentials", every_call_is_refused)
    check.step("actions", lambda: actions(client))
    check.step("cancel", lambda: cancel(client))
    check.step("errors", lambda: errors(client))


print(f"pyarrow {pyarrow.__version__}")
check.step("all", run)
check.finish()
