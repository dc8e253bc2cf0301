"""The status page, in a real browser: it shows how things stand, by itself and as they change, and asks nobody else."""

import contextlib
import json
import re
import urllib.error
import urllib.request

import pytest
from browser.servers import Naive
from conftest import running
from playwright.sync_api import expect

ORDER = dict(plan_id=26, hostname="seen-on-a-page", password="StrongPass@123", os="ubuntu-22.04", billing_cycle="monthly")
# The page keeps up by itself, in its own time.
expect.set_options(timeout=20_000)
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
# What somebody would like to run on the page.
BAIT = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def gateway():
    with running(cache_ttl="300s") as ready:
        yield ready


def ask(url, body=None, **headers):
    """What a program is answered, whatever it is."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"} | headers)
    try:
        return json.load(urllib.request.urlopen(request, timeout=20))
    except urllib.error.HTTPError as error:
        return json.load(error)


@pytest.fixture
def open_page(browser, gateway):
    """Opens the page, and says in the end that it has asked nobody else and complained of nothing."""
    with contextlib.ExitStack() as stack:
        def look(prepare=lambda page: None, complains=False, blocked=frozenset(), **terms):
            context = browser.new_context(**terms)
            stack.callback(context.close)
            page = context.new_page()
            asked, complaints = [], []
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda line: complaints.append(line.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            home = f"http://{gateway['admin']}"
            prepare(page)
            assert page.goto(f"{home}/").status == 200
            expect(page.locator("main")).to_be_visible()

            def check():
                assert {url for url in asked if not url.startswith("data:")} - blocked == {f"{home}/", f"{home}/status"}
                assert bool(complaints) == complains, complaints

            stack.callback(check)
            return page

        yield look


def test_it_shows_how_things_stand_and_keeps_up(gateway, open_page, control):
    api = f"http://{gateway['api']}"
    ask(f"{api}/catalog/vps-plans")
    ask(f"{api}/vps")
    page = open_page(viewport=DESK)
    expect(page.locator("#state")).to_have_text("ready")
    expect(page.locator("#provider strong")).to_have_text("answers")
    expect(page.locator("#pace strong")).to_contain_text("a second")
    expect(page.locator("#kept")).to_contain_text("CatalogService.ListVpsPlans")
    expect(page.locator("#callers")).to_contain_text("anonymous")
    expect(page.locator("#calls tbody tr").first).to_contain_text("VpsService.ListVps")
    expect(page.locator("#times path.p50")).to_have_attribute("d", re.compile(r"^M\d"))
    # Without a reload: a call, a purchase of which nobody knows what became, a provider that is down.
    ask(f"{api}/wallet")
    expect(page.locator("#calls tbody tr").first).to_contain_text("WalletService.GetWallet")
    control(gateway, "/faults", {"kind": "close_before", "action": "create_vps"})
    lost = ask(f"{api}/vps", ORDER, **{"idempotency-key": "lost"})
    assert lost["reason"] == "OUTCOME_UNKNOWN"
    card = page.locator("#purchases .card").first
    expect(card).to_contain_text("IN_DOUBT")
    expect(card).to_contain_text("149,000 ₫")
    expect(card).to_contain_text("Do not buy the same again")
    expect(card).to_contain_text(f"POST {lost['operation']}/reconcile")
    expect(page.locator("#banner")).to_contain_text("1 purchase is in doubt")
    control(gateway, "/faults", {"kind": "error500", "times": 1000})
    for _ in range(6):
        ask(f"{api}/wallet")
    expect(page.locator("#provider strong")).to_have_text(re.compile("is left alone|is tried again"))
    expect(page.locator("#state")).to_have_text("degraded: CIRCUIT_OPEN")
    urllib.request.urlopen(urllib.request.Request(f"http://{gateway['sandbox_control']}/faults", method="DELETE"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_is_readable_anywhere(open_page, scheme, size):
    page = open_page(viewport=size, color_scheme=scheme)
    expect(page.locator("#calls table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"], "nothing hangs out at the side"
    # Of everything with a text of its own, against what is behind it (WCAG 2.2, 1.4.3).
    poor = page.evaluate(CONTRAST)
    assert poor == []


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE)])
def test_gizads_that_share_the_account_are_shown(browser, postgres, scheme, size):
    with running(shared_url=postgres, shared_max_replicas="3") as one:
        status = f"http://{one['admin']}/status"
        while ask(status)["replicas"]["lease"] != "held":
            pass
        context = browser.new_context(viewport=size, color_scheme=scheme)
        page = context.new_page()
        page.goto(f"http://{one['admin']}/")
        mine = page.locator("#replicas tbody tr")
        expect(mine).to_have_count(1)
        expect(mine).to_contain_text("(this one)")
        expect(mine).to_contain_text("there")
        expect(page.locator("#replicas")).to_contain_text("1 of at most 3")
        # And how it looks when it is not well.
        now = ask(status)
        [own] = now["replicas"]["list"]
        other = own | {"name": "pod-7c9f-0123abcd", "silent": True, "share": 0.25, "lag_s": 4000.5}
        now["replicas"] |= {"lease": "alone", "alone_for_s": 75, "list": [own, other]}
        page.route("**/status", lambda route: route.fulfill(json=now))
        expect(page.locator("#replicas")).to_contain_text("cut off, on its static share for 1 min")
        expect(page.locator("#replicas tbody tr").last).to_contain_text("silent")
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"], "nothing hangs out at the side"
        assert page.evaluate(CONTRAST) == []
        context.close()


def test_whoever_has_the_account_for_itself_shows_no_replicas(gateway, open_page):
    page = open_page(viewport=DESK)
    expect(page.locator("#calls")).to_be_visible()
    expect(page.locator("#replicas-section")).to_be_hidden()


# Where a text has less than 4.5 of contrast.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (colors) => {
    const [r, g, b] = [...paint(colors)].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => element ? [...behind(element.parentElement), getComputedStyle(element).backgroundColor] : ["white"];
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.querySelectorAll("body *")].filter((element) => own(element) && element.checkVisibility()).flatMap((element) => {
    if (["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName) || element.closest("svg")) return [];
    const back = behind(element);
    const [a, b] = [light(back), light([...back, getComputedStyle(element).color])].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    return contrast < 4.5 ? [`${element.textContent.slice(0, 40)}: ${contrast.toFixed(2)}`] : [];
  });
}"""


def baited(value, path=()):
    """The same, with a bait in every text that is not a time."""
    match value:
        case dict():
            return {key: baited(inner, (*path, key)) for key, inner in value.items()}
        case list():
            return [baited(inner, path) for inner in value]
        case str() if path[-1] not in ("at", "created", "expires"):
            return value + BAIT
    return value


def test_whatever_is_in_a_name_is_a_text(gateway, open_page):
    status = baited(ask(f"http://{gateway['admin']}/status"))
    status |= {"state": "ready", "degraded": f"CIRCUIT_OPEN {BAIT}"}
    status["callers"][0]["expires"] = "2027-01-31T00:00:00Z"

    def prepare(page):
        page.route("**/status", lambda route: route.fulfill(json=status))

    page = open_page(prepare, viewport=PHONE)
    expect(page.locator("#calls tbody tr").first).to_contain_text(BAIT)
    for place in ("state", "provider", "purchases", "callers", "calls", "kept"):
        assert BAIT in page.locator(f"#{place}").inner_text(), place
    assert page.locator("img").count() == 0
    assert page.title() != "1"
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_it_says_when_gizad_does_not_answer_any_more(open_page):
    gone = []

    def prepare(page):
        page.route("**/status", lambda route: route.fulfill(status=503) if gone else route.fallback())

    page = open_page(prepare, complains=True, viewport=DESK)
    expect(page.locator("#state")).not_to_have_text("no answer")
    gone.append(True)
    expect(page.locator("#banner")).to_contain_text("gizad does not answer. What is shown is of")
    expect(page).to_have_title("gizad: no answer")
    assert page.locator("#calls table").is_visible(), "what was known last is still there"
    gone.clear()
    expect(page.locator("#state")).not_to_have_text("no answer")


def test_nothing_else_runs_on_it(open_page):
    """Whatever came into the page all the same could run nothing and ask nobody."""
    other = Naive()
    elsewhere = f"http://127.0.0.1:{other.server_port}/"
    page = open_page(viewport=DESK, complains=True, blocked={elsewhere})
    page.evaluate("""(elsewhere) => {
      window.violated = [];
      document.addEventListener("securitypolicyviolation", (event) => violated.push(event.effectiveDirective));
      const script = document.createElement("script");
      script.textContent = "document.title = 'taken over'";
      const frame = document.createElement("iframe");
      frame.src = elsewhere;
      const image = document.createElement("img");
      image.src = elsewhere;
      document.body.append(script, frame, image);
      document.body.setAttribute("onclick", "document.title = 'taken over'");
      document.body.click();
      fetch(elsewhere).catch(() => {});
    }""", elsewhere)
    page.wait_for_function("new Set(violated).size === 5")
    assert sorted(set(page.evaluate("violated"))) == VIOLATED
    assert page.title() != "taken over" and other.done == set()


VIOLATED = ["connect-src", "frame-src", "img-src", "script-src-attr", "script-src-elem"]
