"""The documentation page, in a real browser: what it shows can be tried, by nobody and by a caller, and it asks nobody else."""

import gzip
import json
import re
import subprocess
import urllib.request

import pytest
import yaml
from browser.servers import Naive
from conftest import BINARY, ROOT, running
from playwright.sync_api import expect

expect.set_options(timeout=20_000)
OWN = {"/docs", "/docs/page.css", "/docs/page.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/openapi.json"}


class Docs:
    """The page of a gateway, with what it has asked and complained of."""

    def __init__(self, browser, gateway, **terms):
        self.home = f"http://{gateway['api']}"
        self.page = browser.new_context(**terms).new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda line: self.complaints.append(line.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, query=""):
        assert self.page.goto(f"{self.home}/docs{query}").status == 200
        expect(self.page.locator(".opblock-tag")).to_have_count(14)
        return self

    def unfold(self, path, method="get"):
        place = f'.opblock-{method}:has([data-path="{path}"])'
        block = self.page.locator(place)
        if not block.count():
            for tag in self.page.locator(".opblock-tag").all():
                tag.click()
                if block.count():
                    break
        block.locator(".opblock-summary-control").click()
        return block

    def execute(self, block):
        """The status and the body of what came back."""
        block.locator("button.execute").click()
        told = block.locator(".live-responses-table tbody .response")
        told.wait_for()
        body = told.locator(".highlight-code").inner_text()
        return told.locator(".response-col_status").inner_text().split()[0], json.loads(body[body.index("{"):])

    def check(self, *more):
        """It has asked for itself, and for this, and nobody else."""
        paths = {url.removeprefix(self.home) for url in self.asked if not url.startswith("data:")}
        assert paths == OWN | set(more)
        assert self.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_an_operation_is_tried_from_the_page(browser, gateway, scheme, width):
    docs = Docs(browser, gateway, viewport={"width": width, "height": 900}, color_scheme=scheme).open()
    block = docs.unfold("/wallet")
    status, body = docs.execute(block)
    assert (status, body["currency"]) == ("200", "VND")
    assert docs.page.evaluate("document.documentElement.scrollWidth") == width
    assert ("dark-mode" in (docs.page.locator("html").get_attribute("class") or "")) == (scheme == "dark")
    docs.check("/wallet")


def test_a_write_is_tried_with_the_example(browser, gateway):
    docs = Docs(browser, gateway).open()
    block = docs.unfold("/vps/{vps_id}", "patch")
    block.locator('input[placeholder="vps_id"]').fill("1")
    status, body = docs.execute(block)
    assert (status, body["pending"]) == ("200", False)
    docs.check("/vps/1")


def test_whoever_has_a_token_enters_it(browser, tmp_path):
    made = subprocess.run([BINARY, "token", "new", "reader"], capture_output=True, text=True, check=True).stdout
    token = re.search(r"gzd_\S+", made)[0]
    settings = tmp_path / "gizad.toml"
    digest = re.search(r'sha256 = "(.*)"', made)[1]
    settings.write_text(f'[access]\nanonymous = []\n[callers.reader]\ntoken_sha256 = "{digest}"\nscopes = ["read"]\n')
    with running(["--config", settings]) as gateway:
        docs = Docs(browser, gateway).open()
        block = docs.unfold("/wallet")
        status, body = docs.execute(block)
        assert (status, body["reason"]) == ("401", "UNAUTHENTICATED")
        docs.complaints.clear()
        docs.page.locator("button.authorize").first.click()
        docs.page.locator(".modal-ux input").fill(token)
        docs.page.locator(".modal-ux button.authorize").click()
        docs.page.locator(".modal-ux button.btn-done").click()
        block.locator("button.execute").click()
        expect(block.locator(".live-responses-table tbody .response .response-col_status")).to_contain_text("200")
        docs.check("/wallet")
        docs.page.reload()
        expect(docs.page.locator(".opblock-tag").first).to_be_visible()
        assert docs.page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])") == '[{},{},""]'
        assert not any(token in json.dumps(line) for line in gateway["log"])


def test_a_link_does_not_bring_another_document(browser, gateway):
    other = Naive()
    url = f"http://127.0.0.1:{other.server_port}/openapi.json"
    docs = Docs(browser, gateway).open(f"?url={url}&configUrl={url}")
    expect(docs.page.locator(".info .title")).to_contain_text("gizad")
    assert other.done == set() and not any(asked.startswith(url) for asked in docs.asked)


def test_yaml_says_the_same_as_json(gateway):
    def get(name, **headers):
        return urllib.request.urlopen(urllib.request.Request(f"http://{gateway['api']}/{name}", headers=headers))

    whole = json.load(get("openapi.json"))
    assert yaml.safe_load(get("openapi.yaml").read()) == whole
    packed = get("openapi.json", **{"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.read())) == whole
    assert whole == json.loads((ROOT / "docs" / "openapi.json").read_text())
