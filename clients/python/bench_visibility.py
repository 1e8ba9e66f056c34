#!/usr/bin/env python3
"""From sending a packet to having it in a query's answer, while 10,000 packets a second come in.

Marked calls go in over UDP, one every few milliseconds. One client asks without pause for the marked
rows of the last seconds, and notes when it first sees each.
"""

import datetime
import socket
import struct
import threading
import time

from bench_server import Server, arguments, at_most, figure, generate, percentile, report, scratch_folder

MARK = "visibility-mark-"


def chunk(kind: int, body: bytes) -> bytes:
    """A generic HEP3 chunk."""
    return struct.pack(">HHH", 0, kind, 6 + len(body)) + body


def marked_packet(number: int) -> bytes:
    """A HEP3 packet with an INVITE whose Call-ID tells its number."""
    now_micros = time.time_ns() // 1000
    payload = (
        "INVITE sip:bob@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number}\r\n"
        "From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n"
        f"Call-ID: {MARK}{number}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    chunks = b"".join([
        chunk(0x0001, b"\x02"),
        chunk(0x0002, b"\x11"),
        chunk(0x0003, socket.inet_aton("192.0.2.1")),
        chunk(0x0004, socket.inet_aton("192.0.2.2")),
        chunk(0x0007, struct.pack(">H", 5060)),
        chunk(0x0008, struct.pack(">H", 5060)),
        chunk(0x0009, struct.pack(">I", now_micros // 1_000_000)),
        chunk(0x000A, struct.pack(">I", now_micros % 1_000_000)),
        chunk(0x000B, b"\x01"),
        chunk(0x000C, struct.pack(">I", 1)),
        chunk(0x000F, payload),
    ])
    return b"HEP3" + struct.pack(">H", 6 + len(chunks)) + chunks


class Watcher(threading.Thread):
    """Asks for marked rows in a loop and notes the moment each was first in an answer."""

    def __init__(self, server: Server):
        super().__init__(daemon=True)
        self._server = server
        self.seen: dict[int, float] = {}
        self.query_seconds: list[float] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=3)
            begin = time.monotonic()
            rows = self._server.query(
                "SELECT session_id FROM hep_proto_1_call "
                f"WHERE timestamp >= TIMESTAMP '{since:%Y-%m-%d %H:%M:%S}' AND session_id LIKE '{MARK}%'"
            )
            now = time.monotonic()
            self.query_seconds.append(now - begin)
            for row in rows:
                self.seen.setdefault(int(row["session_id"].removeprefix(MARK)), now)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--pause-ms", type=float, default=7, help="between marked packets")
    options = parser.parse_args()
    sent: dict[int, float] = {}
    with scratch_folder(options.folder) as folder, Server(options.binary, folder) as server:
        watcher = Watcher(server)
        watcher.start()
        generator = generate(options.binary, server, "tcp", options.rate * options.seconds, options.rate)
        address = server.address("hep_udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while generator.poll() is None:
                packet = marked_packet(len(sent))
                sent[len(sent)] = time.monotonic()
                sender.sendto(packet, address)
                time.sleep(options.pause_ms / 1000)
        limit = time.monotonic() + 5
        while len(watcher.seen) < len(sent) and time.monotonic() < limit and watcher.is_alive():
            time.sleep(0.01)
        watcher.stop.set()
        watcher.join()
        server.stop()
    seen = watcher.seen
    milliseconds = [(seen[number] - moment) * 1000 for number, moment in sent.items() if number in seen]
    if not milliseconds:
        raise SystemExit("no marked packet became visible")
    queries = [seconds * 1000 for seconds in watcher.query_seconds]
    report([
        at_most("sent to visible, p99", percentile(milliseconds, 0.99), 100, "ms"),
        figure("sent to visible, p50", percentile(milliseconds, 0.5), "ms"),
        figure("sent to visible, worst", max(milliseconds), "ms"),
        at_most("marked packets never seen", len(sent) - len(milliseconds), 0),
        figure("marked packets", len(sent)),
        figure("the watching query itself, p50", percentile(queries, 0.5), "ms"),
        figure("the watching query itself, p99", percentile(queries, 0.99), "ms"),
    ])


if __name__ == "__main__":
    main()
