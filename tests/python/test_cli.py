"""The command line at a real terminal: a person is asked before money goes, sees tables that fit, and is told that it takes long."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata
import urllib.request

import numpy
import PIL.Image
import pytest
import zxingcpp
from conftest import BINARY, running

PATIENCE = 30


class Person:
    """Somebody at a terminal of a certain width."""

    def __init__(self, gateway, *arguments, columns=200):
        own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        environment = {**os.environ, "GIZAD_URL": f"http://{gateway['api']}", "TZ": "Asia/Ho_Chi_Minh"}
        self.program = subprocess.Popen([BINARY, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.terminal, self.seen = own, ""

    def read(self, until=None):
        """What is on the screen, up to these words or the end."""
        begun = time.monotonic()
        while until is None or until not in self.seen:
            assert time.monotonic() - begun < PATIENCE, self.seen
            if not select.select([self.terminal], [], [], 1)[0]:
                continue
            try:
                more = os.read(self.terminal, 65536)
            except OSError:  # Everybody has left the other end.
                break
            if not more:
                break
            self.seen += more.decode()
        return self.seen

    def says(self, words):
        os.write(self.terminal, f"{words}\n".encode())

    def ends(self):
        self.read()
        os.close(self.terminal)
        return self.program.wait(timeout=PATIENCE)


@pytest.fixture
def buying(tmp_path):
    password = tmp_path / "password"
    password.write_text("StrongPass@123\n")
    return ["vps", "create", "--plan-id", "26", "--os", "ubuntu-22.04", "--billing-cycle", "monthly",
            "--password-file", str(password), "--hostname"]


def bought(gateway):
    told = subprocess.run([BINARY, "vps", "--json", "--url", f"http://{gateway['api']}"], capture_output=True, check=True)
    return [vps["hostname"] for vps in json.loads(told.stdout)["vps"]]


def test_a_person_is_asked_before_money_goes(gateway, buying):
    for answer, host, code in [("n", "no-1", 1), ("", "no-2", 1), ("y", "yes-1", 0), ("có", "yes-2", 0)]:
        person = Person(gateway, *buying, host)
        screen = person.read("[y/N]")
        assert "takes money" in screen and "149.000 ₫" in screen and "afterwards" in screen
        assert host not in bought(gateway)
        person.says(answer)
        assert person.ends() == code, person.seen
        assert (host in bought(gateway)) == (code == 0)
        assert "StrongPass" not in person.seen


def test_what_was_seen_is_the_most_that_is_paid(gateway, buying, control):
    person = Person(gateway, *buying, "dearer-1")
    person.read("[y/N]")
    # Meanwhile the provider asks for more.
    plans = {"success": True, "data": [{"planid": 26, "name": "VPS SSD 2", "price": 999000, "prices": {"monthly": 999000}}]}
    control(gateway, "/faults", {"kind": "answer", "action": "list_plans", "body": json.dumps(plans), "times": 10})
    person.says("y")
    assert person.ends() == 1, person.seen
    assert "PRICE_TOO_HIGH" in person.seen
    assert "dearer-1" not in bought(gateway)
    control(gateway, "/reset", {})


def test_whoever_has_a_server_is_asked_before_it_stops(gateway):
    person = Person(gateway, "vps", "stop", "1")
    assert "interrupts" in person.read("[y/N]")
    person.says("n")
    assert person.ends() == 1


def test_a_table_fits_its_terminal(gateway):
    wide = Person(gateway, "vps")
    wide.ends()
    assert "EXPIRE_TIME" in wide.seen and "+" not in wide.seen.splitlines()[0]
    narrow = Person(gateway, "vps", columns=40)
    narrow.ends()
    table = [line for line in narrow.seen.splitlines() if line.startswith(("VPS_ID", " "))]
    def columns(line):
        return sum(unicodedata.combining(c) == 0 for c in line)
    assert table and all(columns(line) <= 40 for line in table), narrow.seen
    assert "more columns with --wide" in narrow.seen


def test_it_is_said_that_it_takes_long(control):
    with running() as gateway:
        control(gateway, "/faults", {"kind": "delay", "ms": 4000, "action": "balance"})
        person = Person(gateway, "wallet")
        person.read("waiting for the answer")
        assert person.ends() == 0
        assert "5.000.000 ₫" in person.seen
        # Who is no terminal is told nothing but the answer.
        piped = subprocess.run([BINARY, "wallet", "--url", f"http://{gateway['api']}"], capture_output=True, text=True, check=True)
        assert piped.stderr == "" and "5.000.000 ₫" in piped.stdout


def test_times_are_those_of_the_place(gateway):
    person = Person(gateway, "vps", "get", "1")
    person.ends()
    assert "+07:00" in person.seen, person.seen


def code(screen):
    """What a banking app reads from a screen: white blocks on a black ground, whatever the terminal's own colours are."""
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    lines = re.findall("\x1b\\[38;5;231;48;5;16m([█▀▄ ]+)\x1b\\[0m", screen)
    rows = [[halves[block][half] for block in line] for line in lines for half in (0, 1)]
    image = numpy.kron(numpy.array(rows, dtype=numpy.uint8), numpy.ones((6, 6), dtype=numpy.uint8))
    return [found.text for found in zxingcpp.read_barcodes(PIL.Image.fromarray(image))]


def test_a_deposit_is_scanned_and_waited_for(control):
    with running(sandbox_deposit_time="1h", watch_quick="50ms", watch_slow="100ms") as gateway:
        person = Person(gateway, "deposit", "500000")
        screen = person.read("waiting for the money, 0:0")
        assert "500.000 ₫" in screen and "MBBank" in screen and "NAP GZ6" in screen
        order = json.load(urllib.request.urlopen(f"http://{gateway['api']}/wallet/deposits/GZ6"))
        assert code(screen) == [order["vietqr"]] and order["vietqr"]
        control(gateway, "/advance", {"seconds": 3601})
        assert person.ends() == 0, person.seen
        assert "PAID  500.000 ₫  GZ6" in person.seen


def test_whoever_goes_away_from_a_deposit_is_told_how_to_come_back():
    with running(sandbox_deposit_time="1h") as gateway:
        # Too narrow for a code, which nobody could scan then.
        person = Person(gateway, "deposit", "500000", columns=40)
        assert "columns, and this terminal has 40" in person.read("waiting for the money, 0:0")
        assert "█" not in person.seen
        person.program.send_signal(signal.SIGINT)
        assert person.ends() == 130, person.seen
        assert "go on with: gizad deposit watch GZ6" in person.seen
