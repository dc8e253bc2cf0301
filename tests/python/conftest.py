"""A gateway in its sandbox, and stubs made from proto/ by the official generator."""

import json
import os
import pathlib
import subprocess
import sys

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


@pytest.fixture(scope="session")
def gateway():
    environment = {**os.environ, "GIZAD_LOG_FORMAT": "json"}
    process = subprocess.Popen(
        [BINARY, "serve", "--sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
        env=environment, stderr=subprocess.PIPE, text=True,
    )
    ready = json.loads(process.stderr.readline())
    assert ready["message"] == "ready", ready
    yield ready
    process.terminate()
    assert process.wait(timeout=40) == 0


@pytest.fixture(scope="session")
def channel(gateway):
    with grpc.insecure_channel(gateway["api"]) as channel:
        yield channel
