"""Deadlines, limits and the memory, as the official gRPC client sees them."""

import importlib
import time

import grpc
import pytest
from conftest import running
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def stub(channel, file, service):
    messages = importlib.import_module(f"gizad.v1.{file}_pb2")
    stubs = importlib.import_module(f"gizad.v1.{file}_pb2_grpc")
    return getattr(stubs, f"{service}ServiceStub")(channel), messages


def plans(channel, *metadata):
    catalog, messages = stub(channel, "catalog", "Catalog")
    reply, made = catalog.ListVpsPlans.with_call(messages.ListVpsPlansRequest(), metadata=metadata, timeout=20)
    return reply, dict(made.initial_metadata())


def test_memory_is_told_in_metadata(channel):
    first, told = plans(channel)
    again, told_again = plans(channel)
    assert first == again
    assert told["etag"] == told_again["etag"]
    assert told_again["cache-status"].startswith("gizad; hit")
    assert told_again["cache-control"].startswith("public, max-age=")
    assert int(told_again["age"]) >= 0
    assert "cache-status" in plans(channel, ("cache-control", "no-cache"))[1]


def test_a_deadline_ends_the_waiting_and_is_no_success(gateway, channel, control):
    vps, messages = stub(channel, "vps", "Vps")
    control(gateway, "/faults", {"action": "vps_status", "kind": "delay", "ms": 3000})
    begun = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        vps.GetVpsStatus(messages.GetVpsStatusRequest(vps_id=1), timeout=0.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begun < 3


def test_what_is_never_kept_cannot_come_from_memory(channel):
    wallet, messages = stub(channel, "wallet", "Wallet")
    with pytest.raises(grpc.RpcError) as caught:
        wallet.GetWallet(messages.GetWalletRequest(), metadata=[("cache-control", "only-if-cached")], timeout=5)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert details(caught.value)["ErrorInfo"].reason == "NOT_CACHED"


def test_a_limit_names_itself_and_says_when_to_try_again():
    with running(quota_rate="6/m", quota_burst="2") as ready, grpc.insecure_channel(ready["api"]) as channel:
        wallet, messages = stub(channel, "wallet", "Wallet")
        for _ in range(2):
            wallet.GetWallet(messages.GetWalletRequest(), timeout=20)
        with pytest.raises(grpc.RpcError) as caught:
            wallet.GetWallet(messages.GetWalletRequest(), timeout=20)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    found = details(caught.value)
    assert found["ErrorInfo"].reason == "QUOTA_EXCEEDED"
    assert found["QuotaFailure"].violations[0].subject == "caller"
    assert 8 <= found["RetryInfo"].retry_delay.seconds <= 10
    metadata = dict(caught.value.initial_metadata() or ()) | dict(caught.value.trailing_metadata())
    assert metadata["ratelimit-policy"] == '"caller";q=2;w=20'
    assert metadata["ratelimit"].startswith('"caller";r=0;t=')


def details(error):
    """The details of a failure, by the names of their types."""
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.QuotaFailure, error_details_pb2.RetryInfo)
    packed = rpc_status.from_call(error).details
    return {kind.DESCRIPTOR.name: kind.FromString(one.value) for one in packed for kind in kinds if one.Is(kind.DESCRIPTOR)}
