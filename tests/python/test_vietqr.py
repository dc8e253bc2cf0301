"""The code of a deposit, as a banking app would read it: each picture is decoded by a reader that is not ours."""

import io
import json
import urllib.error
import urllib.request

import numpy
import PIL.Image
import pytest
import zxingcpp

from conftest import running

BANK, ACCOUNT, NOTE = "MBBank", "0900123456789", "NAP GZ6"


@pytest.fixture(scope="module")
def house():
    with running(sandbox_deposit_time="1h", pace_rate="1000/s", pace_burst="1000") as gateway:
        body = json.dumps({"amount_vnd": 500_000}).encode()
        request = urllib.request.Request(f"http://{gateway['api']}/wallet/deposits", data=body, method="POST")
        request.add_header("content-type", "application/json")
        yield gateway, json.load(urllib.request.urlopen(request))


def drawn(gateway, deposit, extension):
    return urllib.request.urlopen(f"http://{gateway['api']}/wallet/deposits/{deposit['order_id']}/qr.{extension}")


def read(image):
    return [code.text for code in zxingcpp.read_barcodes(image)]


def objects(text):
    """EMVCo's data objects: identifier, length, value, again and again."""
    found = {}
    while text:
        length = int(text[2:4])
        found[text[:2]], text = text[4:4 + length], text[4 + length:]
    return found


def test_the_code_says_what_the_deposit_says(house):
    _, deposit = house
    code = objects(deposit["vietqr"])
    merchant = objects(code["38"])
    assert (merchant["00"], merchant["02"]) == ("A000000727", "QRIBFTTA")
    assert objects(merchant["01"]) == {"00": "970422", "01": deposit["account_number"]}
    assert (code["53"], code["54"], code["58"]) == ("704", str(deposit["amount_vnd"]), "VN")
    assert objects(code["62"]) == {"08": deposit["transfer_note"]}
    assert (deposit["bank"], deposit["account_number"], deposit["transfer_note"]) == (BANK, ACCOUNT, NOTE)


def test_a_png_is_read(house):
    answer = drawn(*house, "png")
    assert answer.headers["content-type"] == "image/png"
    assert read(PIL.Image.open(io.BytesIO(answer.read()))) == [house[1]["vietqr"]]


def test_an_svg_is_read_from_the_screen(house, browser):
    gateway, deposit = house
    page = browser.new_page()
    answer = page.goto(f"http://{gateway['api']}/wallet/deposits/{deposit['order_id']}/qr.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert read(PIL.Image.open(io.BytesIO(page.screenshot()))) == [deposit["vietqr"]]


def test_the_blocks_of_a_terminal_are_read(house):
    # A dark terminal: each character is two modules, one above the other, and what is drawn is light.
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    lines = drawn(*house, "txt").read().decode().splitlines()
    rows = [[halves[block][half] for block in line] for line in lines for half in (0, 1)]
    image = numpy.kron(numpy.array(rows, dtype=numpy.uint8), numpy.ones((6, 6), dtype=numpy.uint8))
    assert read(PIL.Image.fromarray(image)) == [house[1]["vietqr"]]


@pytest.mark.parametrize("answer", [
    {"bank_name": "Bank of Nowhere"}, {"account_number": ""}, {"content": "NẠP TIỀN"}, {"status": "paid"}, {"status": "expired"},
    {"status": "da_nhan_tien"}, {"paid_at": "2026-01-02 03:04:05"}, {"expires_at": "2020-01-02 03:04:05"},
])
def test_nothing_is_drawn_that_nobody_should_pay(house, control, answer):
    gateway, deposit = house
    order = {"order_id": deposit["order_id"], "amount": 500_000, "status": "pending", "bank_name": BANK, "account_number": ACCOUNT,
             "content": NOTE}
    body = json.dumps({"success": True, "order": order | answer})
    control(gateway, "/faults", {"kind": "answer", "body": body, "action": "get_sepay_order"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        drawn(gateway, deposit, "svg")
    assert (refused.value.code, json.load(refused.value)["reason"]) == (404, "NOT_FOUND")
    # The same once more, as it is: it is shown, without a code.
    control(gateway, "/faults", {"kind": "answer", "body": body, "action": "get_sepay_order"})
    shown = json.load(urllib.request.urlopen(f"http://{gateway['api']}/wallet/deposits/{deposit['order_id']}"))
    assert shown["vietqr"] == ""
    control(gateway, "/faults", {"kind": "answer", "body": json.dumps({"success": True, "order": order}), "action": "get_sepay_order"})
    assert drawn(gateway, deposit, "svg").status == 200
