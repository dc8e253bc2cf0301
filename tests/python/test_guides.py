"""The guides, followed by somebody who types what they say: each page has a sandbox of its own, and what comes out is compared with what
the page says. `…` stands for anything, and names, times and addresses may differ.

A block of code that needs another machine (systemd, a cluster, the real provider) is marked as `console elsewhere`. `UPDATE=1` writes what
came out instead of what did not fit; look at it before it is committed."""

import contextlib
import os
import re
import socket
import subprocess

import pytest
from conftest import BINARY, ROOT, running

# Of the guide those sections that need one gizad as it is, and nothing else: from one until another.
PAGES = ["clients.md", "concepts.md", "errors.md", "faces.md", "faq.md", "guide.md REST gRPC", "guide.md Errors Effects", "quickstart.vi.md", "renewals.md", "runbook.md"]
BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```$", re.M | re.S)

# What is another one each time, and what is compared instead of it.
VARIES = [
    (r"op_[0-9a-f]{28}\b", "op_0"), (r"\b[0-9a-f]{64}\b", "0"), (r"\b[0-9a-f]{32}\b", "0"),
    (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "0"), (r"\b(gzd_[a-z]+_)[0-9a-f]{64}_[0-9a-f]{8}\b", r"\g<1>0"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "2000-01-01T00:00:00Z"), (r"\b127\.0\.0\.1:\d+", "127.0.0.1:0"),
]


def steps(block):
    """The commands of a block, each with what it prints."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (found[-1][0] + "\n" + line, [])
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(printed)) for command, printed in found]


def fits(printed, expected):
    """Whether what was printed is what the page says."""
    for varies, instead in VARIES:
        printed, expected = re.sub(varies, instead, printed), re.sub(varies, instead, expected)
    return re.fullmatch(re.escape(expected).replace("…", ".*"), printed, re.S) is not None


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def typed(commands, gateway, settings, folder):
    """What each of them prints, typed one after another."""
    addresses = {"localhost:7070": gateway["api"], "localhost:7071": gateway["admin"], "localhost:7072": gateway["sandbox_control"]}
    lines = ["exec 2>&1", 'curl() { command curl -sS "$@"; }']
    for command in commands:
        for ours, theirs in addresses.items():
            command = command.replace(ours, theirs)
        lines += [command, r"printf '\036'"]
    environment = {f"GIZAD_{name.upper()}": value for name, value in settings.items()}
    # `buf` and `shop` are what somebody has who follows clients.md.
    path = f"{BINARY.parent}:{ROOT / 'tests' / 'python' / 'typed'}:{os.environ['PATH']}"
    environment |= {"GIZAD_LISTEN_ADMIN": gateway["admin"], "SHOP_GIZAD": gateway["api"], "PATH": path}
    told = subprocess.run(["bash", "-c", "\n".join(lines)], cwd=folder, env=os.environ | environment, timeout=300,
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False).stdout
    for ours, theirs in addresses.items():
        told = told.replace(theirs, ours)
    return [part.strip("\n") for part in told.split("\036")]


def followed(page, folder):
    """The page as it would have to be: with what came out where the page says something else."""
    folder.mkdir()
    file, *between = page.split()
    text = (ROOT / "docs" / file).read_text()
    first, last = (text.index(f"\n## {section}\n") for section in between) if between else (0, len(text))
    found = BLOCK.finditer(text, first, last)
    blocks = [(match, steps(re.sub(rf"^{match[1]}", "", match[2], flags=re.M))) for match in found]
    commands = [command for _, block in blocks for command, _ in block if not starts_gizad(command)]
    # What takes five seconds in the sandbox may be over on a slow machine before somebody has looked.
    settings = {"sandbox_listen": f"127.0.0.1:{free_port()}", "ledger_dir": str(folder / "ledger"), "sandbox_deposit_time": "50s",
                "listen_socket": str(folder / "gizad.sock")}
    with running(pace_rate="1000/s", pace_burst="1000", **settings) as gateway:
        printed = iter(typed(commands, gateway, settings, folder))
    out, end = [], 0
    for match, block in blocks:
        told = []
        for command, expected in block:
            came = expected if starts_gizad(command) else next(printed)
            told += [f"$ {command}", *(expected if fits(came, expected) else came).splitlines()]
        lines = "".join(f"{match[1]}{line}".rstrip() + "\n" for line in told)
        out += [text[end:match.start()], f"{match[1]}```console\n{lines}{match[1]}```"]
        end = match.end()
    return text, "".join(out) + text[end:]


def starts_gizad(command):
    """Whoever follows starts one; here it runs already."""
    return re.match(r"(GIZAD_\w+=\S+ )*(gizad serve|cargo run)", command) is not None


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed(page, tmp_path):
    # A machine that is busy enough cannot even send what has two seconds to be sent.
    for attempt in range(3):
        text, there = followed(page, tmp_path / str(attempt))
        if there == text:
            break
    if os.environ.get("UPDATE"):
        (ROOT / "docs" / page.split()[0]).write_text(there)
    assert there == text, f"{page} says something else; UPDATE=1 writes what came out"


@pytest.mark.parametrize(("printed", "expected", "fit"), [
    ("a b", "a b", True), ("a b", "a c", False), ("", "", True), ("more", "", False),
    ('{"a":1,"b":2}', '{"a":1,…}', True), ('{"a":2,"b":2}', '{"a":1,…}', False), ("one\ntwo\nthree", "one\n…", True),
    ("op_01a20fdc452a1db7b7f4a55aff76", "op_01a20fdc4673a335858f952dc86f", True), ("op_1", "op_01a20fdc4673a335858f952dc86f", False),
    ("at 2026-11-24T22:51:03Z", "at 2027-01-01T00:00:00.123Z", True), ("at noon", "at 2027-01-01T00:00:00Z", False),
    ("on 127.0.0.1:8080", "on 127.0.0.1:33333", True), ("d2fccc1fd01a3c74776b1b5e91da839d", "267ad67a0c08110bd279b89e1fa8dfb4", True),
])
def test_what_fits(printed, expected, fit):
    assert fits(printed, expected) == fit
