"""HTTP/1.1 as bytes: a client that hides nothing, and a recorder that stands between the gateway and an engine."""

import socket
import threading
from dataclasses import dataclass, field

LONGEST = 60.0


@dataclass
class Message:
    """A request or an answer: its first line, its headers as they are written, its body without the framing of chunks."""

    first: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]


def parse_head(raw: bytes) -> tuple[str, list[tuple[str, str]]]:
    first, *lines = raw.decode("latin-1").split("\r\n")
    headers = [line.split(":", 1) for line in lines if line]
    return first, [(name.strip().lower(), value.strip()) for name, value in headers]


def parse(raw: bytes, ended: bool = True) -> Message:
    """A whole message; fails if it is not whole."""
    head, found, rest = raw.partition(b"\r\n\r\n")
    assert found, f"no head in {raw[:200]!r}"
    message = Message(*parse_head(head), b"")
    if "chunked" in message.values("transfer-encoding"):
        message.body = unchunked(rest)
    elif lengths := message.values("content-length"):
        assert len(rest) == int(lengths[0]), f"{len(rest)} bytes came, {lengths[0]} were announced"
        message.body = rest
    else:
        assert ended or not rest, "a body without a length"
        message.body = rest
    return message


def unchunked(raw: bytes) -> bytes:
    body = b""
    while True:
        size, found, rest = raw.partition(b"\r\n")
        assert found, "the chunks broke off"
        length = int(size.split(b";")[0], 16)
        if length == 0:
            assert rest == b"\r\n", f"after the last chunk: {rest!r}"
            return body
        assert rest[length : length + 2] == b"\r\n", "a chunk is not as long as it says"
        body, raw = body + rest[:length], rest[length + 2 :]


def is_whole(raw: bytes) -> bool:
    try:
        parse(raw, ended=False)
    except (AssertionError, ValueError, IndexError):
        return False
    return True


def request(port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Message:
    """Sends a request on a connection of its own and reads the whole answer."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        raw = b""
        while piece := connection.recv(1 << 16):
            raw += piece
    return parse(raw)


@dataclass
class Exchange:
    """One request and its answer. Closed means that the connection is gone."""

    asked: bytes = b""
    answered: bytes = b""
    closed: bool = False


@dataclass
class Recorder:
    """Passes connections on to an engine and keeps what went over them."""

    engine: int
    port: int
    exchanges: list[Exchange] = field(default_factory=list)

    def start(self) -> "Recorder":
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def find(self, request_id: str) -> tuple[Message, Message]:
        """What the engine was asked, and what it answered."""
        marks = (f"\r\nx-request-id: {request_id}\r\n").encode()
        found = [exchange for exchange in self.exchanges if marks in exchange.asked]
        assert len(found) == 1, f"{request_id} reached the engine {len(found)} times"
        return parse(found[0].asked), parse(found[0].answered)

    def under_way(self) -> int:
        """Requests that an engine still has to answer to somebody."""
        return sum(not exchange.closed and not is_whole(exchange.answered) for exchange in self.exchanges)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                engine = socket.create_connection(("127.0.0.1", self.engine), timeout=5)
            except OSError:
                client.close()
                continue
            engine.settimeout(None)
            engine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            current = [Exchange()]
            threading.Thread(target=self._pass, args=(client, engine, current, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(engine, client, current, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, current: list[Exchange], asks: bool) -> None:
        """One way of one connection. What is asked after an answer belongs to the next exchange."""
        try:
            while piece := source.recv(1 << 16):
                if asks:
                    if current[0].answered or not current[0].asked:
                        current[0] = Exchange()
                        self.exchanges.append(current[0])
                    current[0].asked += piece
                else:
                    current[0].answered += piece
                sink.sendall(piece)
        except OSError:
            pass
        # the other side is told, whichever way it ended
        for end in (sink, source):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        current[0].closed = True
