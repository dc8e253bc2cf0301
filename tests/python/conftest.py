"""A gateway in its sandbox, and stubs made from proto/ by the official generator."""

import base64
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
from playwright.sync_api import sync_playwright

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


def browser_path():
    """Where the pinned Chromium is."""
    return subprocess.run([ROOT / "tests" / "chromium"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def browser():
    """A real one, for our own pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def sandbox():
    """A provider alone, from the line that says where it is to its end."""
    process = subprocess.Popen(
        [BINARY, "sandbox", "--listen", "127.0.0.1:0"],
        env={**os.environ, "GIZAD_LOG_FORMAT": "json"}, stderr=subprocess.PIPE, text=True,
    )
    try:
        yield json.loads(process.stderr.readline())
    finally:
        process.terminate()
        process.wait(timeout=40)


def running(arguments=(), host="127.0.0.1", **settings):
    """A gateway in its sandbox with these settings, from the line that says it is ready to its end, with its log."""
    return process(["--sandbox", *arguments], host, settings)


def real(arguments=(), **settings):
    """One that has real credentials, as far as it knows, for a provider that is not there."""
    own = {"upstream_url": "http://127.0.0.1:9/api", "credentials_identifier": "i", "credentials_secret": "s"}
    return process(arguments, "127.0.0.1", {**own, "ledger_dir": "", "state_dir": ""} | settings)


@contextlib.contextmanager
def process(arguments, host, settings):
    environment = {**os.environ, "GIZAD_LOG_FORMAT": "json"}
    if level := os.environ.get("TEST_LOG_LEVEL"):
        environment["GIZAD_LOG_LEVEL"] = level
    environment |= {f"GIZAD_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [BINARY, "serve", "--listen", f"{host}:0", "--admin-listen", f"{host}:0", *arguments],
        env=environment, stderr=subprocess.PIPE, text=True,
    )
    for line in process.stderr:
        ready = json.loads(line)
        if ready["message"] == "ready":
            break
    else:
        raise AssertionError("it ended before it was ready")
    # Its log goes on, and must not fill the pipe.
    log = []
    reader = threading.Thread(target=lambda: log.extend(map(json.loads, process.stderr)), daemon=True)
    reader.start()
    gateway = ready | {"log": log, "process": process, "stopping": False}

    def stop():
        """Asks it once: a second time would have it end at once."""
        if not gateway["stopping"]:
            gateway["stopping"] = True
            process.terminate()

    try:
        yield gateway | {"stop": stop}
    finally:
        stop()
        assert process.wait(timeout=40) == 0
        reader.join(timeout=40)
        whole = json.dumps(log)
        assert not [spelling for spelling in spellings(b"sandbox-secret") if spelling in whole]


def spellings(secret):
    """The key of the sandbox as it could slip through, wherever it stands in what is encoded."""
    shifted = [base64.b64encode(bytes(before) + secret)[-(-before * 8 // 6):][:16] for before in range(3)]
    return [text.decode() for text in [secret, secret.hex().encode(), *shifted]]


@pytest.fixture
def postgres():
    """The URL of a PostgreSQL that is there as long as the test."""
    command = [ROOT / "tests" / "postgres", "run", "sh", "-c", 'echo "its $TEST_POSTGRES"; cat']
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield next(line.split()[1] for line in process.stdout if line.startswith("its "))
    process.stdin.close()
    assert process.wait(timeout=40) == 0


@pytest.fixture
def shell():
    """Runs a script in a folder."""
    def run(script, folder):
        subprocess.run(["bash", "-euc", script], cwd=folder, check=True, capture_output=True)
    return run


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
