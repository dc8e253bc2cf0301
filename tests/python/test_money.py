"""Purchases, as the official gRPC client sees them: one answer a key, an operation for everything, clear errors."""

import importlib
import json
import urllib.request
import uuid

import grpc
import pytest
from conftest import running
from google.rpc import error_details_pb2
from grpc_status import rpc_status

PRICE = 149_000


@pytest.fixture(scope="module")
def shop():
    """A gateway of its own, which looks soon at what is in doubt."""
    patient = dict(pace_rate="1000/s", pace_burst="1000", retry_attempts="1", breaker_failures="1000")
    with running(purchase_look_every="200ms", **patient) as ready:
        with grpc.insecure_channel(ready["api"]) as channel:
            yield ready, channel


@pytest.fixture
def vps(shop):
    messages = importlib.import_module("gizad.v1.vps_pb2")
    stubs = importlib.import_module("gizad.v1.vps_pb2_grpc")
    return stubs.VpsServiceStub(shop[1]), messages


@pytest.fixture
def operations(shop):
    messages = importlib.import_module("gizad.v1.operations_pb2")
    stubs = importlib.import_module("gizad.v1.operations_pb2_grpc")
    return stubs.OperationServiceStub(shop[1]), messages


def order(messages, key="", **more):
    """The order of a server whose name nobody else has."""
    fields = dict(
        plan_id=26, hostname=f"s-{uuid.uuid4().hex[:12]}", password="StrongPass@123", os="ubuntu-22.04",
        billing_cycle="monthly", request_id=key,
    )
    return messages.CreateVpsRequest(**(fields | more))


def executions(shop):
    return len(json.load(urllib.request.urlopen(f"http://{shop[0]['sandbox_control']}/ledger")))


def spoil(shop, control, **fault):
    control(shop[0], "/faults", {"action": "create_vps", **fault})


def failed(call, request):
    """The failure of a call, with its `ErrorInfo` and all that was said beside it."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=20)
    packed = next(one for one in rpc_status.from_call(caught.value).details if one.Is(error_details_pb2.ErrorInfo.DESCRIPTOR))
    said = dict(caught.value.initial_metadata() or ()) | dict(caught.value.trailing_metadata() or ())
    return caught.value.code(), error_details_pb2.ErrorInfo.FromString(packed.value), said


def test_a_purchase_is_an_operation_and_its_repetition_the_same(shop, vps, operations):
    stub, messages = vps
    before, request = executions(shop), order(messages, str(uuid.uuid4()), max_price_vnd=PRICE)
    bought, made = stub.CreateVps.with_call(request, timeout=20)
    assert bought.done and bought.State.Name(bought.state) == "SUCCEEDED" and bought.posted_vnd == PRICE
    assert bought.request_id == request.request_id and list(bought.purchase.service_ids)
    assert dict(made.initial_metadata())["location"] == f"/operations/{bought.operation_id}"
    assert "idempotent-replayed" not in dict(made.initial_metadata())
    again, made = stub.CreateVps.with_call(request, timeout=20)
    assert again == bought
    assert dict(made.initial_metadata())["idempotent-replayed"] == "true"
    assert executions(shop) == before + 1
    stub, messages = operations
    read = stub.GetOperation(messages.GetOperationRequest(operation_id=bought.operation_id, wait="5s"), timeout=20)
    assert [messages.Operation.State.Name(event.state) for event in read.history] == ["SENDING", "SUCCEEDED"]
    listed = stub.ListOperations(messages.ListOperationsRequest(request_id=bought.request_id), timeout=20)
    assert [one.operation_id for one in listed.operations] == [bought.operation_id] and not listed.next_page_token


def test_a_purchase_needs_a_key_and_a_key_stands_for_one(shop, vps):
    stub, messages = vps
    before, key = executions(shop), str(uuid.uuid4())
    code, info, _ = failed(stub.CreateVps, order(messages))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REQUIRED")
    bought = stub.CreateVps(order(messages, key), timeout=20)
    code, info, _ = failed(stub.CreateVps, order(messages, key))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED")
    assert info.metadata["operation_id"] == bought.operation_id and info.metadata["sent"] == "never"
    assert executions(shop) == before + 1


def test_an_unknown_outcome_asks_not_to_be_repeated_and_is_found_out(shop, vps, operations, control):
    stub, messages = vps
    before, request = executions(shop), order(messages, str(uuid.uuid4()))
    spoil(shop, control, kind="close_after")
    code, info, said = failed(stub.CreateVps, request)
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OUTCOME_UNKNOWN")
    assert said["grpc-retry-pushback-ms"] == "-1"
    assert info.metadata["sent"] == "maybe"
    assert said["location"] == f"/operations/{info.metadata['operation_id']}"
    stub, messages = operations
    stub.ReconcileOperation(messages.ReconcileOperationRequest(operation_id=info.metadata["operation_id"]), timeout=20)
    asked = messages.GetOperationRequest(operation_id=info.metadata["operation_id"], wait="15s")
    found = stub.GetOperation(asked, timeout=20)
    assert found.State.Name(found.state) == "FOUND" and found.done and found.posted_vnd == PRICE
    assert len(found.evidence.findings) == 3 and len(found.evidence.service_ids) == 1
    assert executions(shop) == before + 1
    code, info, _ = failed(stub.ApproveOperation, messages.ApproveOperationRequest(operation_id=found.operation_id))
    assert code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION)


def test_the_library_repeats_no_purchase_even_if_it_is_told_to_repeat_everything(shop, control, stubs):
    """A service config as meshes ship it: UNAVAILABLE is repeated five times."""
    messages = importlib.import_module("gizad.v1.vps_pb2")
    service = importlib.import_module("gizad.v1.vps_pb2_grpc")
    codes = ["UNAVAILABLE", "FAILED_PRECONDITION", "ABORTED", "UNKNOWN"]
    policy = {"maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1,
              "retryableStatusCodes": codes}
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    options = [("grpc.service_config", config), ("grpc.enable_retries", 1)]
    wallet = importlib.import_module("gizad.v1.wallet_pb2"), importlib.import_module("gizad.v1.wallet_pb2_grpc")
    urllib.request.urlopen(
        urllib.request.Request(f"http://{shop[0]['sandbox_control']}/requests", method="DELETE")
    ).read()
    with grpc.insecure_channel(shop[0]["api"], options=options) as channel:
        # A read is repeated: the library does as it was told.
        control(shop[0], "/faults", {"action": "balance", "kind": "error500", "times": 5})
        failed(wallet[1].WalletServiceStub(channel).GetWallet, wallet[0].GetWalletRequest())
        spoil(shop, control, kind="close_before")
        code, info, said = failed(service.VpsServiceStub(channel).CreateVps, order(messages, str(uuid.uuid4())))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OUTCOME_UNKNOWN")
    assert "idempotent-replayed" not in said, "the first answer was the last"
    seen = json.load(urllib.request.urlopen(f"http://{shop[0]['sandbox_control']}/requests"))
    asked = [json.loads(one["body"])["action"] for one in seen if one["body"]]
    assert asked.count("balance") >= 5 and asked.count("create_vps") == 1, asked


def test_a_person_states_what_became_of_it(shop, vps, operations, control):
    stub, messages = vps
    before = executions(shop)
    spoil(shop, control, kind="close_before")
    _, info, _ = failed(stub.CreateVps, order(messages, str(uuid.uuid4())))
    stub, messages = operations
    absent = messages.ResolveOperationRequest.ABSENT
    request = messages.ResolveOperationRequest(operation_id=info.metadata["operation_id"], outcome=absent, note="looked")
    stated = stub.ResolveOperation(request, timeout=20)
    assert stated.State.Name(stated.state) == "ABSENT" and stated.note == "looked" and stated.decided_by
    code, info, _ = failed(stub.ResolveOperation, request)
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OPERATION_STATE")
    assert executions(shop) == before


def test_what_is_only_checked_sends_nothing(shop, vps):
    stub, messages = vps
    before = executions(shop)
    checked = stub.CreateVps(order(messages, validate_only=True, max_price_vnd=1), timeout=20)
    assert not checked.operation_id and checked.preview.price_vnd == PRICE
    assert [one.reason for one in checked.preview.objections] == ["PRICE_TOO_HIGH"]
    assert checked.preview.balance_before_vnd - checked.preview.balance_after_vnd == PRICE
    assert executions(shop) == before


def test_operations_are_streamed_as_they_change(shop, vps, operations, control):
    (stub, messages), (records, requests) = vps, operations
    names = requests.Operation.State.Name
    watched = records.WatchOperations(requests.WatchOperationsRequest(), timeout=20)
    spoil(shop, control, kind="close_after")
    key = uuid.uuid4().hex
    failed(stub.CreateVps, order(messages, key))
    seen = []
    for operation in watched:
        if operation.request_id == key and (not seen or seen[-1] != names(operation.state)):
            seen.append(names(operation.state))
            if operation.done:
                break
    watched.cancel()
    # A stream shows where something stands, not every step to it.
    assert seen[-1] == "FOUND" and set(seen) <= {"SENDING", "IN_DOUBT", "FOUND"}, seen
    # With too little time it ends as every call does.
    with pytest.raises(grpc.RpcError) as caught:
        list(records.WatchOperations(requests.WatchOperationsRequest(), timeout=0.5))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
