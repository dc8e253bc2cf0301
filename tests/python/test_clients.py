"""The clients in docs/clients, as somebody runs who copies one: what goes well, what goes wrong on the way, and that nothing is bought
twice by any of them."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
import uuid

import pytest
from conftest import BINARY, ROOT, process, running
from cutter import Cutter

LANGUAGES = ["python", "go", "typescript", "rust", "curl"]
PRICE = 149_000


@pytest.fixture(scope="module", params=LANGUAGES)
def client(request):
    """The command that starts it, built."""
    built = subprocess.run([ROOT / "tests" / "clients", request.param], stdout=subprocess.PIPE, text=True, timeout=900)
    assert built.returncode == 0
    return built.stdout.split()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One that repeats nothing itself, so that its callers have to, and looks soon at what is in doubt."""
    socket = tmp_path_factory.mktemp("socket") / "gizad.sock"
    terms = dict(pace_rate="1000/s", pace_burst="1000", retry_attempts="1", breaker_failures="1000", purchase_look_every="200ms")
    with running(["--socket", str(socket)], **terms) as ready:
        yield ready | {"socket": str(socket)}


@pytest.fixture
def way(gateway):
    """The way to the gateway, which can be cut."""
    cutter = Cutter(gateway["api"])
    yield cutter
    cutter.listener.close()


@pytest.fixture
def order(tmp_path):
    """An order of a server whose name nobody else has, in a file."""
    path = tmp_path / "order.json"
    order = json.loads((ROOT / "docs" / "clients" / "order.json").read_text())
    path.write_text(json.dumps(order | {"hostname": f"c-{uuid.uuid4().hex[:12]}"}))
    return path


@contextlib.contextmanager
def started(client, gateway, *arguments, **environment):
    """One that runs, which ends with the block, and in any case after a minute and a half."""
    environment = {**os.environ, "SHOP_GIZAD": gateway["api"], **environment}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # In a group of its own, for one that is a script and starts others.
    with subprocess.Popen([*client, *map(str, arguments)], env=environment, start_new_session=True, **pipes) as one:
        late = threading.Timer(90, end, [one])
        late.start()
        try:
            yield one
        finally:
            late.cancel()
            end(one)


def end(one):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(one.pid, signal.SIGTERM)


def run(client, gateway, *arguments, **environment):
    """The exit code, what it printed, and what it complained of."""
    with started(client, gateway, *arguments, **environment) as one:
        out, err = one.communicate()
        return one.returncode, out, err


def control_get(gateway, path):
    return json.load(urllib.request.urlopen(f"http://{gateway['sandbox_control']}{path}"))


def sent(gateway, order):
    """How often the provider was sent this order."""
    hostname = json.loads(order.read_text())["hostname"]
    bodies = [json.loads(one["body"]) for one in control_get(gateway, "/requests") if one["body"]]
    return len([one for one in bodies if one["action"] == "create_vps" and one["hostname"] == hostname])


def eventually(true, what):
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def test_it_reads(client, gateway):
    balance = control_get(gateway, "/state")["balance"]
    assert run(client, gateway, "wallet") == (0, f"{balance} VND\n", "")
    assert run(client, gateway, "wallet", SHOP_GIZAD=f"unix:{gateway['socket']}") == (0, f"{balance} VND\n", "")


@pytest.mark.parametrize("fault, told", [
    ({"kind": "error500", "times": 2}, "UNAVAILABLE UPSTREAM_FAILED: again in"),
    ({"kind": "rate_limited", "retry_after": 1, "times": 1}, "RESOURCE_EXHAUSTED UPSTREAM_RATE_LIMITED: again in"),
], ids=["unavailable", "limited"])
def test_it_repeats_what_may_be_repeated(client, gateway, control, fault, told):
    control(gateway, "/faults", {"action": "balance", **fault})
    code, out, err = run(client, gateway, "wallet")
    assert code == 0 and out.endswith(" VND\n"), (out, err)
    assert control_get(gateway, "/faults") == []
    # curl repeats without a word.
    assert err.count(told) == fault["times"] or not err and "curl" in client[0], err


def test_it_says_what_is_wrong_and_does_not_repeat_it(client, gateway, order):
    order.write_text(json.dumps(json.loads(order.read_text()) | {"hostname": "-x", "plan_id": 0}))
    code, out, err = run(client, gateway, "buy", order)
    assert code == 1 and out == ""
    assert re.search(r"VALIDATION_FAILED: .*\n(  \w+: .*\n){2}  request [0-9a-f]+\n$", err), err
    assert "  hostname: " in err and "again in" not in err
    assert sent(gateway, order) == 0


def test_it_buys_once_with_a_key_that_is_kept(client, gateway, order):
    code, out, err = run(client, gateway, "buy", order)
    assert (code, err) == (0, "") and re.fullmatch(rf"op_\w+ SUCCEEDED {PRICE} VND service \d+\n", out), (out, err)
    key = order.with_name("order.json.key").read_text().strip()
    assert len(key) >= 26
    assert run(client, gateway, "buy", order) == (0, out, "")
    assert sent(gateway, order) == 1
    # A key that was kept by a process that died is the one that is used.
    order.write_text(json.dumps(json.loads(order.read_text()) | {"billing_cycle": "annually", "max_price_vnd": 2_000_000}))
    code, out, err = run(client, gateway, "buy", order)
    assert code == 1 and "IDEMPOTENCY_KEY_REUSED" in err, (out, err)


def test_it_does_not_repeat_what_nobody_knows_but_asks(client, gateway, control, order):
    control(gateway, "/faults", {"action": "create_vps", "kind": "close_after"})
    code, out, err = run(client, gateway, "buy", order)
    assert code == 0 and re.fullmatch(rf"op_\w+ FOUND {PRICE} VND service \d+\n", out), (out, err)
    key = order.with_name("order.json.key").read_text().strip()
    assert f"OUTCOME_UNKNOWN: asking what became of {key}\n" in err and "again in" not in err
    assert sent(gateway, order) == 1


def test_a_way_that_breaks_under_a_purchase_leads_to_one(client, gateway, control, order, way):
    control(gateway, "/faults", {"action": "create_vps", "kind": "delay", "ms": 1000})
    with started(client, gateway, "buy", order, SHOP_GIZAD=way.address) as one:
        eventually(lambda: sent(gateway, order) == 1, "it was not sent")
        way.cut()
        out, err = one.communicate()
    assert one.returncode == 0 and re.fullmatch(rf"op_\w+ (SUCCEEDED|FOUND) {PRICE} VND service \d+\n", out), (out, err)
    assert sent(gateway, order) == 1


def test_it_watches_over_a_way_that_breaks(client, gateway, control, order, way):
    control(gateway, "/faults", {"action": "create_vps", "kind": "close_before"})
    with started(client, gateway, "buy", order) as buying, started(client, gateway, "watch", SHOP_GIZAD=way.address) as watching:
        key = order.with_name("order.json.key")
        doubt = waited_for(watching, "IN_DOUBT")
        way.cut()
        # Begun anew, a stream tells again what is in doubt. With curl there is none: it goes on where it was.
        assert "curl" in client[0] or waited_for(watching, "IN_DOUBT") == doubt
        decided = {"outcome": "ABSENT", "note": "looked"}
        request = urllib.request.Request(
            f"http://{gateway['api']}/operations/{doubt}/resolve", json.dumps(decided).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request).read()
        assert waited_for(watching, "ABSENT") == doubt
        out, err = buying.communicate()
    assert buying.returncode == 2 and out == f"{doubt} ABSENT 0 VND\n", (out, err)
    assert f"asking what became of {key.read_text().strip()}" in err


def waited_for(watching, state):
    """The operation that a watcher tells next to be in this state."""
    for line in watching.stdout:
        operation, told, *_ = line.split()
        if told == state:
            return operation
    raise AssertionError(f"{state} was not told: {watching.stderr.read()}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A gateway that answers nobody without a token, and the file with one."""
    folder = tmp_path_factory.mktemp("guarded")
    made = subprocess.run([BINARY, "token", "new", "shop", "--scopes", "read"], stdout=subprocess.PIPE, text=True, check=True).stdout
    token, _, settings = made.partition("\n")
    (folder / "token").write_text(token + "\n")
    (folder / "gizad.toml").write_text(settings + "\n[access]\nanonymous = []\n")
    with process(["--sandbox", "--config", str(folder / "gizad.toml")], "127.0.0.1", {}) as ready:
        yield ready, folder / "token"


def test_it_shows_a_token(client, guarded):
    gateway, token = guarded
    code, out, err = run(client, gateway, "wallet", SHOP_TOKEN_FILE=str(token))
    assert (code, err) == (0, "") and out.endswith(" VND\n")
    code, out, err = run(client, gateway, "wallet")
    assert code == 1 and "UNAUTHENTICATED" in err and "again in" not in err, err
