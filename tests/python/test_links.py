"""Every link among the documents leads somewhere: to a file that there is, to a heading that it has."""

import re

import pytest
from conftest import ROOT
from documents import DOCS, anchors, without_code

LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)", re.M)


def broken(path, text):
    """The links of a document that lead nowhere."""
    for inline, reference in LINK.findall(without_code(text)):
        target = inline or reference
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or ROOT not in there.parents:
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors(text if there == path else there.read_text()):
            yield f"{target}: there is no such heading"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    assert list(broken(path, path.read_text())) == []


@pytest.mark.parametrize("link", ["nothing.md", "guide.md#nothing", "#nothing", "../src/nothing.rs", "../../etc/passwd"])
def test_a_link_that_leads_nowhere_is_found(link):
    path = ROOT / "docs" / "runbook.md"
    assert list(broken(path, f"# A\n\nSee [it]({link}), [this](#a), [that](guide.md) and `[no](link)`.\n"))


def test_every_page_can_be_reached_from_the_index():
    """From docs/README.md, over however many links."""
    index = ROOT / "docs" / "README.md"
    reached, left = set(), [index]
    while left:
        path = left.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        links = [inline or reference for inline, reference in LINK.findall(without_code(path.read_text()))]
        left += [(path.parent / link.partition("#")[0]).resolve() for link in links if not re.match(r"[a-z]+:|#", link)]
    assert {path for path in DOCS if path.parent.name == "docs"} <= reached
