"""The contract as buf sees it: what it must find is planted, and `buf curl` calls a gateway that it knows nothing of but its address."""

import json
import shutil
import subprocess
import threading

import pytest
from conftest import ROOT, running

BUF = ROOT / "tests" / "buf"
RELEASED = ROOT / "proto" / "released.binpb"


def buf(*arguments, **options):
    """What buf printed, with its exit code."""
    done = subprocess.run([BUF, "run", *arguments], capture_output=True, text=True, timeout=60, **options)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def contract(tmp_path):
    """A copy of the contract, in which something is replaced, once."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "proto", tmp_path / "proto")

    def replace(file, old, new):
        path = tmp_path / "proto" / "gizad" / "v1" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return tmp_path

    return replace


def test_the_contract_is_clean_and_breaks_no_one():
    done = subprocess.run([BUF], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("file, old, new, told", [
    ("outcomes.proto", "  bool pending = 1", "  bool waiting = 1", 'from "pending" to "waiting"'),
    ("vps.proto", "  string hostname = 2 [", "  bytes hostname = 2 [", 'from "string" to "bytes"'),
    ("vps.proto", "  string hostname = 2 [", "  string hostname = 32 [", 'Previously present field "2"'),
    ("operations.proto", "    ABSENT = 9;", "    LOST = 9;", 'from "ABSENT" to "LOST"'),
    ("wallet.proto", "  rpc GetWallet(", "  rpc ReadWallet(", 'Previously present RPC "GetWallet"'),
    ("operations.proto", "returns (stream Operation)", "returns (Operation)", "server streaming"),
], ids=["renamed", "retyped", "renumbered", "value", "call", "stream"])
def test_what_breaks_a_client_is_found(contract, file, old, new, told):
    code, said = buf("breaking", "--against", RELEASED, cwd=contract(file, old, new))
    assert code != 0 and told in said, said


def test_a_field_that_is_gone_is_found_and_a_new_one_is_welcome(contract):
    note = "  // What that person said to it.\n  string note = 19;\n"
    code, said = buf("breaking", "--against", RELEASED, cwd=contract("operations.proto", note, ""))
    assert code != 0 and 'Previously present field "19" with name "note"' in said, said
    new = "  // How it was said.\n  string tone = 4000;\n\n  // What"
    folder = contract("operations.proto", "  // Its identifier. Empty", note + "\n  // Its identifier. Empty")
    folder = contract("operations.proto", "  // Why it did not succeed.", new.replace("What", "Why it did not succeed.\n  // What"))
    assert buf("breaking", "--against", RELEASED, cwd=folder) == (0, "")


@pytest.mark.parametrize("file, old, new, told", [
    ("wallet.proto", "  // Gets", "\n\n  // Gets", ""),
    ("outcomes.proto", "  // The provider's order.\n", "", "non-empty comment"),
    ("outcomes.proto", "string order_id = 1", "string orderId = 1", "lower_snake_case"),
    ("vps.proto", "message CreateVpsRequest {", "message VpsOrder {", "CreateVpsRequest"),
], ids=["nothing", "comment", "spelling", "request"])
def test_what_is_not_clean_is_found(contract, file, old, new, told):
    code, said = buf("lint", cwd=contract(file, old, new))
    assert (code, said) == (0, "") if not told else code != 0 and told in said, said


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One that is reached over TCP and over a Unix socket."""
    socket = tmp_path_factory.mktemp("socket") / "gizad.sock"
    with running(["--socket", str(socket)], purchase_look_every="1h", pace_rate="1000/s", pace_burst="1000") as ready:
        yield ready | {"socket": str(socket)}


def curl(gateway, call, *flags, **request):
    """A call of `buf curl` with nothing but the address: the schema comes by reflection."""
    return buf("curl", "--protocol", "grpc", *flags, "--data", json.dumps(request), f"http://{gateway['api']}/gizad.v1.{call}")


def test_buf_curl_needs_nothing_but_the_address(gateway):
    code, said = buf("curl", "--protocol", "grpc", "--list-methods", f"http://{gateway['api']}")
    assert code == 0 and "gizad.v1.VpsService/CreateVps" in said.split(), said
    code, said = curl(gateway, "WalletService/GetWallet")
    assert code == 0 and json.loads(said)["balanceVnd"] == "5000000", said
    # Without reflection, over gRPC-Web, from what was released.
    flags = ["curl", "--protocol", "grpcweb", "--schema", RELEASED, f"http://{gateway['api']}/gizad.v1.WalletService/GetWallet"]
    code, said = buf(*flags)
    assert code == 0 and json.loads(said)["balanceVnd"] == "5000000", said


def test_buf_curl_over_the_socket(gateway):
    flags = ["curl", "--protocol", "grpc", "--unix-socket", gateway["socket"]]
    code, said = buf(*flags, "http://localhost/gizad.v1.CatalogService/ListVpsPlans")
    assert code == 0 and json.loads(said)["plans"][0]["planId"], said


def test_buf_curl_shows_failures(gateway):
    code, said = curl(gateway, "VpsService/CreateVps", plan_id=26)
    # The code of gRPC, shifted by three bits.
    assert code == 3 << 3, said
    failure = json.loads(said)
    assert failure["code"] == "invalid_argument"
    assert [one["type"] for one in failure["details"]] == [f"google.rpc.{kind}" for kind in ("ErrorInfo", "BadRequest", "RequestInfo")]


def test_buf_curl_buys_and_watches(gateway, control):
    control(gateway, "/faults", {"kind": "close_before", "action": "create_vps"})
    order = dict(plan_id=26, hostname="buf-01", password="StrongPass@123", os="ubuntu-22.04", billing_cycle="monthly")
    code, said = curl(gateway, "VpsService/CreateVps", **order, request_id="buf-1")
    assert code == 9 << 3 and "its outcome is unknown" in said, said
    states = []
    for operation in messages(gateway, "OperationService/WatchOperations"):
        assert operation["requestId"] == "buf-1"
        states.append(operation["state"])
        if operation.get("done"):
            break
        # It is watched; now something happens to it.
        decided = dict(operation_id=operation["operationId"], outcome="ABSENT", note="looked")
        code, said = curl(gateway, "OperationService/ResolveOperation", **decided)
        assert code == 0, said
    assert states == ["IN_DOUBT", "ABSENT"]


def messages(gateway, call):
    """What a stream tells, message by message."""
    arguments = [BUF, "run", "curl", "--protocol", "grpc", f"http://{gateway['api']}/gizad.v1.{call}"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        late = threading.Timer(30, process.kill)
        late.start()
        try:
            whole = ""
            for line in process.stdout:
                whole += line
                # Each is a JSON object of many lines.
                if line == "}\n":
                    yield json.loads(whole)
                    whole = ""
        finally:
            late.cancel()
            process.terminate()
