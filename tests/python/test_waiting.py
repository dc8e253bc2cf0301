"""Waiting and watching as clients see it that share no line with gizad: the official grpcio, and a browser's EventSource."""

import importlib
import json
import urllib.request

import grpc
import pytest
from conftest import running

QUICK = {"watch_quick": "50ms", "watch_slow": "100ms", "sandbox_power_time": "300ms", "sandbox_deposit_time": "1s", "state_dir": ""}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    with running(**QUICK, ledger_dir=str(tmp_path_factory.mktemp("ledger"))) as gateway:
        yield gateway


def stubs_of(channel, file, service):
    """The generated stub of a service, and its messages."""
    stubs = importlib.import_module(f"gizad.v1.{file}_pb2_grpc")
    return getattr(stubs, f"{service}ServiceStub")(channel), importlib.import_module(f"gizad.v1.{file}_pb2")


@pytest.fixture
def vps(watched):
    with grpc.insecure_channel(watched["api"]) as channel:
        yield stubs_of(channel, "vps", "Vps")


@pytest.fixture
def wallet(watched):
    with grpc.insecure_channel(watched["api"]) as channel:
        yield stubs_of(channel, "wallet", "Wallet")


def post(gateway, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{gateway['api']}{path}", data, headers, method="POST")
    with urllib.request.urlopen(request, timeout=40) as answer:
        return json.load(answer)


def test_a_call_waits_for_what_it_leads_to(vps):
    stub, messages = vps
    stopped = stub.StopVps(messages.StopVpsRequest(vps_id=1, wait="30s"), timeout=40)
    assert stopped.waited.reached and stopped.waited.wanted == "power OFF" and not stopped.pending
    started = stub.StartVps(messages.StartVpsRequest(vps_id=1, wait="30s"), timeout=40)
    assert started.waited.reached and started.changed
    # It runs, so there is nothing to do.
    again = stub.StartVps(messages.StartVpsRequest(vps_id=1), timeout=40)
    assert again.HasField("changed") and not again.changed


def test_a_vps_is_streamed(vps):
    stub, messages = vps
    power = messages.VpsStatus.Power.Name
    stream = stub.WatchVps(messages.WatchVpsRequest(vps_id=2), timeout=60)
    assert power(next(stream).power) == "ON"
    stub.StopVps(messages.StopVpsRequest(vps_id=2), timeout=40)
    assert power(next(stream).power) == "OFF"
    stream.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.WatchVps(messages.WatchVpsRequest(vps_id=99), timeout=60))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_deposit_is_streamed_until_it_is_paid(wallet):
    stub, messages = wallet
    order = stub.CreateDeposit(messages.CreateDepositRequest(amount_vnd=200000), timeout=40).order_id
    states = [one.state for one in stub.WatchDeposit(messages.WatchDepositRequest(order_id=order), timeout=60)]
    assert [messages.Deposit.State.Name(state) for state in states][-1] == "PAID"


def test_a_browser_listens_and_stops_coming_back(watched, browser):
    """EventSource, on a page of gizad's own: every event once, the end, and no request after it."""
    order = post(watched, "/wallet/deposits", {"amount_vnd": 300000})["order_id"]
    page = browser.new_context().new_page()
    page.goto(f"http://{watched['api']}/docs")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/events") else None)
    seen = page.evaluate(
        """path => new Promise(done => {
            const seen = [], source = new EventSource(path);
            source.onmessage = event => seen.push(JSON.parse(event.data).state);
            source.addEventListener('end', () => seen.push('end'));
            // Told that there is nothing more, it does not come back by itself.
            source.onerror = () => source.readyState === EventSource.CLOSED && done(seen);
        })""",
        f"/wallet/deposits/{order}/events",
    )
    assert seen[-2:] == ["PAID", "end"] and seen.count("PAID") == 1, seen
    # It came once more, with what it had, and was told so (204).
    assert len(asked) == 2, asked
