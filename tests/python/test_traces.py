"""Traces as a collector gets them: a real receiver, which reads them with OpenTelemetry's own Python package."""

import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
import pytest
from collector import PATIENCE, Collector, attributes
from conftest import BINARY, real, running
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"
ORDER = {"plan_id": 26, "hostname": "a", "password": "Canary@Pass1", "os": "ubuntu-22.04", "billing_cycle": "monthly"}


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


def ask(gateway, path, method="GET", body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    if body is not None:
        headers["content-type"] = "application/json"
    request = urllib.request.Request(f"http://{gateway['api']}{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def reached(gateway, action):
    """Waits until the provider has been asked for something."""
    until = time.monotonic() + PATIENCE
    while action.encode() not in urllib.request.urlopen(f"http://{gateway['sandbox_control']}/requests").read():
        assert time.monotonic() < until
        time.sleep(0.01)


def hang_up(gateway, action, line, body="", headers="accept: */*"):
    """Asks for something, and goes away as soon as the provider is asked."""
    host, port = gateway["api"].rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        head = f"{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}"
        connection.sendall(f"{head}\r\n\r\n{body}".encode())
        reached(gateway, action)


def metrics(gateway):
    text = urllib.request.urlopen(f"http://{gateway['admin']}/metrics").read().decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return [float(values.get(f"gizad_spans_{what}_total", "nan")) for what in ("sent", "dropped")]


def ended(process):
    process.terminate()
    return process.wait(timeout=40)


def test_a_call_over_rest_is_a_part_of_its_callers_trace(collector):
    with running(traces_endpoint=collector.url, traces_resource_attributes="deployment.environment=a%20b") as gateway:
        status, headers, _ = ask(gateway, "/wallet", traceparent=PARENT, tracestate="rojo=1,congo=2")
        call = collector.named("gizad.v1.WalletService/GetWallet")
        collector.wait(lambda spans: collector.of(call))
        (attempt,) = collector.of(call)
    assert status == 200
    assert (call.trace_id.hex(), call.parent_span_id.hex(), call.trace_state) == (TRACE, SPAN, "rojo=1,congo=2")
    assert headers["traceresponse"] == f"00-{TRACE}-{call.span_id.hex()}-01"
    assert (call.kind, attempt.kind) == (trace_pb2.Span.SPAN_KIND_SERVER, trace_pb2.Span.SPAN_KIND_CLIENT)
    assert call.flags == 0x301 and attempt.flags == 0x101, "the parent is elsewhere, and here"
    said = attributes(call)
    assert said == {
        "http.request.method": "GET", "http.route": "/wallet", "http.response.status_code": 200,
        "network.protocol.version": "1.1", "gizad.operation": "WalletService.GetWallet", "gizad.caller": "anonymous",
        "gizad.effect": "read", "gizad.outcome": "OK", "gizad.source": "provider", "gizad.sent": "answered",
        "gizad.rule": said["gizad.rule"],
    }
    told = attributes(attempt)
    assert attempt.name == "POST balance" and attempt.trace_id == call.trace_id
    assert told == {
        "http.request.method": "POST", "server.address": "127.0.0.1", "server.port": told["server.port"],
        "gizad.attempt": 1, "http.response.status_code": 200, "gizad.sent": "answered", "gizad.rule": said["gizad.rule"],
    }
    assert call.start_time_unix_nano <= attempt.start_time_unix_nano <= attempt.end_time_unix_nano
    assert abs(call.start_time_unix_nano / 1e9 - time.time()) < 600
    assert call.status.code == trace_pb2.Status.STATUS_CODE_UNSET
    resource = collector.resource
    assert resource["service.name"] == "gizad" and resource["deployment.environment"] == "a b"
    assert resource["service.version"] and resource["service.instance.id"]
    assert collector.requests[0][0] == "/v1/traces"
    line = next(line for line in gateway["log"] if line["message"] == "call")
    assert (line["trace_id"], line["span_id"]) == (TRACE, call.span_id.hex())


def test_a_call_over_grpc_is_one_too(collector):
    from gizad.v1 import vps_pb2, vps_pb2_grpc
    from gizad.v1 import wallet_pb2, wallet_pb2_grpc
    with running(traces_endpoint=collector.url) as gateway:
        with grpc.insecure_channel(gateway["api"]) as channel:
            metadata = (("traceparent", PARENT), ("tracestate", "rojo=1"))
            wallet_pb2_grpc.WalletServiceStub(channel).GetWallet(
                wallet_pb2.GetWalletRequest(), metadata=metadata, timeout=PATIENCE)
            with pytest.raises(grpc.RpcError):
                vps_pb2_grpc.VpsServiceStub(channel).GetVps(
                    vps_pb2.GetVpsRequest(vps_id=99), metadata=metadata, timeout=PATIENCE)
        call = collector.named("gizad.v1.WalletService/GetWallet")
        lost = collector.named("gizad.v1.VpsService/GetVps")
        collector.wait(lambda spans: collector.of(call) and collector.of(lost))
        (attempt,) = collector.of(call)
    assert (call.trace_id.hex(), call.parent_span_id.hex(), call.trace_state) == (TRACE, SPAN, "rojo=1")
    said = attributes(call)
    assert {name: said[name] for name in said if name.startswith(("rpc.", "network."))} == {
        "rpc.system": "grpc", "rpc.service": "gizad.v1.WalletService", "rpc.method": "GetWallet",
        "rpc.grpc.status_code": 0, "network.protocol.version": "2",
    }
    assert attempt.name == "POST balance"
    said = attributes(lost)
    # Whoever asks for what is not there has made a mistake, and gizad has not.
    assert (said["rpc.grpc.status_code"], said["error.type"]) == (5, "NOT_FOUND")
    assert lost.status.code == trace_pb2.Status.STATUS_CODE_UNSET


def test_every_attempt_is_a_part_and_says_what_became_of_it(collector, control):
    with running(traces_endpoint=collector.url, retry_base="1ms") as gateway:
        control(gateway, "/faults", {"kind": "error500"})
        assert ask(gateway, "/wallet", traceparent=PARENT)[0] == 200
        control(gateway, "/faults", {"kind": "error500", "times": 9})
        assert ask(gateway, "/vps/7/start", "POST", traceparent=PARENT)[0] == 502
        call, failed = (collector.named(f"gizad.v1.{name}") for name in ("WalletService/GetWallet", "VpsService/StartVps"))
        collector.wait(lambda spans: len(collector.of(call)) == 2 and len(collector.of(failed)) >= 1)
    attempts = sorted(map(attributes, collector.of(call)), key=lambda said: said["gizad.attempt"])
    assert [(said["gizad.attempt"], said.get("error.type"), said["http.response.status_code"]) for said in attempts] == [
        (1, "UPSTREAM_FAILED", 500), (2, None, 200)]
    assert attributes(failed)["error.type"] == "UPSTREAM_FAILED"
    assert failed.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    # The number of a server is no route.
    assert attributes(failed)["http.route"] == "/vps/{vps_id}/start"


def test_who_waits_for_a_turn_is_seen_to_wait(collector):
    with running(traces_endpoint=collector.url, pace_rate="30/m", pace_burst="1", state_dir="") as gateway:
        calls = [threading.Thread(target=ask, args=(gateway, f"/vps/{number}/status")) for number in range(4)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        wait = collector.named("wait for a turn")
    assert attributes(wait)["gizad.lane"] == "poll" and wait.kind == trace_pb2.Span.SPAN_KIND_INTERNAL
    assert wait.end_time_unix_nano > wait.start_time_unix_nano


def test_a_purchase_ends_its_own_part_however_long_its_caller_waits(collector, control):
    with running(traces_endpoint=collector.url) as gateway:
        control(gateway, "/faults", {"kind": "delay", "ms": 6000, "action": "create_vps"})
        hang_up(gateway, "create_vps", "POST /vps", json.dumps(ORDER), f"idempotency-key: k-1\r\ntraceparent: {PARENT}")
        call = collector.named("gizad.v1.VpsService/CreateVps")
        purchase = collector.named("purchase")
        collector.wait(lambda spans: [part for part in collector.of(purchase) if part.name == "POST create_vps"])
    assert purchase.parent_span_id == call.span_id and purchase.trace_id.hex() == TRACE
    said = attributes(purchase)
    assert said["gizad.state"] == "SUCCEEDED" and said["gizad.operation_id"].startswith("op_")
    assert purchase.end_time_unix_nano > call.end_time_unix_nano, "it went on"
    assert (attributes(call)["gizad.caller"], attributes(call)["error.type"]) == ("anonymous", "CANCELLED")
    parts = collector.of(purchase)
    writes = [attributes(part) for part in parts if part.name == "write to the ledger"]
    assert [said["gizad.state"] for said in writes] == ["SENDING", "SUCCEEDED"]
    (sent,) = [part for part in parts if part.name == "POST create_vps"]
    assert attributes(sent)["gizad.attempt"] == 1
    looks = {part.name for part in parts} - {"write to the ledger", "POST create_vps", "wait for a turn"}
    assert {"POST balance", "POST transactions", "GET list_plans"} <= looks, "what is looked at before it is a part of it"


def test_whoever_joins_a_purchase_is_linked_to_it(collector, control):
    with running(traces_endpoint=collector.url) as gateway:
        control(gateway, "/faults", {"kind": "delay", "ms": 6000, "action": "create_vps"})
        answers = []
        one = threading.Thread(target=lambda: answers.append(ask(gateway, "/vps", "POST", ORDER, idempotency_key="k-1")))
        one.start()
        reached(gateway, "create_vps")
        answers.append(ask(gateway, "/vps", "POST", ORDER, idempotency_key="k-1", traceparent=PARENT))
        one.join()
        calls = collector.wait(lambda spans: sum(span.name.endswith("CreateVps") for span in spans) == 2)
        purchase = collector.named("purchase")
    assert [status for status, _, _ in answers] == [201, 201]
    joined = next(span for span in calls if span.name.endswith("CreateVps") and span.trace_id.hex() == TRACE)
    assert [(link.trace_id, link.span_id) for link in joined.links] == [(purchase.trace_id, purchase.span_id)]
    assert purchase.trace_id != joined.trace_id


@pytest.mark.parametrize("sampler, ratio, context, recorded", [
    ("parentbased_traceidratio", "1", None, True), ("parentbased_traceidratio", "0", None, False),
    ("parentbased_traceidratio", "1", UNSAMPLED, False), ("parentbased_traceidratio", "0", PARENT, True),
    ("parentbased_always_off", "1", PARENT, True), ("always_on", "0", UNSAMPLED, True), ("always_off", "1", PARENT, False),
    ("traceidratio", "1", UNSAMPLED, True),
])
def test_who_decides_what_is_recorded(collector, sampler, ratio, context, recorded):
    with running(traces_endpoint=collector.url, traces_sampler=sampler, traces_sample_ratio=ratio) as gateway:
        headers = {"traceparent": context} if context else {}
        answer = ask(gateway, "/wallet", **headers)[1]
        # At the end, everything there is has been sent.
        assert ended(gateway["process"]) == 0
    assert bool(collector.spans) == recorded
    assert (answer.get("traceresponse", "").endswith("-01")) == recorded


def test_what_memory_answers_is_recorded_and_what_is_refused_is_too(collector):
    with running(traces_endpoint=collector.url) as gateway:
        for _ in range(3):
            assert ask(gateway, "/catalog/vps-plans")[0] == 200
        ask(gateway, "/vps/secret-path/x?y=secret-query")
        ask(gateway, "/vps", "POST", {"plan_id": "x"})
        spans = collector.wait(lambda spans: sum(span.kind == trace_pb2.Span.SPAN_KIND_SERVER for span in spans) == 5)
    hits = [attributes(span)["gizad.source"] for span in spans if span.name.endswith("ListVpsPlans")]
    assert hits == ["provider", "memory", "memory"]
    nothing, wrong = (next(span for span in spans if attributes(span).get("error.type") == reason)
                      for reason in ("ROUTE_NOT_FOUND", "INVALID_ARGUMENT"))
    assert nothing.name == "GET" and attributes(nothing)["http.response.status_code"] == 404
    assert wrong.name == "gizad.v1.VpsService/CreateVps"
    assert b"secret-path" not in b"".join(body for _, _, body in collector.requests)
    assert b"secret-query" not in b"".join(body for _, _, body in collector.requests)


def test_who_hangs_up_is_seen_to(collector, control):
    with running(traces_endpoint=collector.url) as gateway:
        control(gateway, "/faults", {"kind": "stall", "action": "balance"})
        hang_up(gateway, "balance", "GET /wallet")
        call = collector.named("gizad.v1.WalletService/GetWallet")
    assert attributes(call)["error.type"] == "CANCELLED"


def test_no_secret_is_in_a_span_and_no_header_in_the_log(collector, tmp_path):
    headers = tmp_path / "headers"
    headers.write_text("authorization: Bearer canary-collector\nx-tenant: shop\n")
    with running(traces_endpoint=collector.url, traces_headers_file=str(headers), log_level="trace",
                 sandbox_secret="canary-secret-1", sandbox_identifier="canary-identifier-1") as gateway:
        ask(gateway, "/vps", "POST", ORDER, idempotency_key="canary-key-1")
        console = json.loads(ask(gateway, "/vps/1/vnc", "POST")[2])
        deposit = json.loads(ask(gateway, "/wallet/deposits", "POST", {"amount_vnd": 500000})[2])
        ask(gateway, f"/wallet/deposits/{deposit['order_id']}")
        ask(gateway, "/vps/1/password", "POST", {"password": "Canary@Pass2"})
        ask(gateway, "/wallet", authorization="Bearer gzd_canary-token")
        assert ended(gateway["process"]) == 0
    sent = b"".join(body for _, _, body in collector.requests)
    assert b"purchase" in sent and b"GetDeposit" in sent
    secrets = ["canary-secret-1", "canary-identifier-1", "Canary@Pass1", "Canary@Pass2", "canary-token", "canary-key-1",
               deposit["order_id"], console["url"], console["password"]]
    for secret in filter(None, secrets):
        assert secret.encode() not in sent, secret
    told = [headers for _, headers, _ in collector.requests]
    assert all(headers["authorization"] == "Bearer canary-collector" and headers["x-tenant"] == "shop" for headers in told)
    log = json.dumps(gateway["log"])
    assert "TRACE" in log and "canary-collector" not in log


def test_opentelemetrys_own_variables_are_read_and_the_secret_is_taken_out(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{collector.url}/base/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary-otel,x-tenant=shop")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway-1")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod-7")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    with running() as gateway:
        environ = open(f"/proc/{gateway['process'].pid}/environ", "rb").read()
        ask(gateway, "/wallet", traceparent=UNSAMPLED)
        assert ended(gateway["process"]) == 0
    path, headers, _ = collector.requests[0]
    assert path == "/base/v1/traces" and headers["authorization"] == "Bearer canary-otel" and headers["x-tenant"] == "shop"
    assert (collector.resource["service.name"], collector.resource["k8s.pod.name"]) == ("gateway-1", "pod-7")
    assert b"canary-otel" not in environ
    shown = subprocess.run([BINARY, "check", "--sandbox"], capture_output=True, text=True)
    assert shown.returncode == 0 and "canary-otel" not in shown.stdout + shown.stderr
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with running() as gateway:
        ask(gateway, "/wallet")
        assert ended(gateway["process"]) == 0
    assert len(collector.requests) == 1


@pytest.mark.parametrize("setting, text, expected", [
    ("ENDPOINT", "localhost:4318", "expected the URL of a collector"),
    ("ENDPOINT", "http://user:canary@localhost:4318", "expected the URL of a collector"),
    ("PROTOCOL", "grpc", "expected http/protobuf"), ("HEADERS", "canary", "expected name=value"),
    ("HEADERS_FILE", "/nowhere", "expected a file that can be read"), ("SAMPLER", "sometimes", "expected one of parentbased"),
    ("SAMPLE_RATIO", "1.5", "expected a number from 0 to 1"), ("SERVICE_NAME", "", "expected a name"),
])
def test_settings_are_read_strictly_and_no_secret_is_shown(setting, text, expected):
    process = subprocess.run([BINARY, "serve", "--sandbox"], env={f"GIZAD_TRACES_{setting}": text}, capture_output=True, text=True)
    assert process.returncode == 64
    assert f"traces.{setting.lower()}: {expected}" in process.stderr, process.stderr
    assert "canary" not in process.stderr


def test_a_collector_that_is_down_costs_spans_and_two_lines_of_the_log(collector):
    url = collector.url
    port = collector.server.server_port
    collector.close()
    with running(traces_endpoint=url) as gateway:
        for _ in range(20):
            assert ask(gateway, "/wallet")[0] == 200
        until = time.monotonic() + PATIENCE
        while not (lines := [line for line in gateway["log"] if line["message"] == "the collector does not take traces"]):
            assert time.monotonic() < until
            time.sleep(0.02)
        for _ in range(20):
            assert ask(gateway, "/wallet")[0] == 200
        assert "refused" in lines[0]["cause"]
        # It comes back, and gets what has waited.
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        handler = collector.server.RequestHandlerClass
        back = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=back.serve_forever, daemon=True).start()
        try:
            collector.wait(lambda spans: sum(span.kind == trace_pb2.Span.SPAN_KIND_SERVER for span in spans) == 40)
            while not any(line["message"] == "the collector takes traces again" for line in gateway["log"]):
                assert time.monotonic() < until
                time.sleep(0.02)
            while metrics(gateway) != [len(collector.spans), 0]:
                assert time.monotonic() < until, (metrics(gateway), len(collector.spans))
                time.sleep(0.02)
        finally:
            back.shutdown()
            back.server_close()
    said = [line for line in gateway["log"] if "collector" in line["message"]]
    assert len(said) == 2, said


def test_a_slow_collector_keeps_nobody_waiting_and_what_has_no_place_is_counted(collector):
    collector.hold.clear()
    with running(traces_endpoint=collector.url, pace_rate="100000/s", pace_burst="100000", quota_rate="100000/s",
                 quota_burst="100000") as gateway:
        from gizad.v1 import catalog_pb2, catalog_pb2_grpc
        with grpc.insecure_channel(gateway["api"]) as channel:
            stub = catalog_pb2_grpc.CatalogServiceStub(channel)
            stub.ListVpsPlans(catalog_pb2.ListVpsPlansRequest(), timeout=PATIENCE)
            for _ in range(10):
                calls = [stub.ListVpsPlans.future(catalog_pb2.ListVpsPlansRequest(), timeout=PATIENCE) for _ in range(500)]
                for call in calls:
                    call.result()
        until = time.monotonic() + PATIENCE
        # As many as have a place, and the others are lost: 5002 in all.
        while metrics(gateway) != [0, 5002 - 4096]:
            assert time.monotonic() < until, metrics(gateway)
            time.sleep(0.02)
        collector.hold.set()
        collector.wait(lambda spans: len(spans) == 4096)


@pytest.mark.parametrize("answers, sent, dropped, requests", [
    # What passes is sent again, what does not is not.
    ([(503, b"")], 2, 0, 2), ([(429, b"")], 2, 0, 2), ([(400, b"")], 0, 2, 1), ([(401, b"")], 0, 2, 1),
    ([(302, b"")], 0, 2, 1),
    # It takes all but one.
    ([(200, trace_service_pb2.ExportTraceServiceResponse(partial_success={"rejected_spans": 1}).SerializeToString())], 1, 1, 1),
])
def test_what_a_collector_refuses_is_sent_again_only_if_that_helps(collector, answers, sent, dropped, requests):
    collector.answers = answers
    with running(traces_endpoint=collector.url) as gateway:
        ask(gateway, "/wallet")
        until = time.monotonic() + PATIENCE
        while metrics(gateway) != [sent, dropped]:
            assert time.monotonic() < until, metrics(gateway)
            time.sleep(0.02)
    assert len(collector.requests) == requests


def test_what_is_left_is_sent_at_the_end_within_a_bound(collector):
    with running(traces_endpoint=collector.url) as gateway:
        ask(gateway, "/wallet")
        assert ended(gateway["process"]) == 0
        assert len(collector.spans) == 2
    collector.hold.clear()
    with running(traces_endpoint=collector.url) as gateway:
        ask(gateway, "/wallet")
        # A collector that does not answer keeps nobody from stopping.
        assert ended(gateway["process"]) == 0
    lost = [line for line in gateway["log"] if "are lost" in line["message"]]
    assert [line["lost"] for line in lost] == [2], gateway["log"]


def test_nothing_is_said_of_spans_where_none_are_sent():
    with real() as gateway:
        assert metrics(gateway) != metrics(gateway), "absent, and not 0"
