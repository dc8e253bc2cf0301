"""The Debian package: made by the command that docs/deploy.md tells, looked into, and installed by dpkg into a root of its own,
upgraded, removed and purged, without a running systemd."""

import gzip
import hashlib
import io
import os
import re
import subprocess
import tarfile

import manifests
import pytest
from conftest import BINARY, ROOT
from test_systemd import analyze

SETTINGS = "etc/gizad/gizad.toml"


def run(*command, **more):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **more)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout + done.stderr


def made(folder, **environment):
    # Without compression, which takes longer than everything else.
    told = os.environ | {"DPKG_DEB_COMPRESSOR_TYPE": "none", "SOURCE_DATE_EPOCH": "1790000000"} | environment
    return run(ROOT / "deploy" / "package", BINARY, folder, env=told).strip().splitlines()[-1]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return made(tmp_path_factory.mktemp("package"))


def told(package, field):
    return run("dpkg-deb", "--field", package, field).strip()


def test_it_is_what_it_says(package, tmp_path):
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert told(package, "Version") == f"{version}-1"
    assert os.path.basename(package) == f"gizad_{version}-1_{told(package, 'Architecture')}.deb"
    assert re.search(r"^libc6 \(>= 2\.\d+\), ", told(package, "Depends"))
    run("dpkg-deb", "--extract", package, tmp_path)
    assert run(tmp_path / "usr/bin/gizad", "--version").split() == ["gizad", version]
    # Everything is where the unit looks for it.
    unit = (tmp_path / "usr/lib/systemd/system/gizad.service").read_text()
    assert "/usr/local" not in unit
    assert re.search(r"^ExecStart=(\S+)", unit, re.MULTILINE)[1] == "/usr/bin/gizad"
    for page in re.findall(r"file:/(\S+)", unit):
        assert (tmp_path / page).is_file(), page
    if re.search(r"^  man ", run(BINARY, "--help"), re.MULTILINE):
        assert gzip.decompress((tmp_path / "usr/share/man/man1/gizad.1.gz").read_bytes()).startswith(b".")
        assert (tmp_path / "usr/share/bash-completion/completions/gizad").is_file()


def test_nobody_but_root_can_change_it(package):
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as whole:
        for one in whole:
            assert (one.uid, one.gid) == (0, 0) and one.isfile() | one.isdir(), one.name
            runs = one.isdir() or one.name == "./usr/bin/gizad"
            assert one.mode & 0o7777 == (0o755 if runs else 0o644), one.name
            # What is made while it runs is made by systemd, and no key is in it.
            assert not one.name.startswith(("./var", "./run")) and one.name not in ("./etc/gizad/identifier", "./etc/gizad/secret")


def test_the_same_makes_the_same_bytes(package, tmp_path):
    def digest(file):
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    again = made(tmp_path, TZ="Asia/Ho_Chi_Minh", LC_ALL="C.UTF-8")
    assert digest(package) == digest(again)
    assert digest(package) != digest(made(tmp_path, SOURCE_DATE_EPOCH="1790000001"))


def test_the_settings_are_all_there_and_none_is_set(package, tmp_path):
    run("dpkg-deb", "--extract", package, tmp_path)
    file = tmp_path / SETTINGS
    assert re.search(rf"^/{SETTINGS}$", run("dpkg-deb", "--info", package, "conffiles"), re.MULTILINE)
    key = {"GIZAD_CREDENTIALS_IDENTIFIER": "i", "GIZAD_CREDENTIALS_SECRET": "s"}
    code, said = manifests.checked(["--config", str(file)], key)
    assert code == 0 and said == manifests.checked([], key)[1]
    # Each line without its # is what it is already; another value is taken.
    defaults = re.findall(r"^[a-z_]+ = .*$", (ROOT / "deploy" / "gizad.toml").read_text(), re.MULTILINE)
    assert re.findall(r"^#([a-z_]+ = .*)$", file.read_text(), re.MULTILINE) == defaults
    file.write_text(re.sub(r'^#grace = "35s"$', 'grace = "40s"', file.read_text(), flags=re.MULTILINE))
    code, said = manifests.checked(["--config", str(file)], key)
    assert (code, manifests.grace(said)) == (0, 40)


@pytest.fixture
def machine(tmp_path):
    """A root that has dpkg's records and nothing else; the package's scripts look after it from outside."""
    root = tmp_path / "root"
    for folder in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "etc"):
        (root / folder).mkdir(parents=True)
    for file in ("status", "available"):
        (root / "var/lib/dpkg" / file).touch()

    def dpkg(*arguments):
        return run("dpkg", f"--root={root}", "--force-script-chrootless", "--force-depends", "--force-confdef", "--force-confold",
                   "--force-not-root", f"--log={tmp_path / 'log'}", *arguments)
    return root, dpkg


def test_it_is_installed_upgraded_and_removed_and_the_ledger_stays(package, machine, tmp_path):
    root, dpkg = machine
    dpkg("--install", package)
    assert re.search(r"^gizad:[^:]*:\d+:\d+:.*:/var/lib/gizad:", (root / "etc/passwd").read_text(), re.MULTILINE)
    assert not (root / "var/lib/gizad").exists() and not list((root / "etc/systemd").rglob("*.wants/*"))
    assert {file.name for file in (root / "etc/gizad").iterdir()} == {"gizad.toml"}
    # Somebody uses it.
    for file, content in {"etc/gizad/identifier": "i", "etc/gizad/secret": "s", "var/lib/gizad/ledger.db": "what was bought"}.items():
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text(content)
    run("systemctl", f"--root={root}", "enable", "gizad.service")
    own = '[callers.shop]\nuid = 998\nscopes = ["read"]\n'
    with (root / SETTINGS).open("a") as file:
        file.write(own)
    dpkg("--install", made(tmp_path, REVISION="2"))
    assert (root / SETTINGS).read_text().endswith(own)
    assert run("dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat=${Version}", "gizad").endswith("-2")
    # Removed, it is started no more; its settings are kept until it is purged.
    dpkg("--remove", "gizad")
    assert not (root / "usr/bin/gizad").exists() and not list((root / "etc/systemd").rglob("*.wants/*"))
    assert (root / SETTINGS).read_text().endswith(own)
    said = dpkg("--purge", "gizad")
    assert not (root / SETTINGS).exists()
    assert "/var/lib/gizad is left as it is" in said
    assert (root / "var/lib/gizad/ledger.db").read_text() == "what was bought"
    assert (root / "etc/gizad/secret").read_text() == "s"


def test_systemd_takes_the_unit_where_it_is_installed(package, tmp_path):
    run("dpkg-deb", "--extract", package, tmp_path)
    unit = tmp_path / "usr/lib/systemd/system/gizad.service"
    exposure = float(re.search(r"Overall exposure level for gizad.service: ([0-9.]+)", analyze(
        "security", "--offline=true", "--no-pager", unit))[1])
    assert exposure <= 1.5
    text = unit.read_text().replace("/usr/bin/gizad", str(tmp_path / "usr/bin/gizad")).replace("file:/usr", f"file:{tmp_path}/usr")
    copy = tmp_path / "gizad.service"
    copy.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert done.returncode == 0 and "gizad.service" not in done.stderr, done.stderr


def test_what_is_no_gizad_of_this_version_is_not_packed(tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho gizad 9.9.9\n")
    other.chmod(0o755)
    done = subprocess.run([ROOT / "deploy" / "package", other, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1 and "is not of version" in done.stderr
    assert not list(tmp_path.glob("*.deb"))
