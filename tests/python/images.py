"""Podman with a store of its own, and the image built in it from deploy/Dockerfile as it is.

No registry is asked. In the place of the Rust image is an empty root that borrows this machine's /usr. Its cargo hands over the
program that the tests were built with, after looking whether all that went into it has been sent; `TEST_IMAGE=release` has the
real cargo build it there, as for everybody else, which takes minutes."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import time

from conftest import BINARY, ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
RELEASE = os.environ.get("TEST_IMAGE") == "release"
NAME = "gizad:0.1.0"
STANDIN = re.search(r"^FROM (\S+) AS build$", DOCKERFILE.read_text(), re.MULTILINE)[1]

CARGO = """#!/bin/bash
set -eu
[ "$*" = "build --release --locked --bin gizad" ]
while read -r file; do
    [ -e "$file" ] || { echo "needed and not sent: $file" >&2; exit 1; }
done </standin/sources
install -D /standin/gizad target/release/gizad
"""


def sources():
    """Every file of the repository that the program was made of, as cargo has written it down."""
    told = BINARY.with_suffix(".d").read_text().partition(": ")[2]
    paths = [pathlib.Path(one.replace("\\ ", " ")) for one in re.split(r"(?<!\\)\s+", told.strip())]
    own = [path.relative_to(ROOT) for path in paths if path.is_relative_to(ROOT)]
    return [str(path) for path in own if path.parts[0] != "target"] + ["Cargo.toml", "Cargo.lock"]


class Podman:
    """Everything that it keeps is in one folder, which is gone afterwards."""

    def __init__(self):
        # A short name, because there are sockets in it.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gizad-image-"))
        self.folder.chmod(0o755)
        program = subprocess.run([ROOT / "tests" / "podman"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self.command = [program, "--root", self.folder / "store", "--runroot", self.folder / "run", "--tmpdir", self.folder / "tmp",
                        "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        # crun, podman's first choice, does not start where both versions of cgroups are mounted.
        self.command += ["--runtime", "runc"] if shutil.which("runc") else []

    def __call__(self, *arguments, fails=False):
        """What it prints."""
        done = subprocess.run([*map(str, self.command), *map(str, arguments)], capture_output=True, text=True)
        assert fails or done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done if fails else done.stdout.strip()

    def json(self, *arguments):
        [found] = json.loads(self(*arguments))
        return found

    def create(self, name, *arguments, limits=()):
        """A container that may do as little as the image allows, and no network of this machine's."""
        # Podman's own defaults are more than whoever runs it may have here.
        wanted = {"nofile": 4096, "nproc": 4096} | dict(limits)
        self("create", "--name", name, "--read-only", "--read-only-tmpfs=false", "--pull=never",
             *(f"--ulimit={kind}={limit}:{limit}" for kind, limit in wanted.items()), *arguments)

    def ended(self, name):
        """With what a container has ended, and all that it has said."""
        code = int(self("wait", name))
        said = self("logs", name, fails=True)
        return code, said.stdout + said.stderr

    def ready(self, name, more=()):
        """Waits until a container says that it is."""
        return self.until(lambda: self("logs", *more, name, fails=True).stderr, lambda said: "ready" in said)

    @staticmethod
    def until(ask, enough):
        deadline = time.monotonic() + 30
        while not enough(answer := ask()):
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)
        return answer

    def build(self):
        """The image, by the commands of the Dockerfile."""
        standin, context = self.folder / "standin", self.folder / "root"
        standin.mkdir()
        for folder in ("etc", "tmp", "usr", "src", "root"):
            (context / folder).mkdir(parents=True)
        for link in ("bin", "lib", "lib64", "sbin"):
            (context / link).symlink_to(f"usr/{link}")
        path = f"{standin if not RELEASE else home() / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
        told = {"PATH": path.replace(str(standin), "/standin")}
        volumes = {"/usr": "/usr"}
        if RELEASE:
            told |= {"CARGO_HOME": home(), "RUSTUP_HOME": toolchains(), "CARGO_NET_OFFLINE": "true"}
            volumes |= {one: one for one in (home(), toolchains(), "/etc/alternatives")}
        else:
            (standin / "cargo").write_text(CARGO)
            (standin / "cargo").chmod(0o755)
            (standin / "sources").write_text("\n".join(sources()) + "\n")
            subprocess.run(["strip", "-o", standin / "gizad", BINARY], check=True)
            volumes |= {standin: "/standin"}
        lines = ["FROM scratch", "COPY . /", *(f"ENV {name}={value}" for name, value in told.items())]
        (self.folder / "Standin").write_text("\n".join(lines) + "\n")
        self("build", "-f", self.folder / "Standin", "-t", f"docker.io/library/{STANDIN}", context)
        lent = [f"--volume={here}:{there}:ro" for here, there in volumes.items()]
        self("build", "--format", "docker", "--pull=never", *lent, "-f", DOCKERFILE, "-t", NAME, ROOT)
        return self

    def files(self):
        """All that is in the image."""
        packed = self.folder / "image.tar"
        self("save", "--format", "docker-archive", "-o", packed, NAME)
        with tarfile.open(packed) as whole:
            [manifest] = json.load(whole.extractfile("manifest.json"))
            for layer in manifest["Layers"]:
                with tarfile.open(fileobj=whole.extractfile(layer)) as files:
                    yield from files

    def remove(self):
        self("rm", "--force", "--all", "--time", "5", fails=True)
        self("volume", "rm", "--force", "--all", fails=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def home():
    return pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))


def toolchains():
    return pathlib.Path(os.environ.get("RUSTUP_HOME", pathlib.Path.home() / ".rustup"))
