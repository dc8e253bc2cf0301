"""Who is at the other end, as the official gRPC client sees it: over a Unix socket, and over TLS with a certificate."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from conftest import real, running
from test_grpc import call

CERTIFICATES = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca
for name in server shop stranger; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /O=Example/CN=$name
done
sign() { openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $1.pem -extfile <(echo "$2"); }
sign server subjectAltName=DNS:localhost
sign shop subjectAltName=URI:spiffe://example.org/shop
sign stranger subjectAltName=URI:spiffe://example.org/shop2
"""


def test_the_owner_comes_over_the_socket(tmp_path):
    path = tmp_path / "gizad.sock"
    with running(listen_socket=str(path)) as gateway:
        assert gateway["socket"] == str(path)
        # Without this grpcio puts the path into :authority, percent-encoded, which the HTTP/2 library here takes for malformed.
        named = [("grpc.default_authority", "localhost")]
        with grpc.insecure_channel(f"unix:{path}", options=named) as channel:
            call(channel, "wallet", "Wallet", "GetWallet", {})
            bought = call(channel, "keys", "Key", "BuyKey", {"product_id": "proxy-vn-dc"})
            assert bought.caller == "owner"
    assert not path.exists()


def test_a_caller_shows_its_certificate(tmp_path, shell):
    shell(CERTIFICATES, tmp_path)
    read = lambda name: (tmp_path / name).read_bytes()
    settings = tmp_path / "gizad.toml"
    settings.write_text(
        f'[listen.tls]\ncertificate_file = "{tmp_path}/server.pem"\nkey_file = "{tmp_path}/server.key"\n'
        f'client_ca_file = "{tmp_path}/ca.pem"\nrequire_client_certificate = true\n'
        '[callers.shop]\nspiffe = "spiffe://example.org/shop"\nscopes = ["read"]\n'
    )

    def failure(channel, *what):
        with pytest.raises(grpc.RpcError) as failed:
            call(channel, *what)
        return failed.value.code()

    with real(["--config", str(settings)], ledger_dir=str(tmp_path / "ledger")) as gateway:
        target = f"localhost:{gateway['api'].rsplit(':')[-1]}"

        def channel(name=None):
            own = (read(f"{name}.key"), read(f"{name}.pem")) if name else (None, None)
            return grpc.secure_channel(target, grpc.ssl_channel_credentials(read("ca.pem"), *own))

        with channel("shop") as shop:
            call(shop, "operations", "Operation", "ListOperations", {})
            refused = failure(shop, "vps", "Vps", "StopVps", {"vps_id": 1})
            assert refused == grpc.StatusCode.PERMISSION_DENIED
        with channel("stranger") as stranger:
            refused = failure(stranger, "operations", "Operation", "ListOperations", {})
            assert refused == grpc.StatusCode.UNAUTHENTICATED
        with channel() as nobody:
            # Not one that waits for a connection: there will be none.
            with pytest.raises(grpc.RpcError) as failed:
                health_pb2_grpc.HealthStub(nobody).Check(health_pb2.HealthCheckRequest(), timeout=20)
            assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
