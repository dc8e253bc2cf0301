"""Web pages that attack, in a real browser (`browser/attacks.js`), and what they get: nothing done and nothing read.

Each page is first sent at somebody naive, to show that it is an attack: there it does what the table says. Then at gizad in
its sandbox, where everybody may do everything, on every address it can be bound to, and on all of its listeners. The attacker
is on this machine too: where browsers keep pages from the internet out of local networks, that keeps none of these out.
"""

import contextlib
import json
import socket
import time
import urllib.request

import pytest
from browser.servers import Attacker, Naive
from conftest import browser_path, running
from playwright.sync_api import sync_playwright

PATIENCE = 20

# What each page does to somebody naive: it asks (with GET), writes (with anything else), reads.
PAGES = {
    "fetch": {"asks", "writes", "reads"},
    "fetch_with_credentials": {"asks", "writes", "reads"},
    "fetch_without_cors": {"asks", "writes"},
    "fetch_of_json": {"writes", "reads"},
    "fetch_without_referrer": {"asks", "writes"},
    "xhr": {"asks", "writes", "reads"},
    "form_urlencoded": {"writes"},
    "form_multipart": {"writes"},
    "form_of_text": {"writes"},
    "form_that_gets": {"asks"},
    "form_in_a_window": {"writes"},
    "beacon": {"writes"},
    "ping": {"writes"},
    "policy_report": {"writes"},
    "image": {"asks"},
    "script": {"asks"},
    "stylesheet": {"asks"},
    "embedded": {"asks"},
    "fetched_ahead": {"asks"},
    "frame": {"asks"},
    "frame_without_origin": {"asks", "writes", "reads"},
    "window": {"asks"},
    "navigation": {"asks"},
    "websocket": {"asks", "reads"},
    "event_source": {"asks", "reads"},
    "worker": {"asks", "writes", "reads"},
    "service_worker": {"asks", "writes", "reads"},
    "redirect": {"asks", "writes", "reads"},
    "grpc_web": {"writes", "reads"},
    "other_names": {"asks", "writes", "reads"},
}

# Where gizad listens, and by what it is reached there.
BINDS = [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost")]
if socket.has_dualstack_ipv6():
    BINDS.append(("[::1]", "[::1]"))

ORDER = dict(plan_id=26, hostname="bought-by-a-page", password="StrongPass@123", os="ubuntu-22.04", billing_cycle="monthly")



def get(url):
    return json.load(urllib.request.urlopen(url, timeout=PATIENCE))


def send(url, body="", method="POST"):
    """What a program does, which is not a page."""
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, data=body.encode(), headers=headers, method=method)
    return urllib.request.urlopen(request, timeout=PATIENCE).read()


class Besieged:
    """A gateway, and all that could become of it."""

    def __init__(self, ready, bind, host):
        self.log, self.bind, self.host = ready["log"], bind, host
        self.ports = {name: int(ready[name].rpartition(":")[2]) for name in ("api", "admin", "sandbox_control")}
        self.api, self.admin = (f"http://{host}:{self.ports[name]}" for name in ("api", "admin"))
        self.control = f"http://{ready['sandbox_control']}"
        get(f"{self.local('api')}/catalog/vps-plans")
        assert until(lambda: self.log), "a call is logged"
        send(f"{self.control}/requests", method="DELETE")
        self.before, self.told = self.marks(), len(self.log)

    def local(self, name):
        """A listener, by the address that programs use."""
        host = "localhost" if self.bind == "0.0.0.0" else self.bind
        return f"http://{host}:{self.ports[name]}"

    def marks(self):
        """What the provider was asked and has done, and how much is in memory."""
        requests, ledger = (get(f"{self.control}/{name}") for name in ("requests", "ledger"))
        return {"requests": requests, "ledger": ledger, "memory": get(f"{self.local('admin')}/status")["cache"]}

    def new(self):
        return self.log[self.told:]

    def check(self):
        """Nothing was done: neither at the provider nor here. All that is in the log is that pages were refused."""
        assert self.marks() == self.before
        new = self.new()
        assert {line["message"] for line in new} <= {"request refused"}, new
        assert {line["outcome"] for line in new} <= {"CROSS_SITE", "HOST_NOT_ALLOWED"}, new
        self.told += len(new)


@pytest.fixture(scope="module")
def attacker():
    return Attacker()


@pytest.fixture(scope="module")
def all_besieged():
    """A gateway on every address, until the browser has gone: it would keep connections open."""
    with contextlib.ExitStack() as stack:
        besieged = {bind: Besieged(stack.enter_context(running(host=bind)), bind, host) for bind, host in BINDS}
        yield besieged
        for one in besieged.values():
            one.check()


@pytest.fixture(scope="module", params=[bind for bind, _ in BINDS])
def besieged(request, all_besieged):
    return all_besieged[request.param]


@pytest.fixture(scope="module")
def named():
    """One that is also reached by a name."""
    with running(host="0.0.0.0", listen_hosts="gizad.test") as ready:
        yield Besieged(ready, "0.0.0.0", "gizad.test")


@pytest.fixture(scope="module")
def chromium(attacker, all_besieged, named):
    """A browser for which the names in these tests exist."""
    rules = f"MAP rebound.test 127.0.0.1:{attacker.rebound.port}, MAP gizad.test 127.0.0.1"
    arguments = [
        # Whoever runs the tests may be root.
        "--no-sandbox", "--disable-popup-blocking", f"--host-resolver-rules={rules}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=arguments)
        yield browser.new_context()
        browser.close()


@pytest.fixture
def tab(chromium):
    """A new one for each page: Chromium slows down those whose WebSockets have failed."""
    yield chromium.new_page()
    for page in chromium.pages:
        page.close()


def wishes(api, admin, home):
    """What the pages want of somebody who listens there."""
    key = {"request_id": "a-page-would-buy"}
    return {
        "home": home,
        "reads": [f"{api}/wallet", f"{api}/vps?view=FULL", f"{api}/docs", f"{api}/openapi.json", f"{admin}/", f"{admin}/status",
                  f"{admin}/metrics", f"{admin}/livez"],
        "writes": [
            {"url": f"{api}/vps/1/stop", "body": "{}"}, {"url": f"{api}/vps", "body": json.dumps(ORDER | key)},
            {"url": f"{admin}/cache/purge", "body": "{}"},
        ],
        "calls": [{"url": f"{api}/gizad.v1.VpsService/StopVps", "message": [8, 1]}],
    }


def raid(tab, attacker, site, name, wanted):
    """What a page could read that is opened on some site."""
    tab.goto(site + attacker.page(name, wanted), wait_until="commit")
    loot = attacker.loot.get(timeout=PATIENCE)
    assert "broken" not in loot, loot
    return loot["read"]


def until(holds):
    """Waits for what a browser does in its own time."""
    deadline = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


def home_of(attacker, host=None):
    """Where the pages are: on another port of the attacked host, or on another site. To a browser a name below localhost
    is as good as one with a certificate: its pages may do more."""
    return f"http://{host or 'evil.localhost'}:{attacker.server_port}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_harms_who_is_naive(tab, attacker, name):
    api, admin = Naive(), Naive()
    home = home_of(attacker)
    wanted = wishes(*(f"http://127.0.0.1:{one.server_port}" for one in (api, admin)), home)
    read = raid(tab, attacker, home, name, wanted)
    asked = PAGES[name] - {"reads"}
    reached = [api] if name == "grpc_web" else [api, admin]
    until(lambda: all(one.done >= asked for one in reached))
    assert [one.done for one in reached] == [asked for _ in reached]
    assert bool(read) == ("reads" in PAGES[name]), read


@pytest.mark.parametrize("name", PAGES)
def test_a_page_gets_nothing_from_gizad(besieged, tab, attacker, name):
    for home in (home_of(attacker), home_of(attacker, besieged.host)):
        assert raid(tab, attacker, home, name, wishes(besieged.api, besieged.admin, home)) == [], home
        assert until(besieged.new), f"it never reached gizad from {home}"
        besieged.check()


def rebind(tab, attacker, port, address):
    """What a page could read whose own name has become this address."""
    attacker.rebound.aim(address)
    here, home = f"http://rebound.test:{port}", home_of(attacker)
    return raid(tab, attacker, here, "rebinding", wishes(here, here, home))


def test_a_rebound_name_harms_who_is_naive(tab, attacker):
    naive = Naive()
    read = rebind(tab, attacker, naive.server_port, ("127.0.0.1", naive.server_port))
    assert naive.done == {"asks", "writes"} and any("secret" in text for text in read)


@pytest.mark.parametrize("listener", ["api", "admin"])
def test_a_rebound_name_gets_refusals(besieged, tab, attacker, listener):
    """All is of the page's own origin, so it reads what it is told: that it is refused, and nothing else."""
    port = besieged.ports[listener]
    read = rebind(tab, attacker, port, (besieged.bind.strip("[]"), port))
    assert read and [text for text in read if not is_refusal(text)] == []
    besieged.check()


def is_refusal(text):
    said = json.loads(text[text.find("{"):])
    return said.get("reason") == "HOST_NOT_ALLOWED" or said.get("title") == "Not from there"


# Those that say least about where they come from, and two that say it.
@pytest.mark.parametrize("name", ["fetch_without_referrer", "image", "worker", "frame_without_origin", "fetch", "form_of_text"])
def test_a_page_reads_and_writes_nothing_by_a_name(named, tab, attacker, name):
    """Of a request to a plain name browsers do not say where it comes from, unless it writes. So what a page only asks for
    may reach the provider, if whoever has no token may ask for it. The page reads no answer, and nothing is changed."""
    home = home_of(attacker)
    assert raid(tab, attacker, home, name, wishes(named.api, named.admin, home)) == []
    assert until(named.new), "it never reached gizad"
    now = named.marks()
    assert (now["ledger"], now["memory"]) == (named.before["ledger"], named.before["memory"])
    assert {line.get("effect", "read") for line in named.new()} == {"read"}
    named.told = len(named.log)


@pytest.fixture
def control(all_besieged):
    """The socket on which tests make a provider misbehave, which holds such an order."""
    control = all_besieged["127.0.0.1"].control
    send(f"{control}/faults", json.dumps({"action": "nothing", "kind": "error500"}))
    yield control
    send(f"{control}/faults", method="DELETE")


@pytest.mark.parametrize("name", ["fetch", "fetch_without_cors", "beacon"])
def test_a_page_does_not_order_the_stand_in(tab, attacker, control, name):
    home = home_of(attacker)
    wanted = {"home": home, "reads": [f"{control}/state"], "writes": [{"url": f"{control}/reset", "body": "{}"}]}
    assert raid(tab, attacker, home, name, wanted) == []
    # What a page sends without waiting is mostly under way before another page comes home.
    assert raid(tab, attacker, home, "fetch_without_cors", wanted | {"writes": []}) == []
    assert len(get(f"{control}/faults")) == 1


def test_a_rebound_name_does_not_order_the_stand_in(tab, attacker, control):
    port = int(control.rpartition(":")[2])
    read = rebind(tab, attacker, port, ("127.0.0.1", port))
    assert read and {json.loads(text[text.find("{"):])["error"] for text in read} == {"a web page may not do this"}
    assert len(get(f"{control}/faults")) == 1


def test_what_the_pages_want_is_harm():
    """A program that asks for the same gets it."""
    with running() as ready:
        gateway = Besieged(ready, "127.0.0.1", "127.0.0.1")
        for wish in wishes(gateway.api, gateway.admin, "")["writes"]:
            send(**wish)
        after = gateway.marks()
    actions = [json.loads(one["body"])["action"] for one in after["requests"] if one["body"]]
    assert {"vps_action", "create_vps"} <= set(actions)
    assert len(after["ledger"]) == len(gateway.before["ledger"]) + 1
    assert gateway.before["memory"]["answers"] == 1 and after["memory"]["answers"] == 0


def test_what_a_person_types_is_answered(tab):
    with running() as ready:
        for url in (*(f"http://{ready['admin']}/{path}" for path in ("", "status")), f"http://{ready['api']}/wallet"):
            answer = tab.goto(url)
            assert (answer.status, answer.request.all_headers()["sec-fetch-site"]) == (200, "none"), url
        # What stands there then may ask its own origin.
        assert tab.evaluate("fetch('/vps').then((answer) => answer.status)") == 200


def test_what_a_person_types_may_lead_on(tab, attacker):
    """An address that was typed says `none` even where it leads to another site. So a link in a mail can show a person what
    that person may read; it cannot write, and whoever sent it sees nothing."""
    home = home_of(attacker)
    with running() as ready:
        on = [f"{home}/on?http%3A%2F%2F{ready['api']}%2F{path}" for path in ("wallet", "vps%2F1%2Fstop")]
        assert [tab.goto(url).status for url in on] == [200, 405]
