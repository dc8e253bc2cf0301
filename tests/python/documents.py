"""The documents: their sections, their links, and what somebody would type who follows them."""

import re

from conftest import ROOT

# Not what somebody has installed beside an example.
DOCS = sorted(path for path in [*(ROOT / "docs").glob("**/*.md"), *ROOT.glob("*.md")] if "node_modules" not in path.parts)

FENCE = re.compile(r"^( *)```.*?^\1```$", re.M | re.S)


def without_code(text):
    """What is prose: neither a block of code nor a piece of it can hold a link."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(text):
    """The anchors that GitHub gives to headings: the second of a name gets a number."""
    found = []
    for heading in re.findall(r"^#{1,6} +(.+?) *$", FENCE.sub("", text), re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return {*found, *re.findall(r'<a (?:id|name)="([^"]+)"', text)}


def sections(text, level=3):
    """The sections of a level, by their headings, in their order."""
    mark = "#" * level
    parts = re.split(rf"^{mark} +(.+?) *\n", text, flags=re.M)
    ended = [re.split(rf"^#{{1,{level - 1}}} ", body, flags=re.M)[0] for body in parts[2::2]]
    return dict(zip(parts[1::2], ended, strict=True))
