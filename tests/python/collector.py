"""A collector of traces (OTLP over HTTP, protobuf), which reads them with OpenTelemetry's own package. As a program it prints what
comes: `python tests/python/collector.py 4318`."""

import contextlib
import http.server
import sys
import threading
import time

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

# How long anything may take before it counts as lost.
PATIENCE = 30


class Collector:
    """One that takes what comes, or answers as it is told to."""

    def __init__(self, port=0):
        self.spans, self.requests, self.answers = [], [], []
        self.told = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests.append((self.path, dict(self.headers.items()), body))
                collector.told.set()
                collector.hold.wait(PATIENCE)
                status, answer = collector.answers.pop(0) if collector.answers else (200, b"")
                if status == 200:
                    collector.take(body)
                with contextlib.suppress(BrokenPipeError):
                    self.send_response(status)
                    self.send_header("content-type", "application/x-protobuf")
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body):
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        for of in request.resource_spans:
            self.resource = attributes(of.resource)
            for scope in of.scope_spans:
                assert scope.scope.name == "gizad"
                self.spans += scope.spans

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def wait(self, enough):
        """Waits until the spans are such, and gives them."""
        until = time.monotonic() + PATIENCE
        while not enough(self.spans):
            assert time.monotonic() < until, f"only {[(span.name, attributes(span)) for span in self.spans]}"
            time.sleep(0.02)
        return list(self.spans)

    def named(self, name):
        """Waits for the first span of a name."""
        return next(span for span in self.wait(lambda spans: any(span.name == name for span in spans)) if span.name == name)

    def of(self, span):
        """The parts of a span."""
        return [other for other in self.spans if other.parent_span_id == span.span_id]


def attributes(thing):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in thing.attributes}


def tree(spans, parent, depth=0):
    """Spans below one another, with what they say."""
    for span in sorted(spans, key=lambda span: span.start_time_unix_nano):
        if span.parent_span_id == parent:
            took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
            said = " ".join(f"{name}={value}" for name, value in attributes(span).items())
            print(f"{'  ' * depth}{span.name} {took:.1f} ms {said}", flush=True)
            tree(spans, span.span_id, depth + 1)


def main():
    collector, shown = Collector(int(sys.argv[1])), 0
    while True:
        time.sleep(3)
        new, shown = collector.spans[shown:], len(collector.spans)
        known = {span.span_id for span in new}
        for root in {(span.trace_id, span.parent_span_id) for span in new if span.parent_span_id not in known}:
            print(f"trace {root[0].hex()}")
            tree([span for span in new if span.trace_id == root[0]], root[1], 1)


if __name__ == "__main__":
    main()
