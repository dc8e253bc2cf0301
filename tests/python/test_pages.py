"""The pages that errors and alerts lead to, in a real browser: in light and dark, on a phone and on a desk, without a word from elsewhere."""

import urllib.request

import pytest
from playwright.sync_api import expect

expect.set_options(timeout=20_000)
PAGES = {"/errors": "Errors", "/errors/OUTCOME_UNKNOWN": "OUTCOME_UNKNOWN", "/runbook": "Runbook"}


def opened(browser, gateway, path, **terms):
    """The page, and what it has asked for and complained of."""
    page, told = browser.new_context(**terms).new_page(), []
    page.on("request", lambda request: told.append(request.url.removeprefix(f"http://{gateway['api']}")))
    page.on("console", lambda line: told.append(line.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    assert page.goto(f"http://{gateway['api']}{path}").status == 200
    return page, told


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_and_asks_nobody(browser, gateway, path, width, scheme):
    page, told = opened(browser, gateway, path, viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(page.locator("h1")).to_have_text(PAGES[path])
    assert page.evaluate("document.documentElement.scrollWidth") == width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(18, 23, 21)") == (scheme == "dark")
    assert [url for url in told if not url.startswith("data:")] == [path, "/errors/page.css"]


def test_one_leads_to_the_other(browser, gateway):
    """From an error to the state that its operation is in, and back."""
    page, _ = opened(browser, gateway, "/errors/OUTCOME_UNKNOWN")
    page.locator("main a", has_text="IN_DOUBT").click()
    expect(page).to_have_url(f"http://{gateway['api']}/runbook#in_doubt")
    expect(page.locator("#in_doubt")).to_be_in_viewport()
    page.locator("h3#in_doubt ~ p a", has_text="OUTCOME_UNKNOWN").first.click()
    expect(page.locator("h1")).to_have_text("OUTCOME_UNKNOWN")


def test_a_program_gets_the_words_alone(gateway):
    for path in PAGES:
        with urllib.request.urlopen(f"http://{gateway['api']}{path}") as answer:
            assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
            assert answer.headers["vary"] == "accept"
            assert answer.read().decode().startswith(f"# {PAGES[path]}\n")
