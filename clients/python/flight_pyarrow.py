#!/usr/bin/env python3
"""pyarrow.flight without any Flight SQL: text as command, hand-made actions, and the calls below Flight SQL."""

import pyarrow
import pyarrow.flight as flight

from flight_check import (
    Check, check_values, equal, fails, holds, is_big_result, is_wire_schema, marker, read_target, restart_server,
    wait_until_idle,
)  # fmt: skip

target = read_target()
check = Check("pyarrow", f"pyarrow {pyarrow.__version__}")


def options(token):
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())] if token else [])


ADMIN = options(target.token)


def connect(address, tls=False, **pair):
    return flight.connect(f"grpc{'+tls' if tls else '+tcp'}://{address}", **pair)


def command(sql):
    return flight.FlightDescriptor.for_command(sql.encode())


def query(client, sql, call=ADMIN):
    info = client.get_flight_info(command(sql), call)
    equal(len(info.endpoints), 1, "endpoints")
    equal(info.endpoints[0].locations, [], "locations")
    table = client.do_get(info.endpoints[0].ticket, call).read_all()
    equal(table.schema.equals(info.schema, check_metadata=True), True, "schema of the stream and of FlightInfo")
    equal(client.get_schema(command(sql), call).schema.equals(info.schema), True, "schema of GetSchema")
    return table


def works(client, call=ADMIN):
    equal(query(client, "SELECT 1 AS one", call).to_pydict(), {"one": [1]})


def handshake(client, user, password):
    header = client.authenticate_basic_token(user.encode(), password.encode())
    equal(header[0], b"authorization", "header")
    return flight.FlightCallOptions(headers=[header])


def basic():
    client = connect(target.plain)
    call = handshake(client, target.user, target.password)
    works(client, call)
    closed = list(client.do_action(flight.Action("CloseSession", b""), call))
    equal(closed[0].body.to_pybytes(), b"\x08\x01", "close result")
    fails(lambda: works(client, call), "session")


def compression():
    """The client asks for gzip by compressing what it sends; gRPC's C++ calls that algorithm 2."""
    client = connect(target.plain, generic_options=[("grpc.default_compression_algorithm", 2)])
    table = query(client, target.query_big)
    is_big_result(table)
    equal(table.equals(query(connect(target.plain), target.query_big)), True, "the same rows without gzip")


def oidc():
    client = connect(target.plain)
    works(client, handshake(client, target.oidc_user, target.oidc_password))


def every_call_is_refused():
    client = connect(target.plain)
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


def file(path):
    with open(path, "rb") as opened:
        return opened.read()


def tls():
    works(connect(target.tls, tls=True, tls_root_certs=file(target.ca)))
    fails(lambda: works(connect(target.tls, tls=True)))


def mutual_tls():
    pair = {"cert_chain": file(target.client_certificate), "private_key": file(target.client_key)}
    works(connect(target.mutual_tls, tls=True, tls_root_certs=file(target.ca), **pair))
    fails(lambda: works(connect(target.mutual_tls, tls=True, tls_root_certs=file(target.ca))))


def restarted():
    client = connect(target.tls, tls=True, tls_root_certs=file(target.ca))
    call = handshake(client, target.user, target.password)
    works(client, call)
    restart_server()
    works(client, call)


def rows(client):
    equal(query(client, f"SELECT count(*) AS n FROM {target.table}")["n"][0].as_py(), target.rows, "rows")
    # Text as ticket, without GetFlightInfo; and the listener of plain Flight, which takes the same.
    for address in (target.plain, target.plain_flight):
        table = connect(address).do_get(flight.Ticket(b"SELECT 2 AS two"), ADMIN).read_all()
        equal(table.to_pydict(), {"two": [2]})
    # A path names a table.
    info = client.get_flight_info(flight.FlightDescriptor.for_path("main", target.table), ADMIN)
    equal(client.do_get(info.endpoints[0].ticket, ADMIN).read_all().num_rows, target.rows, "rows of the path")


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


def actions(client):
    names = {action.type for action in client.list_actions(ADMIN)}
    holds(names, "CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo", "CloseSession")
    try:
        list(client.do_action(flight.Action("NoSuchAction", b""), ADMIN))
    except (NotImplementedError, pyarrow.ArrowNotImplementedError):
        return f"{len(names)} actions"
    raise AssertionError("an unknown action should be UNIMPLEMENTED")


def field(number, data):
    """One field of a protobuf message whose value is bytes."""
    length, prefix = len(data), bytearray([number << 3 | 2])
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + data


def cancel(client):
    """CancelFlightInfo, twice; pyarrow has no call of its own for it."""
    name = marker()
    info = client.get_flight_info(command(target.query_slow.replace("MARKER", name)), ADMIN)
    reader = client.do_get(info.endpoints[0].ticket, ADMIN)
    reader.read_chunk()
    # CancelFlightInfoRequest { info = 1 }, answered by CancelFlightInfoResult { status = CANCELLED }
    action = flight.Action("CancelFlightInfo", field(1, info.serialize()))
    for _ in range(2):
        results = [result.body.to_pybytes() for result in client.do_action(action, ADMIN)]
        equal(results, [b"\x08\x01"], "results")

    # read_all would take the server's CANCELLED for a Ctrl-C of its own.
    def rest():
        while True:
            reader.read_chunk()

    outcome = fails(rest, "cancel")
    live = target.query_live
    wait_until_idle(lambda text: query(client, live.replace("MARKER", text))["n"][0].as_py(), name)
    return outcome


def errors(client):
    fails(lambda: query(client, "SELECT * FROM no_such_table"), "no_such_table")
    fails(lambda: query(client, " "), "empty query")
    descriptor = flight.FlightDescriptor.for_path("main", "no_such_table")
    fails(lambda: client.get_flight_info(descriptor, ADMIN), "no_such_table")
    descriptor = flight.FlightDescriptor.for_command(b"\xff\xfe\x00")
    fails(lambda: client.get_flight_info(descriptor, ADMIN), "neither")
    return fails(lambda: query(client, "SELECT 1,\n  no_such_column"), "no_such_column", "line 2", "column 3")


def statement(kind, handle):
    """The descriptor of a command on a prepared statement: an Any around its handle, written by hand."""
    name = f"type.googleapis.com/arrow.flight.protocol.sql.{kind}".encode()
    return flight.FlightDescriptor.for_command(field(1, name) + field(2, field(1, handle)))


def prepare(client, sql):
    """The handle of a prepared statement, by the bare message instead of an Any around it."""
    results = list(client.do_action(flight.Action("CreatePreparedStatement", field(1, sql.encode())), ADMIN))
    return fields(fields(results[0].body.to_pybytes())[2])[1]


def fields(message):
    """The fields of a protobuf message by number; a later one of the same number wins."""
    found, at = {}, 0
    while at < len(message):
        tag, at = number(message, at)
        value, at = number(message, at)
        if tag & 7 == 2:
            found[tag >> 3], at = message[at : at + value], at + value
    return found


def number(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def shared_handle(first):
    """A prepared statement made on one connection is bound on a second and run on a third."""
    handle = prepare(first, "SELECT CAST(? AS BIGINT) AS i")
    descriptor = statement("CommandPreparedStatementQuery", handle)
    second, third = connect(target.plain), connect(target.plain)
    batch = pyarrow.record_batch({"1": pyarrow.array([41, 42], pyarrow.int64())})
    writer, reader = second.do_put(descriptor, batch.schema, ADMIN)
    writer.write_batch(batch)
    writer.done_writing()
    reply = reader.read()
    writer.close()
    # DoPutPreparedStatementResult { prepared_statement_handle = 1 } replaces the handle when it is there.
    renamed = fields(reply.to_pybytes()).get(1) if reply is not None else None
    descriptor = statement("CommandPreparedStatementQuery", renamed or handle)
    info = third.get_flight_info(descriptor, ADMIN)
    equal(first.do_get(info.endpoints[0].ticket, ADMIN).read_all().to_pydict(), {"i": [41, 42]})
    # Somebody else's handle is nobody's.
    fails(lambda: third.get_flight_info(descriptor, options(target.reader_token)))


def read_only():
    client = connect(target.read_only)
    works(client)
    return fails(lambda: query(client, "CREATE TABLE clients_refused (a BIGINT)"), "read-only")


def run():
    check.feature("anonymous", lambda: works(connect(target.open), options(None)))
    check.feature("token", lambda: works(connect(target.plain)))
    check.feature("basic", basic)
    check.feature("oidc", oidc)
    check.feature("oidc-token", lambda: works(connect(target.plain), options(target.oidc_token)))
    check.feature("refused", every_call_is_refused)
    check.feature("tls", tls)
    check.feature("mutual-tls", mutual_tls)
    check.feature("read-only", read_only)
    check.feature("compression", compression)
    client = connect(target.plain)
    for name, step in {
        "actions": actions, "query": rows, "empty": empty, "types": every_type, "nulls": nulls,
        "big": lambda c: is_big_result(query(c, target.query_big)), "wide": wide, "errors": errors,
        "cancel": cancel, "shared-handle": shared_handle,
    }.items():  # fmt: skip
        check.feature(name, lambda: step(client))
    check.feature("restart", restarted)


run()
