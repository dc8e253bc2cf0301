"""The image: built from its Dockerfile, looked into, and run as compose.yaml asks, beside a provider and a program.

`TEST_IMAGE=release .cache/venv/bin/python -m pytest -q -p no:cacheprovider -s tests/python/test_image.py` does it with the program
that everybody gets, and prints how large the image is."""

import json
import os
import pathlib
import re
import stat

import manifests
import pytest
from images import NAME, RELEASE, STANDIN, Podman

MEBIBYTE = 1 << 20
USER = 65532


@pytest.fixture(scope="module")
def podman():
    podman = Podman()
    try:
        yield podman.build()
    finally:
        podman.remove()


# --- What is in it ------------------------------------------------------------------------------------------------------------


def test_it_has_gizad_and_nothing_that_it_can_do_without(podman):
    files = {one.name: one for one in podman.files()}
    plain = {name: one.size for name, one in files.items() if one.isfile()}
    assert all(one.isfile() or one.isdir() for one in files.values())
    programs = {name for name in plain if os.path.basename(name) not in ("copyright",)}
    libraries = {os.path.basename(name) for name in programs - {"gizad"}}
    assert len(libraries) == 4 and {"libc.so.6", "libm.so.6", "libgcc_s.so.1"} < libraries, libraries
    assert set(plain) - programs == {f"usr/share/doc/{name}/copyright" for name in ("gizad", "libc6", "libgcc-s1")}
    # Nobody can change any of it, nor become somebody else by it; two folders are the user's.
    own = {name for name, one in files.items() if (one.uid, one.gid) == (USER, USER)}
    assert own == {"var/lib/gizad", "run/gizad"}
    assert {name: files[name].mode & 0o7777 for name in own} == {"var/lib/gizad": 0o700, "run/gizad": 0o750}
    for name, one in files.items():
        assert name in own or (one.uid, one.gid) == (0, 0), name
        assert not one.mode & (stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), name
    whole = sum(plain.values())
    if RELEASE:
        print(f"\nthe image has {whole} bytes, {whole / MEBIBYTE:.1f} MiB; gizad itself {plain['gizad']}")
        assert whole <= 20 * MEBIBYTE, plain
    else:
        # That gizad is larger than the one that everybody gets, which takes minutes to build.
        assert whole - plain["gizad"] <= 4 * MEBIBYTE, plain


def test_it_says_how_it_is_run(podman):
    told = podman.json("image", "inspect", NAME)
    config = told["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert (config["Entrypoint"], config["Cmd"], config["StopSignal"]) == (["/gizad"], ["serve"], "SIGTERM")
    assert told["Healthcheck"]["Test"] == ["CMD", "/gizad", "health"]
    assert config["Labels"]["org.opencontainers.image.title"] == "gizad"
    # Nothing of whoever built it.
    assert [one for one in config["Env"] if not one.startswith("PATH=")] == ["XDG_STATE_HOME=/var/lib", "TMPDIR=/var/lib/gizad"]
    podman.create("version", NAME, "--version")
    podman("start", "version")
    assert podman.ended("version")[0] == 0


# --- What it does -------------------------------------------------------------------------------------------------------------


def given(podman, service, whole, folder):
    """What Compose would give to podman for a service."""
    told = [f"--user={service['user']}", *(f"--cap-drop={one}" for one in service["cap_drop"])]
    told += [f"--security-opt={one}" for one in service["security_opt"]]
    told += [f"--env={name}={value}" for name, value in service.get("environment", {}).items()]
    told += [f"--volume={one}" for one in service["volumes"]]
    for name in service.get("secrets", []):
        file = folder / name
        file.write_text({"identifier": "sandbox", "secret": "sandbox-secret"}[name])
        file.chmod(0o400)
        os.chown(file, USER, USER)
        told.append(f"--volume={file}:/run/secrets/{name}:ro")
    for one in service.get("configs", []):
        file = folder / one["source"]
        file.write_text(whole["configs"][one["source"]]["content"])
        told.append(f"--volume={file}:{one['target']}:ro")
    if "mem_limit" in service:
        told += [f"--memory={service['mem_limit']}", f"--pids-limit={service['pids_limit']}"]
    return told


@pytest.fixture
def together(podman, tmp_path):
    """gizad as compose.yaml has it, and a provider on the same loopback, since there is no network."""
    _, whole = manifests.compose()
    podman.create("provider", "--network=none", f"--user={USER + 2}", "--cap-drop=ALL", NAME, "sandbox", "--listen", "127.0.0.1:9999")
    service = whole["services"]["gizad"]
    assert service["read_only"] and service["image"] == NAME
    limits = {"nofile": service["ulimits"]["nofile"]["hard"], "core": service["ulimits"]["core"]}
    own = given(podman, service, whole, tmp_path)
    # By a name, which the resolver in the image has to find in /etc/hosts.
    podman.create("gizad", "--network=container:provider", "--env=GIZAD_UPSTREAM_URL=http://localhost:9999/api", *own, NAME,
                  *service["command"], limits=limits)
    podman("start", "provider")
    podman.ready("provider")
    podman("start", "gizad")
    podman.until(lambda: podman("healthcheck", "run", "gizad", fails=True).returncode, lambda code: code == 0)

    def app(user=None):
        """The program of compose.yaml, whose curl is this machine's."""
        its = whole["services"]["app"] | ({"user": user} if user else {})
        podman.create("app", f"--network={its['network_mode']}", "--volume=/usr:/usr:ro", *given(podman, its, whole, tmp_path),
                      f"docker.io/library/{STANDIN}", "curl", *its["command"])
        podman("start", "app")
        code, said = podman.ended("app")
        podman("rm", "app")
        return code, said
    yield app
    for name in ("gizad", "provider"):
        podman("rm", "--force", "--time", "5", name)


def test_a_program_gets_its_answer_over_the_socket_and_gizad_ends_when_it_is_told(podman, together):
    code, said = together()
    assert code == 0 and json.loads(said)["balance_vnd"] == 5000000, said
    # Who is not in the group does not even get there; whom nobody has named gets nothing of the account.
    assert together(user="65533:65533")[0] != 0
    assert "UNAUTHENTICATED" in together(user=f"65534:{USER}")[1]
    # The ledger is in its volume, and nobody else reads it.
    ledger = podman.json("volume", "inspect", "ledger")["Mountpoint"]
    [kept] = pathlib.Path(ledger).rglob("ledger.db")
    assert kept.stat().st_uid == USER and kept.stat().st_mode & 0o777 == 0o600
    listed = podman("exec", "gizad", "/gizad", "ledger", "list", "--config", "/etc/gizad/gizad.toml", fails=True)
    assert listed.returncode == 0, listed.stderr
    podman("stop", "--time", "45", "gizad")
    code, said = podman.ended("gizad")
    assert code == 0 and "sandbox-secret" not in said, said


def test_it_can_do_nothing_beside_its_work(podman, together):
    process = pathlib.Path("/proc", str(podman.json("inspect", "gizad")["State"]["Pid"]))
    told = dict(re.findall(r"^(\w+):\s*(.*)$", (process / "status").read_text(), re.MULTILINE))
    assert set(told["Uid"].split()) == set(told["Gid"].split()) == {str(USER)}
    assert told["NoNewPrivs"] == "1" and told["Seccomp"] == "2"
    assert {told[kind] for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    writable = {mount[4] for mount in mounts if "rw" in mount[5].split(",")}
    assert {place for place in writable if not place.startswith(("/proc", "/dev", "/sys", "/etc"))} == {"/var/lib/gizad", "/run/gizad"}


@pytest.mark.parametrize("given", [
    # As somebody tries it out, and with nothing to write to.
    ["--read-only=false"], ["--env=GIZAD_LEDGER_DIR=", "--env=GIZAD_STATE_DIR="],
], ids=["plain", "read-only"])
def test_it_runs_alone(podman, given):
    podman.create("alone", "--network=none", "--cap-drop=ALL", *given, NAME, "serve", "--sandbox")
    podman("start", "alone")
    podman.ready("alone")
    assert podman("exec", "alone", "/gizad", "health", fails=True).returncode == 0
    podman("stop", "--time", "45", "alone")
    assert podman.ended("alone")[0] == 0
    podman("rm", "alone")


def test_it_says_what_is_missing_and_is_not_started_again_for_that(podman):
    podman.create("bare", "--network=none", NAME)
    podman("start", "bare")
    code, said = podman.ended("bare")
    assert code == 64 and "credentials" in said
