"""The systemd unit: what systemd-analyze says of it, and gizad under the user, the limits and the filters that it asks for.

No systemd runs here. What it would do to the system calls of the process is done with the library that it uses itself, libseccomp,
from the lines of the unit; what it would do to the file system (ProtectSystem= and its like) is not."""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import tomllib
import urllib.request

import pytest
from conftest import BINARY, ROOT, sandbox

UNIT = ROOT / "deploy" / "systemd" / "gizad.service"
# Nobody's on any machine that we know of.
USER = 64123
SOCKET = ROOT / "deploy" / "systemd" / "gizad.socket"
PLAN = {"plan_id": 26, "hostname": "unit-01", "password": "StrongPass@123", "os": "ubuntu-22.04", "billing_cycle": "monthly"}


def unit():
    """Every directive of the unit with all that it was given."""
    found = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout


def test_what_is_left_exposed_is_little():
    said = analyze("security", "--offline=true", "--no-pager", UNIT)
    exposure = float(re.search(r"Overall exposure level for gizad.service: ([0-9.]+)", said)[1])
    assert exposure <= 1.5, said


def test_systemd_understands_every_line(tmp_path):
    """It warns of what it does not know, and only of that: the program and its manual are installed elsewhere here."""
    text = UNIT.read_text().replace("/usr/local/bin/gizad", str(BINARY))
    copy = tmp_path / "gizad.service"
    copy.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert done.returncode == 0 and "gizad.service" not in done.stderr, done.stderr
    held = tmp_path / "gizad.socket"
    held.write_text(re.sub(r"^Documentation=.*\n", "", SOCKET.read_text(), flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", held, copy], capture_output=True, text=True)
    assert done.returncode == 0 and "gizad." not in done.stderr, done.stderr
    held.write_text(SOCKET.read_text().replace("[Socket]\n", "[Socket]\nListenNowhere=yes\n"))
    assert "ListenNowhere" in subprocess.run(["systemd-analyze", "verify", held], capture_output=True, text=True).stderr
    copy.write_text(text.replace("[Service]\n", "[Service]\nProtectNothing=yes\n"))
    assert "ProtectNothing" in subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True).stderr


def test_the_sockets_are_those_of_the_settings():
    """Otherwise gizad would refuse them."""
    listened = re.findall(r"^ListenStream=(.*)$", SOCKET.read_text(), re.MULTILINE)
    settings = tomllib.loads((ROOT / "deploy" / "gizad.toml").read_text())["listen"]
    given = dict(pair.split("=", 1) for line in unit()["Environment"] for pair in line.split())
    assert sorted(listened) == sorted([settings["api"], settings["admin"], given["GIZAD_LISTEN_SOCKET"]])
    mode = re.search(r"^SocketMode=(.*)$", SOCKET.read_text(), re.MULTILINE)[1]
    assert mode == given["GIZAD_LISTEN_SOCKET_MODE"]


def test_the_grace_fits_into_the_time_that_systemd_gives():
    grace = re.search(r'^grace = "(\d+)s"', (ROOT / "deploy" / "gizad.toml").read_text(), re.MULTILINE)[1]
    assert int(unit()["TimeoutStopSec"][0].removesuffix("s")) > int(grace)


# --- The filters, as systemd makes them -----------------------------------------------------------------------------------


def group(name):
    """The system calls of one of systemd's groups."""
    words = [line.strip() for line in analyze("syscall-filter", name).splitlines()[1:]]
    calls = set()
    for word in words:
        if word.startswith("@"):
            calls |= group(word)
        elif word and not word.startswith("#"):
            calls.add(word)
    return calls


def allowed():
    calls = group("@default")
    for line in unit()["SystemCallFilter"]:
        named = set().union(*map(group, line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]


EQUAL, AT_LEAST, MASKED = 4, 5, 7
ALLOW, NOT_PERMITTED, NO_FAMILY, NO_CALL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 97, 0x00050000 | 38
EXEC, WRITE = 4, 2
NAMESPACES = 0x7E020000


def masked(argument, bits):
    return Comparison(argument, MASKED, bits, bits)


def filters():
    """What is done to every system call: for each filter what happens to those without a rule, and the rules."""
    directives = unit()
    assert directives["SystemCallErrorNumber"] == ["EPERM"]
    yield NOT_PERMITTED, [(ALLOW, call, []) for call in sorted(allowed())]
    assert directives["MemoryDenyWriteExecute"] == ["yes"]
    yield ALLOW, [
        (NOT_PERMITTED, "mmap", [masked(2, EXEC | WRITE)]),
        (NOT_PERMITTED, "mprotect", [masked(2, EXEC)]),
        (NOT_PERMITTED, "pkey_mprotect", [masked(2, EXEC)]),
        (NOT_PERMITTED, "shmat", [masked(2, 0o100000)]),
    ]
    families = {int(getattr(socket, name)) for name in directives["RestrictAddressFamilies"][0].split()}
    others = [Comparison(0, EQUAL, family, 0) for family in range(46) if family not in families]
    yield ALLOW, [(NO_FAMILY, "socket", [one]) for one in [*others, Comparison(0, AT_LEAST, 46, 0)]]
    assert directives["RestrictNamespaces"] == ["yes"]
    bits = [1 << bit for bit in range(32) if NAMESPACES & 1 << bit]
    yield ALLOW, [
        (NO_CALL, "clone3", []), (NOT_PERMITTED, "setns", []),
        *((NOT_PERMITTED, call, [masked(0, bit)]) for call in ("clone", "unshare") for bit in bits),
    ]
    assert directives["RestrictSUIDSGID"] == ["yes"]
    modes = [("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2)]
    yield ALLOW, [(NOT_PERMITTED, call, [masked(at, bit)]) for call, at in modes for bit in (0o4000, 0o2000)]


def prepared():
    """The filters, ready to be loaded by the process that is to be confined."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    contexts = []
    for otherwise, rules in filters():
        context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(otherwise)))
        for action, call, comparisons in rules:
            number = library.seccomp_syscall_resolve_name(call.encode())
            # Not of this processor.
            if number < 0:
                continue
            array = (Comparison * len(comparisons))(*comparisons)
            added = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons), array)
            assert added == 0, (call, added)
        contexts.append(context)
    return library, contexts


@pytest.fixture(scope="module")
def confined():
    """What to do in a new process before its program, so that it is where the unit would put it."""
    library, contexts = prepared()
    core, files = (int(unit()[name][0]) for name in ("LimitCORE", "LimitNOFILE"))
    mask = int(unit()["UMask"][0], 8)

    def confine():
        resource.setrlimit(resource.RLIMIT_CORE, (core, core))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
        os.umask(mask)
        if os.geteuid() == 0:
            # With it go all capabilities.
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
        # The first of them loads with no_new_privs, which is the library's default. The strictest stays until the end.
        for context in reversed(contexts):
            if library.seccomp_load(context) != 0:
                os._exit(99)
    return confine


@pytest.mark.parametrize(("what", "refused"), [
    ("import mmap; mmap.mmap(-1, 4096, prot=7)", "PermissionError"),
    ("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "Address family not supported"),
    ("import os; os.chmod('mine', 0o4755)", "PermissionError"),
    ("import os; os.chroot('/')", "PermissionError"),
    ("import os; os.setpriority(os.PRIO_PROCESS, 0, 5)", "PermissionError"),
    ("import ctypes; c = ctypes.CDLL(None, use_errno=True); assert c.unshare(0x10000000) == 0, ctypes.get_errno()", "AssertionError: 1"),
    ("import resource; assert resource.getrlimit(resource.RLIMIT_CORE) != (0, 0)", "AssertionError"),
])
def test_the_filters_are_there(confined, what, refused):
    """Otherwise it would prove nothing that gizad runs under them."""
    with place() as folder:
        (folder / "mine").touch()
        give(folder)
        # Debian's own, because ours may be where only root comes.
        bare = subprocess.run(["/usr/bin/python3", "-c", what], cwd=folder, capture_output=True, text=True)
        assert bare.returncode == 0 or refused != "PermissionError", bare.stderr
        done = subprocess.run(["/usr/bin/python3", "-c", what], cwd=folder, preexec_fn=confined, capture_output=True, text=True)
        assert done.returncode != 0 and refused in done.stderr, done.stderr


# --- gizad under them -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def place():
    """A folder that another user reaches, which pytest's are not."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gizad-unit-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give(folder):
    for path in [folder, *folder.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, USER, USER)


@contextlib.contextmanager
def service(folder, url, confined):
    """gizad as the unit starts it, with the unit's folders inside this one."""
    given = dict(pair.split("=", 1) for line in unit()["Environment"] for pair in line.split())
    given = {name: value.replace("/run/gizad", str(folder / "run")) for name, value in given.items()}
    environment = given | {
        "STATE_DIRECTORY": str(folder / "state"), "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
        "GIZAD_UPSTREAM_URL": url, "GIZAD_LISTEN_API": "127.0.0.1:0", "GIZAD_LISTEN_ADMIN": "127.0.0.1:0",
        "GIZAD_LOG_FORMAT": "json",
    }
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    at = folder / "notify"
    at.unlink(missing_ok=True)
    manager.bind(str(at))
    manager.settimeout(30)
    at.chmod(0o777)
    environment["NOTIFY_SOCKET"] = str(at)
    arguments = unit()["ExecStart"][0].replace("/etc/gizad", str(folder)).split()[1:]
    process = subprocess.Popen(
        [folder / "gizad", *arguments], env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=confined, cwd="/",
    )
    try:
        log = []
        for line in process.stderr:
            log.append(json.loads(line) if line.startswith("{") else line)
            if "ready" in line:
                break
        else:
            raise AssertionError(log)
        assert unit()["Type"] == ["notify"] and manager.recv(4096).startswith(b"READY=1\n")
        yield log[-1], process
    finally:
        process.terminate()
        rest = process.stderr.read()
        assert process.wait(timeout=40) == 0, rest


class Unix(http.client.HTTPConnection):
    """Over the Unix socket."""
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(path, method, url, body=None, **headers):
    connection = Unix(path)
    connection.request(method, url, body and json.dumps(body), {"Content-Type": "application/json"} | headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_gizad_does_all_that_it_does_under_them(confined):
    with place() as folder, sandbox() as provider:
        shutil.copy(BINARY, folder / "gizad")
        for name in ("state", "run", "credentials"):
            (folder / name).mkdir(mode=0o700 if name != "run" else 0o750)
        # The root of these tests is nobody in particular there, as on a machine.
        (folder / "gizad.toml").write_text(f'[callers.root]\nuid = {os.geteuid()}\nscopes = ["read", "spend"]\n')
        for name, value in (("identifier", "sandbox"), ("secret", "sandbox-secret")):
            (folder / "credentials" / name).write_text(value)
            (folder / "credentials" / name).chmod(0o400)
        give(folder)
        at = folder / "run" / "gizad.sock"
        with service(folder, provider["url"], confined) as (ready, process):
            assert ready["socket"] == str(at)
            assert at.stat().st_mode & 0o777 == 0o660
            assert ask(at, "GET", "/catalog/vps-plans")[0] == 200
            assert ask(at, "GET", "/wallet") == (200, {"balance_vnd": 5000000, "currency": "VND", "extra": {"message": "OK"}})
            status, bought = ask(at, "POST", "/vps", PLAN, **{"Idempotency-Key": "unit-1"})
            assert (status, bought["state"]) == (201, "SUCCEEDED"), bought
            figures = urllib.request.urlopen(f"http://{ready['admin']}/metrics").read().decode()
            assert {"process_start_time_seconds", "process_open_fds"} <= set(re.findall(r"^\w+", figures, re.MULTILINE))
            health = subprocess.run([BINARY, "health", "--admin-listen", ready["admin"]], capture_output=True, text=True)
            assert health.returncode == 0, health.stderr
            # ExecReload.
            (folder / "gizad.toml").write_text(f'[callers.root]\nuid = {os.geteuid()}\nscopes = ["spend"]\n')
            process.send_signal(signal.SIGHUP)
            assert any("settings taken over" in line for line in process.stderr)
            assert ask(at, "GET", "/wallet")[0] == 403
        # What was bought is known after a restart, and not bought again.
        with service(folder, provider["url"], confined):
            status, again = ask(at, "POST", "/vps", PLAN, **{"Idempotency-Key": "unit-1"})
            assert (status, again["operation_id"]) == (201, bought["operation_id"])
        assert not at.exists()
        written = [path for path in (folder / "state").rglob("*") if path.is_file()]
        assert any(path.name == "ledger.db" for path in written) and any(path.name == "audit.log" for path in written)
        assert all(path.stat().st_mode & 0o077 == 0 for path in written), written
