"""Whom a browser meets in these tests beside gizad: the attacker, its name that changes its address, and somebody naive."""

import base64
import hashlib
import http.server
import json
import pathlib
import queue
import socket
import threading
import urllib.parse

HERE = pathlib.Path(__file__).parent


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request by `answer`, and says nothing."""

    protocol_version = "HTTP/1.1"

    def handle_any(self):
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer()

    do_GET = do_HEAD = do_POST = do_PATCH = do_OPTIONS = handle_any

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in (headers | {"content_length": str(len(body))}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            # A browser hangs up when its page is closed.
            pass


class Server(http.server.ThreadingHTTPServer):
    """One on a port of its own, on every address of this machine."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("::" if socket.has_dualstack_ipv6() else "", 0), handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Attacker(Server):
    """Serves the pages, and takes what they bring home."""

    def __init__(self):
        super().__init__(AttackerHandler)
        self.loot = queue.Queue()
        self.rebound = Rebound(self.server_port)

    def page(self, name, victim):
        """The path of an attack on somebody."""
        return "/page?" + urllib.parse.urlencode({"name": name, "victim": json.dumps(victim)})


class AttackerHandler(Handler):
    def answer(self):
        path, _, query = self.path.partition("?")
        free = {"access_control_allow_origin": "*", "cache_control": "no-store", "connection": "close"}
        match path:
            case "/page":
                asked = dict(urllib.parse.parse_qsl(query))
                attack = f"attack({json.dumps(asked['name'])}, {asked['victim']})"
                page = f'<!doctype html><body><script src="/attacks.js"></script><script>{attack}</script>'
                self.say(200, page.encode(), content_type="text/html", **free)
            case "/attacks.js":
                self.say(200, (HERE / "attacks.js").read_bytes(), content_type="text/javascript", **free)
            case "/worker.js":
                worker = b"importScripts('/attacks.js'); onmessage = (message) => message.waitUntil(" \
                    b"attackFromWorker(message.data, (told) => message.ports[0].postMessage(told)));"
                self.say(200, worker, content_type="text/javascript", **free)
            case "/policy":
                policy = f"img-src 'none'; report-uri {urllib.parse.unquote(query)}"
                page = b'<!doctype html><img src="/forbidden">'
                self.say(200, page, content_type="text/html", content_security_policy=policy, **free)
            case "/on":
                allowed = {"access_control_allow_headers": "content-type"}
                status = 204 if self.command == "OPTIONS" else 307
                self.say(status, location=urllib.parse.unquote(query), **allowed, **free)
            case "/rebind":
                self.server.rebound.target = self.server.rebound.after
                self.say(204, **free)
            case "/loot":
                self.server.loot.put(json.loads(self.body))
                self.say(204, **free)
            case _:
                self.say(404, **free)


class Rebound:
    """Where the attacker's own name leads: to the attacker, and once its page is loaded to whom it attacks.

    A name server would do this by answering anew. The browser and the attacked see the same either way.
    """

    def __init__(self, attacker):
        self.attacker = self.target = ("127.0.0.1", attacker)
        self.after = None
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def aim(self, address):
        """Leads to the attacker again, and later to this address."""
        self.target, self.after = self.attacker, address

    def serve(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        # Browsers open connections ahead: who is meant is asked when something is said.
        first = client.recv(65536)
        if not first:
            return client.close()
        server = socket.create_connection(self.target)
        server.sendall(first)
        threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
        self.pump(client, server)

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Naive(Server):
    """Does whatever it is asked, and tells everybody: one listener of somebody who takes loopback for a boundary."""

    def __init__(self):
        super().__init__(NaiveHandler)
        self.done = set()


class NaiveHandler(Handler):
    def answer(self):
        origin = self.headers.get("origin", "*")
        open_to_all = {
            "access_control_allow_origin": origin,
            "access_control_allow_credentials": "true",
            "access_control_allow_headers": "content-type, idempotency-key, x-request-id",
            "access_control_allow_methods": "GET, POST, PATCH",
        }
        if self.command == "OPTIONS":
            return self.say(204, **open_to_all)
        self.server.done.add("asks" if self.command in ("GET", "HEAD") else "writes")
        if self.headers.get("upgrade", "").lower() == "websocket":
            return self.shake_hands()
        if self.headers.get("accept") == "text/event-stream":
            return self.say(200, b"data: a secret\n\n", content_type="text/event-stream", **open_to_all)
        return self.say(200, b'{"secret": 1}', content_type="application/json", **open_to_all)

    def shake_hands(self):
        """The answer to a WebSocket, and one frame of text (RFC 6455, 4.2.2 and 5.7)."""
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        for name, value in (("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", accept)):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"\x81\x08a secret")
        self.close_connection = True
