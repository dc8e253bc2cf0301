"""Metrics, as Prometheus's own parsers and promtool read them; its alerts, played; and the dashboard's expressions."""

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

import grpc
import pytest
import yaml
from conftest import ROOT, running
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
PLAYED = ROOT / "deploy" / "prometheus" / "alerts_test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "gizad.json"
# What Prometheus itself says of a target.
ITS_OWN = {"up"}


@pytest.fixture(scope="session")
def promtool():
    path = subprocess.run([ROOT / "tests" / "promtool"], check=True, capture_output=True, text=True).stdout.strip()

    def run(*arguments, text=None):
        return subprocess.run([path, *map(str, arguments)], input=text, capture_output=True, text=True)
    return run


def get(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.headers["content-type"], answer.read().decode()


def scraped(gateway, accept):
    return get(f"http://{gateway['admin']}/metrics", accept=accept)


def values(families):
    """Every value by its name and labels; bounds of buckets are numbers, however they are written."""
    def words(labels):
        return sorted((label, float(word) if label == "le" else word) for label, word in labels.items())
    return {(one.name, *words(one.labels)): one.value for family in families for one in family.samples}


def documented():
    """The names of docs/metrics.md, which is compared with the table in the source, each with its kind."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    return dict(re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|", text, re.MULTILINE))


def names(expression):
    """The metrics of an expression: neither functions nor labels, which stand before a bracket or in one."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b(?:gizad|process)_[a-z_]+\b|\bup\b", bare))


def known(name):
    kinds = documented()
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return name in ITS_OWN or kinds.get(name) in ("counter", "gauge") or (base != name and kinds.get(base) == "histogram")


def expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def test_the_official_parsers_read_the_same_in_both_formats(promtool):
    with running(metrics_account_interval="1m") as gateway:
        for _ in range(3):
            get(f"http://{gateway['api']}/catalog/vps-plans")
        # What comes by itself has come.
        while 'gizad_account_looks_total{result="success"} 1' not in scraped(gateway, "*/*")[1]:
            time.sleep(0.01)
        kind, text = scraped(gateway, "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4")
        assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        # It refuses what is not to the letter: order, suffixes, units, the end.
        families = list(openmetrics.text_string_to_metric_families(text))
        kind, plain = scraped(gateway, "text/plain;version=0.0.4")
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
    older = list(parser.text_string_to_metric_families(plain))
    found = values(families)
    hits = ("gizad_requests_total", ("caller", "anonymous"), ("face", "rest"),
            ("operation", "CatalogService.ListVpsPlans"), ("outcome", "OK"))
    assert found[hits] == 3 == values(older)[hits]
    # The same, but for what a scrape itself changes.
    moving = ("process_", "gizad_pace_", "gizad_retry_budget", "gizad_ledger_", "gizad_account_", "gizad_connections")
    still = [{key: value for key, value in all.items() if not key[0].startswith(moving)} for all in (found, values(older))]
    assert still[0] == still[1]
    # Everything that is scraped is documented, as what it is.
    kinds = documented()
    for family in families:
        full = f"{family.name}_total" if family.type == "counter" else family.name
        assert kinds[full] == family.type, family.name
        assert family.documentation
    linted = promtool("check", "metrics", text=plain)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def own_address():
    """The address by which this machine is seen from elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        # Nothing is sent.
        out.connect(("192.0.2.1", 9))
        return out.getsockname()[0]


@pytest.mark.parametrize("everyone", ["false", "true"])
def test_who_comes_from_elsewhere_reads_them_only_if_everyone_may(everyone):
    with running(host="0.0.0.0", metrics_everyone=everyone) as gateway:
        port = gateway["admin"].rpartition(":")[2]
        there, here = (f"http://{address}:{port}" for address in (own_address(), "127.0.0.1"))
        assert "gizad_ready 1.0" in get(f"{here}/metrics")[1]
        for path in ["/metrics", "/status"]:
            if path == "/metrics" and everyone == "true":
                assert "gizad_ready 1.0" in get(f"{there}{path}")[1]
            else:
                with pytest.raises(urllib.error.HTTPError, match="403"):
                    get(f"{there}{path}")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(f"{there}/metrics", origin="https://evil.example")


def test_every_alert_fires_and_does_not_fire(promtool):
    played = promtool("test", "rules", PLAYED)
    assert played.returncode == 0, played.stdout + played.stderr
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    tests = {test["name"]: test["promql_expr_test"] for test in yaml.safe_load(PLAYED.read_text())["tests"]}
    for rule in rules:
        name = rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert all(rule["annotations"][part].strip() for part in ("summary", "description", "runbook")), name
        assert names(rule["expr"]) and all(map(known, names(rule["expr"]))), f"{name}: {names(rule['expr'])}"
        silent, firing = tests[name]
        assert "exp_samples" not in silent, name
        assert name in firing["exp_samples"][0]["labels"], name
    assert len(tests) == len(rules) + 1


def test_the_dashboard_asks_for_what_there_is(promtool, tmp_path):
    asked = expressions()
    assert len(asked) > 50
    for expression in asked:
        assert names(expression) and all(map(known, names(expression))), f"{expression}: {names(expression)}"
    # And in a language that Prometheus understands.
    rules = [{"record": f"panel:{number}", "expr": one.replace("$__rate_interval", "1m")} for number, one in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    # Whatever is measured can be seen.
    seen = set().union(*map(names, asked))
    unseen = {name for name, kind in documented().items() if name not in seen and f"{name}_bucket" not in seen}
    assert unseen <= {
        "gizad_build_info", "gizad_last_reload_success_timestamp_seconds", "gizad_account_looks_total",
        "gizad_account_last_success_timestamp_seconds", "process_virtual_memory_bytes", "process_start_time_seconds",
    }, unseen


def test_a_name_that_there_is_not_would_be_found():
    assert names('sum by (caller) (rate(gizad_nothing_total{caller="gizad_x"}[5m])) > up') == {"gizad_nothing_total", "up"}
    assert not known("gizad_nothing_total") and not known("gizad_requests") and not known("gizad_ready_bucket")
    assert known("gizad_ledger_duration_seconds_bucket") and not known("gizad_ledger_duration_seconds")


def test_the_health_over_grpc_ends_with_readiness():
    """For each service by its name, as for all of them."""
    services = ["", "gizad.v1.WalletService", "gizad.v1.VpsService", "gizad.v1.OperationService"]
    with running() as gateway, grpc.insecure_channel(gateway["api"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watched = [stub.Watch(health_pb2.HealthCheckRequest(service=service)) for service in services]
        for watch in watched:
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        gateway["stop"]()
        for watch in watched:
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
