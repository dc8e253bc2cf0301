"""The runbook: a section for every alert, which says what the alert says, and leads on. `UPDATE=1` writes that anew."""

import os
import re

import yaml
from conftest import ROOT
from documents import anchors, sections

RUNBOOK = ROOT / "docs" / "runbook.md"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"


def alerts():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def plain(text):
    """What a template would put in, in words."""
    text = re.sub(r"\{\{ *\$labels\.(\w+) *\}\}", lambda label: label[1].upper(), text)
    return " ".join(re.sub(r"\{\{[^}]*\}\}", "…", text).split())


def said(alert):
    """What an alert says, as the first three paragraphs of its section."""
    notes, terms = alert["annotations"], " ".join(alert["expr"].split())
    lasting = f", for {alert['for']}" if "for" in alert else ""
    first = f"**{alert['labels']['severity']}: {plain(notes['summary'])}.** `{terms}`{lasting}."
    return [first, plain(notes["description"]), plain(notes["runbook"])]


def test_every_alert_has_its_section_and_says_what_it_says_there():
    text = RUNBOOK.read_text()
    there = sections(text)
    assert [name for name in there if name.startswith("Gizad")] == [alert["alert"] for alert in alerts()]
    whole = text
    for alert in alerts():
        own = there[alert["alert"]].strip("\n").split("\n\n")
        own = own[3:] if own[0].startswith("**") else own
        section = "\n\n".join([*said(alert), *own])
        whole = whole.replace(f"### {alert['alert']}\n{there[alert['alert']]}", f"### {alert['alert']}\n\n{section}\n\n")
    if os.environ.get("UPDATE"):
        RUNBOOK.write_text(whole)
    assert RUNBOOK.read_text() == whole, "UPDATE=1 writes it anew"


def test_every_alert_leads_to_its_section():
    for alert in alerts():
        file, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert anchor == alert["alert"].lower()
        assert anchor in anchors((ROOT / file).read_text())


def test_the_other_rules_are_the_same_ones():
    """What the Prometheus Operator reads has the same links."""
    rules = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "monitoring" / "prometheusrule.yaml").read_text())["spec"]["groups"]
    links = [rule["annotations"]["runbook_url"] for group in rules for rule in group["rules"]]
    assert links == [alert["annotations"]["runbook_url"] for alert in alerts()]
