"""What is under deploy/kubernetes: built by kustomize, compared with the schemas of those who read it, and with itself. `UPDATE=1`
writes what is generated."""

import copy
import os

import jsonschema
import kubernetes_validate
import manifests
import pytest
import yaml
from conftest import ROOT

FOLDERS = [*manifests.WITH_PODS, "monitoring"]
RULES = manifests.BASES / "monitoring" / "prometheusrule.yaml"


def test_everything_that_there_is_is_looked_at():
    there = {path.parent.name: path for path in manifests.BASES.glob("*/kustomization.yaml")}
    components = {name for name, path in there.items() if yaml.safe_load(path.read_text())["kind"] == "Component"}
    assert set(there) - components == set(FOLDERS)
    assert components == {"networkpolicy"}
    for name, path in there.items():
        told = yaml.safe_load(path.read_text())
        named = set(told.get("resources", [])) | {file for one in told.get("configMapGenerator", []) for file in one["files"]}
        named |= {patch["path"] for patch in told.get("patches", [])}
        assert {file.name for file in path.parent.iterdir()} - {"kustomization.yaml"} == {one for one in named if "/" not in one}, name


@pytest.mark.parametrize("version", manifests.VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_kubernetes_takes_it(folder, version):
    things = manifests.built(folder)
    assert things
    for one in things:
        manifests.validate(one, version)


def test_what_kubernetes_would_not_take_is_found():
    """In what Kubernetes itself knows, and in what the Prometheus Operator brings."""
    for folder, kind, spoil in [
        ("sidecar", "Deployment", lambda one: one["spec"]["template"]["spec"].update(terminationGraceSeconds=60)),
        ("central", "NetworkPolicy", lambda one: one["spec"]["egress"][0]["ports"][0].update(port=[53])),
        ("monitoring", "ServiceMonitor", lambda one: one["spec"]["endpoints"][0].update(intervall="30s")),
        ("monitoring", "PodMonitor", lambda one: one["spec"].pop("selector")),
        ("monitoring", "PrometheusRule", lambda one: one["spec"]["groups"][0]["rules"][0].pop("expr")),
    ]:
        [one] = [copy.deepcopy(one) for one in manifests.built(folder) if one["kind"] == kind]
        spoil(one)
        with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
            manifests.validate(one, manifests.VERSIONS[-1])


@pytest.mark.parametrize(("folder", "name", "pod"), manifests.every_pod(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_pod_can_do_nothing_beside_its_work(folder, name, pod):
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    users = set()
    for container in manifests.containers(pod):
        context = spec["securityContext"] | container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsUser"] > 0
        users.add(context["runAsUser"])
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]) and "memory" in container["resources"]["limits"]
        # What somebody wrote themselves is theirs to mount; the account's key is gizad's.
        if container["name"] != "gizad":
            secret = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
            assert not secret & {mount["name"] for mount in container.get("volumeMounts", [])}
    assert len(users) == len(manifests.containers(pod)), "whoever has gizad's user can read what gizad can"
    # A Secret's new content reaches a folder and no subPath.
    assert all("subPath" not in mount for mount in manifests.gizad(pod)["volumeMounts"])
    # Everything that is mounted exists, and everything that exists is mounted.
    volumes = {volume["name"] for volume in spec["volumes"]}
    mounted = [mount["name"] for container in manifests.containers(pod) for mount in container.get("volumeMounts", [])]
    assert volumes == set(mounted)


def test_a_job_ends_with_its_own_container_and_tries_again_with_the_same_key():
    [(_, pod)] = manifests.pods(manifests.built("job"))
    assert manifests.gizad(pod) in pod["spec"]["initContainers"] and manifests.gizad(pod)["restartPolicy"] == "Always"
    [renewals] = pod["spec"]["containers"]
    [prefix] = [one for one in renewals["env"] if one["name"] == "KEY_PREFIX"]
    assert prefix["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/controller-uid']"


def test_services_policies_and_monitors_find_the_pods():
    things = manifests.built("central") + manifests.built("monitoring")
    [(_, pod)] = manifests.pods(things)
    labels = pod["metadata"]["labels"]
    ports = {one["name"] for one in manifests.gizad(pod)["ports"]}

    def only(kind):
        [one] = [one for one in things if one["kind"] == kind]
        return one
    service, policy = only("Service"), only("NetworkPolicy")
    for selector in [
        service["spec"]["selector"], only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], policy["spec"]["podSelector"]["matchLabels"],
    ]:
        assert selector.items() <= labels.items()
    assert only("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} <= ports
    assert only("ServiceMonitor")["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {one["port"] for one in only("ServiceMonitor")["spec"]["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}
    # Out: DNS, HTTPS, and the ledger; in: whoever says that it calls, and Prometheus. Nobody is let in or out by an empty rule.
    out = {(port["port"], port["protocol"]) for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert out == {(53, "UDP"), (53, "TCP"), (443, "TCP"), (5432, "TCP")}
    assert all(rule["to"] for rule in policy["spec"]["egress"]) and all(rule["from"] for rule in policy["spec"]["ingress"])
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    # The sidecars have no Service.
    for folder in ("sidecar", "sidecar-socket"):
        [(_, beside)] = manifests.pods(manifests.built(folder))
        monitor = only("PodMonitor")["spec"]
        assert monitor["selector"]["matchLabels"].items() <= beside["metadata"]["labels"].items()
        assert {one["port"] for one in monitor["podMetricsEndpoints"]} <= {port["name"] for port in manifests.gizad(beside)["ports"]}
    # All are in the namespace that the settings and the certificate speak of.
    assert {one["metadata"].get("namespace", "gizad") for one in things} == {"gizad"}


def test_the_alerts_are_the_same_as_prometheus_has():
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "gizad"}, "spec": {"groups": groups}}
    written = "# Made from deploy/prometheus/alerts.yml: `UPDATE=1 pytest tests/python/test_deploy.py`.\n"
    written += yaml.safe_dump(rule, sort_keys=False, width=120, allow_unicode=True)
    if os.environ.get("UPDATE") == "1":
        RULES.write_text(written)
    assert RULES.read_text() == written
