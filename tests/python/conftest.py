"""A gateway in its sandbox, and stubs made from proto/ by the official generator."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.request

import grpc
import pytest
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "debug" / "gizad"


@pytest.fixture(scope="session", autouse=True)
def stubs(tmp_path_factory):
    """Python classes and stubs for every file of the contract."""
    out = tmp_path_factory.mktemp("stubs")
    proto = ROOT / "proto"
    files = [str(path.relative_to(proto)) for path in proto.rglob("*.proto") if "google" not in path.parts]
    includes = [f"-I{proto}", f"-I{pathlib.Path(protoc.__file__).parent / '_proto'}"]
    arguments = ["protoc", *includes, f"--python_out={out}", f"--grpc_python_out={out}", *files]
    assert protoc.main(arguments) == 0
    sys.path.insert(0, str(out))
    return out


@contextlib.contextmanager
def running(host="127.0.0.1", **settings):
    """A gateway in its sandbox with these settings, from the line that says it is ready to its end, with its log."""
    environment = {**os.environ, "GIZAD_LOG_FORMAT": "json"}
    environment |= {f"GIZAD_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [BINARY, "serve", "--sandbox", "--listen", f"{host}:0", "--admin-listen", f"{host}:0"],
        env=environment, stderr=subprocess.PIPE, text=True,
    )
    ready = json.loads(process.stderr.readline())
    assert ready["message"] == "ready", ready
    # Its log goes on, and must not fill the pipe.
    log = []
    threading.Thread(target=lambda: log.extend(map(json.loads, process.stderr)), daemon=True).start()
    try:
        yield ready | {"log": log}
    finally:
        process.terminate()
        assert process.wait(timeout=40) == 0


@pytest.fixture(scope="session")
def gateway():
    """One whose limits are not what is tested."""
    with running(pace_rate="1000/s", pace_burst="1000") as ready:
        yield ready


@pytest.fixture
def control():
    """Puts a gateway's sandbox into a state."""
    def send(gateway, path, body):
        url = f"http://{gateway['sandbox_control']}{path}"
        request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
        return urllib.request.urlopen(request).read()
    return send


@pytest.fixture(scope="session")
def channel(gateway):
    with grpc.insecure_channel(gateway["api"]) as channel:
        yield channel
