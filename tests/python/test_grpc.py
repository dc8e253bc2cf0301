"""The gRPC face as a client sees it that shares no line with gizad: Python, the official grpcio, stubs from proto/."""

import importlib
import json
import urllib.request
import uuid

import grpc
import pytest
from google.protobuf import json_format, unknown_fields
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

ORDER = dict(plan_id=26, hostname="api-vps-01", password="StrongPass@123", os="ubuntu-22.04", billing_cycle="monthly")

# One request for every RPC, in an order that makes sense on a new account.
CALLS = [
    ("wallet", "Wallet", "GetWallet", {}), ("wallet", "Wallet", "ListTransactions", {}),
    ("wallet", "Wallet", "CreateDeposit", {"amount_vnd": 500000}),
    ("wallet", "Wallet", "GetDeposit", {"order_id": "GZ6"}), ("wallet", "Wallet", "CheckDeposit", {"order_id": "GZ6"}),
    ("services", "Service", "ListExpiringServices", {"within": "60d"}),
    ("catalog", "Catalog", "ListVpsPlans", {}), ("catalog", "Catalog", "ListHostingPlans", {}),
    ("catalog", "Catalog", "ListEmailPlans", {}), ("catalog", "Catalog", "ListKeyProducts", {}),
    ("vps", "Vps", "ListVps", {"view": "FULL"}), ("vps", "Vps", "GetVps", {"vps_id": 1}),
    ("vps", "Vps", "CreateVps", ORDER), ("vps", "Vps", "UpdateVps", {"vps_id": 1, "hostname": "web-02"}),
    ("vps", "Vps", "StopVps", {"vps_id": 1}), ("vps", "Vps", "StartVps", {"vps_id": 1}),
    ("vps", "Vps", "RebootVps", {"vps_id": 1}), ("vps", "Vps", "GetVpsStatus", {"vps_id": 1}),
    ("vps", "Vps", "OpenVpsConsole", {"vps_id": 1}),
    ("vps", "Vps", "ChangeVpsPassword", {"vps_id": 1, "password": "N3w@pass"}),
    ("vps", "Vps", "ListRenewalPrices", {"vps_id": 1}), ("vps", "Vps", "RenewVps", {"vps_id": 1}),
    ("vps", "Vps", "ReinstallVps", {"vps_id": 2, "os": "debian-12", "confirm_hostname": "db-01"}),
    ("hosting", "Hosting", "ListHosting", {}), ("hosting", "Hosting", "GetHosting", {"service_id": 3}),
    ("hosting", "Hosting", "CreateHosting", {"plan_id": 11, "domain": "shop.vn", "billing_cycle": "monthly"}),
    ("hosting", "Hosting", "GetHostingLogin", {"service_id": 3}),
    ("hosting", "Hosting", "ListRenewalPrices", {"service_id": 3}), ("hosting", "Hosting", "RenewHosting", {"service_id": 3}),
    ("email", "Email", "ListEmail", {}), ("email", "Email", "GetEmail", {"service_id": 4}),
    ("email", "Email", "CreateEmail", {"plan_id": 41, "domain": "shop.vn", "billing_cycle": "monthly"}),
    ("email", "Email", "GetEmailLogin", {"service_id": 4}),
    ("email", "Email", "ListRenewalPrices", {"service_id": 4}), ("email", "Email", "RenewEmail", {"service_id": 4}),
    ("keys", "Key", "BuyKey", {"product_id": "proxy-vn-dc"}),
    ("licenses", "License", "BuyLicense", {"product_id": "directadmin"}),
    ("account_orders", "AccountOrder", "CreateAccountOrder", {"product_id": "mail-aged"}),
    ("invoices", "Invoice", "ListInvoices", {}), ("invoices", "Invoice", "PayInvoice", {"invoice_id": "5"}),
    ("profile", "Profile", "GetProfile", {}), ("profile", "Profile", "UpdateProfile", {"phone": "0907654321"}),
    ("tickets", "Ticket", "CreateTicket", {"subject": "VPS không ping được", "message": "Mô tả"}),
    ("tickets", "Ticket", "ListTickets", {}),
    ("operations", "Operation", "ListOperations", {}),
]


def call(channel, file, service, method, request):
    """Calls one RPC with the generated classes."""
    messages = importlib.import_module(f"gizad.v1.{file}_pb2")
    stubs = importlib.import_module(f"gizad.v1.{file}_pb2_grpc")
    descriptor = messages.DESCRIPTOR.services_by_name[f"{service}Service"].methods_by_name[method]
    message = getattr(messages, descriptor.input_type.name)()
    json_format.ParseDict(request, message)
    if service != "Operation" and descriptor.output_type.name == "Operation" and not message.request_id:
        # A purchase, under a key that is new.
        message.request_id = str(uuid.uuid4())
    stub = getattr(stubs, f"{service}ServiceStub")(channel)
    return getattr(stub, method)(message, timeout=20, wait_for_ready=True)


@pytest.fixture(scope="module")
def fresh(gateway):
    """A new account."""
    url = f"http://{gateway['sandbox_control']}/reset"
    urllib.request.urlopen(urllib.request.Request(url, data=b"{}", method="POST")).read()


@pytest.mark.parametrize("row", CALLS, ids=lambda row: f"{row[1]}.{row[2]}")
def test_every_operation_answers_in_its_type(fresh, channel, row):
    reply = call(channel, *row)
    # The reply was decoded by the generated class: nothing may be left that it does not know.
    assert len(unknown_fields.UnknownFieldSet(reply)) == 0
    assert reply.ByteSize() > 0 or row[2] == "ListTransactions"


def test_values_are_those_of_the_sandbox(fresh, channel):
    wallet = call(channel, "wallet", "Wallet", "GetWallet", {})
    assert wallet.HasField("balance_vnd") and wallet.balance_vnd > 0
    plans = {plan.plan_id: plan for plan in call(channel, "catalog", "Catalog", "ListVpsPlans", {}).plans}
    assert plans[26].price_vnd == 149000 and plans[26].prices_vnd["annually"] == 1490000
    assert list(plans[26].operating_systems)[0] == "ubuntu-22.04"
    vps = call(channel, "vps", "Vps", "GetVps", {"vps_id": 1})
    assert vps.expire_time.ToSeconds() > vps.create_time.ToSeconds() > 1_600_000_000
    assert vps.State.Name(vps.state) == "ACTIVE"


def test_a_failure_has_details(channel):
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "vps", "Vps", "CreateVps", {"hostname": "-x"})
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    details = {}
    for packed in rpc_status.from_call(caught.value).details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RequestInfo):
            if packed.Is(kind.DESCRIPTOR):
                details[kind.DESCRIPTOR.name] = kind.FromString(packed.value)
    assert details["ErrorInfo"].reason == "VALIDATION_FAILED" and details["ErrorInfo"].domain == "gizad"
    assert "hostname" in [violation.field for violation in details["BadRequest"].field_violations]
    assert details["RequestInfo"].request_id


def test_a_request_id_comes_back(channel):
    stubs = importlib.import_module("gizad.v1.wallet_pb2_grpc")
    messages = importlib.import_module("gizad.v1.wallet_pb2")
    _, made = stubs.WalletServiceStub(channel).GetWallet.with_call(
        messages.GetWalletRequest(), metadata=[("x-request-id", "from-python-1")]
    )
    assert ("x-request-id", "from-python-1") in [(key, value) for key, value in made.initial_metadata()]


def test_an_unknown_method_is_unimplemented(channel):
    unknown = channel.unary_unary("/gizad.v1.VpsService/DeleteVps")
    with pytest.raises(grpc.RpcError) as caught:
        unknown(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "did you mean" in caught.value.details()


def test_health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ("", "gizad.v1.VpsService", "gizad.v1.ActionService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_serves_every_service_with_its_options(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    ours = {name for name in services if name.startswith("gizad.v1.")}
    assert len(ours) == 14, ours
    assert "grpc.health.v1.Health" in services
    file = database.FindFileContainingSymbol("gizad.v1.VpsService")
    assert file.name == "gizad/v1/vps.proto"
    start = next(method for method in file.service[0].method if method.name == "StartVps")
    # The options that carry the mapping travel too.
    assert b"vps_action" in start.options.SerializeToString()


def test_reflection_v1_answers_too(channel):
    """The official Python package speaks v1alpha only, so v1 is asked with the same messages."""
    from grpc_reflection.v1alpha import reflection_pb2

    asked = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    answer = next(asked(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
    assert "gizad.v1.WalletService" in [service.name for service in answer.list_services_response.service]


def test_every_rpc_of_the_contract_is_called_here(stubs):
    called = {(service, method) for _, service, method, _ in CALLS} | {("Ticket", "GetTicket"), ("Ticket", "ReplyTicket"), ("Key", "RenewKey"), ("Action", "CallAction")}
    # Those are in test_waiting.py.
    called |= {("Vps", "WatchVps"), ("Wallet", "WatchDeposit")}
    # Those are in test_money.py.
    called |= {("Operation", method) for method in ("GetOperation", "ReconcileOperation", "ApproveOperation", "ResolveOperation", "WatchOperations")}
    declared = set()
    for path in (stubs / "gizad" / "v1").glob("*_pb2.py"):
        module = importlib.import_module(f"gizad.v1.{path.stem}")
        for service in module.DESCRIPTOR.services_by_name.values():
            declared |= {(service.name.removesuffix("Service"), method.name) for method in service.methods}
    assert called == declared


def test_the_rest_of_the_operations(fresh, channel, gateway):
    """Those that need an identifier which only an earlier answer has."""
    opened = call(channel, "tickets", "Ticket", "CreateTicket", {"subject": "s", "message": "m"})
    call(channel, "tickets", "Ticket", "ReplyTicket", {"ticket_id": opened.ticket_id, "message": "Trả lời"})
    ticket = call(channel, "tickets", "Ticket", "GetTicket", {"ticket_id": opened.ticket_id})
    assert [reply.message for reply in ticket.replies] == ["Trả lời"]
    bought = call(channel, "keys", "Key", "BuyKey", {"product_id": "proxy-vn-dc"})
    renewed = call(channel, "keys", "Key", "RenewKey", {"key_id": bought.purchase.key_id})
    assert renewed.purchase.key_id == bought.purchase.key_id
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "actions", "Action", "CallAction", {"action": "unlisted"})
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    ledger = json.load(urllib.request.urlopen(f"http://{gateway['sandbox_control']}/ledger"))
    assert [line["action"] for line in ledger][-2:] == ["key_buy", "key_renewal"]
