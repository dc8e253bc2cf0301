"""What is under deploy/ for Kubernetes and Compose: built by kustomize, compared with the schemas of those who read it, its settings
given to the real gizad, and that gizad asked what the probes ask. `UPDATE=1` writes what is generated."""

import contextlib
import copy
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request

import jsonschema
import kubernetes_validate
import manifests
import pytest
import yaml
from conftest import BINARY, ROOT

FOLDERS = ["sidecar", "sidecar-socket", "job", "central", "monitoring"]
WITH_PODS = FOLDERS[:4]
RULES = manifests.BASES / "monitoring" / "prometheusrule.yaml"
SECRETS = {
    "gizad-credentials": {"identifier": "sandbox", "secret": "sandbox-secret"},
    "gizad-ledger": {"url": "postgres://gizad:not-a-password@ledger.example.org/gizad"},
}


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


def every_pod():
    return [(folder, name, pod) for folder in WITH_PODS for name, pod in manifests.pods(manifests.built(folder))]


@pytest.mark.parametrize(("folder", "name", "pod"), every_pod(), ids=lambda one: one if isinstance(one, str) else "")
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


# --- The settings, and gizad with them --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A certificate for the names by which the Service is called, as cert-manager would write it."""
    folder = tmp_path_factory.mktemp("tls")
    names = "subjectAltName=DNS:gizad,DNS:gizad.gizad.svc,IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=gizad",
         "-addext", names, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True)
    return {name: (folder / name).read_text() for name in ("tls.crt", "tls.key")}


@pytest.fixture
def provider():
    """A provider that accepts the key of the Secret, and where it is."""
    process = subprocess.Popen(
        [BINARY, "sandbox", "--listen", "127.0.0.1:0"],
        env={**os.environ, "GIZAD_LOG_FORMAT": "json"}, stderr=subprocess.PIPE, text=True,
    )
    try:
        yield json.loads(process.stderr.readline())
    finally:
        process.terminate()
        process.wait(timeout=40)


def laid_out(folder, tmp_path, tls):
    """The one pod of a folder with what its gizad is given, below a folder of this test."""
    things = manifests.built(folder)
    [(_, pod)] = manifests.pods(things)
    return pod, *manifests.settled(things, pod, tmp_path, SECRETS | {"gizad-tls": tls})


def checked(arguments, environment):
    """What `gizad check` says: how it ended, and each setting with where it comes from."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIZAD_")}
    done = subprocess.run([BINARY, "check", *arguments], env=clean | environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def grace(said):
    """How long gizad takes at most to end, in seconds; what `gizad check` prints is TOML."""
    return int(tomllib.loads(said)["shutdown"]["grace"].removesuffix("s"))


@pytest.mark.parametrize("folder", WITH_PODS)
def test_gizad_takes_the_settings(folder, tmp_path, tls):
    pod, arguments, environment = laid_out(folder, tmp_path, tls)
    assert arguments[0] == "serve"
    code, said = checked(arguments[1:], environment)
    assert code == 0, said
    assert "sandbox-secret" not in said and "not-a-password" not in said
    # The time that Kubernetes gives is longer than what gizad may take, with the wait before it.
    waits = manifests.gizad(pod).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["spec"]["terminationGracePeriodSeconds"] > waits + grace(said)
    # And a mistake among them would be found.
    file = next(tmp_path.rglob("gizad.toml"))
    file.write_text(file.read_text().replace("secret_file", "secret_fil"))
    code, said = checked(arguments[1:], environment)
    assert code == 64 and "secret_fil" in said


@contextlib.contextmanager
def served(arguments, environment, url, **settings):
    """gizad with a pod's settings, but another provider, and ports that are free."""
    own = {"GIZAD_UPSTREAM_URL": url, "GIZAD_LISTEN_API": "127.0.0.1:0", "GIZAD_LOG_FORMAT": "json"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIZAD_")}
    process = subprocess.Popen([BINARY, *arguments], env=clean | environment | own | settings, stderr=subprocess.PIPE, text=True)
    try:
        said = []
        for line in process.stderr:
            said.append(json.loads(line) if line.startswith("{") else line)
            if isinstance(said[-1], dict) and said[-1].get("message") == "ready":
                break
        else:
            raise AssertionError(said)
        yield said[-1] | {"process": process}
    finally:
        process.terminate()
        rest = process.stderr.read()
        assert process.wait(timeout=40) == 0, rest


def own_address():
    """The address by which this machine is seen from elsewhere, as kubelet sees a pod."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        # Nothing is sent.
        out.connect(("192.0.2.1", 9))
        return out.getsockname()[0]


def token(folder, tmp_path, name):
    """A token for a caller, whose hash takes the place of the one in the settings that nobody has."""
    made = subprocess.run([BINARY, "token", "new", name, "--scopes", "read"], capture_output=True, text=True, check=True).stdout
    file = next(tmp_path.rglob("gizad.toml"))
    before, there, after = file.read_text().partition(f"[callers.{name}]")
    assert there, folder
    hashed = re.search(r'token_sha256 = "[0-9a-f]{64}"', made)[0]
    file.write_text(before + there + re.sub(r'token_sha256 = "[0-9a-f]{64}"', hashed, after, count=1))
    return made.split()[0]


def asked(url, **headers):
    context = ssl._create_unverified_context() if url.startswith("https") else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(("folder", "caller"), [("sidecar", "shop"), ("job", "renewals"), ("central", "shop")])
def test_gizad_answers_the_probes_and_its_caller(folder, caller, tmp_path, tls, provider):
    pod, arguments, environment = laid_out(folder, tmp_path, tls)
    shown = token(folder, tmp_path, caller)
    container = manifests.gizad(pod)
    # As many as can be had, and all on one machine: the address is the manifest's, the port a free one.
    everywhere = 'admin = "0.0.0.0:7071"' in next(tmp_path.rglob("gizad.toml")).read_text()
    admin = "0.0.0.0:0" if everywhere else "127.0.0.1:0"
    # There is no PostgreSQL at that address: a folder in its place.
    ledger = {"GIZAD_LEDGER_URL_FILE": "", "GIZAD_LEDGER_DIR": str(tmp_path / "ledger-here")} if folder != "sidecar" else {}
    with served(arguments, environment, provider["url"], GIZAD_LISTEN_ADMIN=admin, **ledger) as ready:
        port = ready["admin"].rpartition(":")[2]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in container:
                assert folder == "job" and probe == "readinessProbe"
            elif "httpGet" in container[probe]:
                assert everywhere
                named = {one["name"]: one["containerPort"] for one in container["ports"]}
                assert named[container[probe]["httpGet"]["port"]] == 7071
                assert asked(f"http://{own_address()}:{port}{container[probe]['httpGet']['path']}")[0] == 200
            else:
                program, *words = container[probe]["exec"]["command"]
                assert program == "/gizad"
                done = subprocess.run([BINARY, *words, "--admin-listen", ready["admin"]], capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
        if everywhere:
            # What the ServiceMonitor and the PodMonitor ask for; and nothing that is for this machine only.
            assert "gizad_ready 1" in asked(f"http://{own_address()}:{port}/metrics")[1]
            assert asked(f"http://{own_address()}:{port}/status")[0] == 403
        face = f"{'https' if ready['tls'] else 'http'}://{ready['api']}"
        assert ready["tls"] == (folder == "central")
        assert asked(f"{face}/wallet")[0] == 401
        status, wallet = asked(f"{face}/wallet", Authorization=f"Bearer {shown}")
        assert (status, json.loads(wallet)["balance_vnd"]) == (200, 5000000)
        if folder == "central":
            told = yaml.safe_load((manifests.BASES / "central" / "service.yaml").read_text())
            where = f"{told['metadata']['name']}.gizad.svc"
            assert asked(f"{face}/catalog/vps-plans", Host=f"{where}:7070")[0] == 200
            assert asked(f"{face}/catalog/vps-plans", Host="gizad.elsewhere.svc:7070")[0] == 421


@pytest.fixture
def postgres():
    """The URL of a PostgreSQL that is there as long as the test."""
    command = [ROOT / "tests" / "postgres", "run", "sh", "-c", 'echo "its $TEST_POSTGRES"; cat']
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield next(line.split()[1] for line in process.stdout if line.startswith("its "))
    process.stdin.close()
    assert process.wait(timeout=40) == 0


def test_both_central_pods_know_what_was_bought(tmp_path, tls, provider, postgres, monkeypatch):
    monkeypatch.setitem(SECRETS, "gizad-ledger", {"url": postgres})
    places = [tmp_path / "one", tmp_path / "other"]
    (_, arguments, environment), (_, others, _) = [laid_out("central", place, tls) for place in places]
    shown = token("central", places[0], "shop")
    one, other = [next(place.rglob("gizad.toml")) for place in places]
    other.write_text(one.read_text().replace(str(places[0]), str(places[1])))
    plan = {"plan_id": 26, "hostname": "pod-01", "password": "StrongPass@123", "os": "ubuntu-22.04", "billing_cycle": "monthly"}

    def bought(ready):
        request = urllib.request.Request(
            f"https://{ready['api']}/vps", method="POST", data=json.dumps(plan).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {shown}", "Idempotency-Key": "pod-1"})
        with urllib.request.urlopen(request, context=ssl._create_unverified_context()) as answer:
            return json.loads(answer.read())["operation_id"], answer.headers["idempotent-replayed"]
    free = {"GIZAD_LISTEN_ADMIN": "127.0.0.1:0"}
    with served(arguments, environment, provider["url"], **free) as here, served(others, environment, provider["url"], **free) as there:
        operation, again = bought(here)
        assert again is None
        assert bought(there) == (operation, "true")
    assert len(json.loads(asked(f"http://{provider['control']}/ledger")[1])) == 1


def test_the_programs_user_is_the_caller_on_the_shared_socket(tmp_path, tls, provider):
    pod, arguments, environment = laid_out("sidecar-socket", tmp_path, tls)
    [shop] = pod["spec"]["containers"]
    user = shop["securityContext"]["runAsUser"]
    assert not {"GIZAD_TOKEN", "GIZAD_URL"} & {one["name"] for one in shop["env"]}
    file = next(tmp_path.rglob("gizad.toml"))
    assert f"uid = {user}\n" in file.read_text()
    # The user that runs these tests stands for it.
    file.write_text(file.read_text().replace(f"uid = {user}", f"uid = {os.geteuid()}"))
    with served(arguments, environment, provider["url"], GIZAD_LISTEN_ADMIN="127.0.0.1:0") as ready:
        [mount] = [mount for mount in shop["volumeMounts"] if mount["name"] == "socket"]
        [its] = [one["value"] for one in shop["env"] if one["name"] == "GIZAD_SOCKET"]
        assert os.path.dirname(its) == mount["mountPath"] and ready["socket"] == str(tmp_path) + its
        for method, path, status in [("GET", "/wallet", 200), ("POST", "/vps/1/start", 200), ("GET", "/profile", 200)]:
            with socket.socket(socket.AF_UNIX) as connected:
                connected.connect(ready["socket"])
                connection = http.client.HTTPConnection("localhost")
                connection.sock = connected
                connection.request(method, path)
                answer = connection.getresponse()
                assert answer.status == status, answer.read()


def as_kubelet(place, files, turn):
    """Lays out a Secret as kubelet does: links to a folder that is replaced as a whole, so that nobody sees half of a change."""
    version = place / f"..{turn}"
    version.mkdir()
    for name, content in files.items():
        (version / name).write_text(content)
        (version / name).chmod(0o600)
        if turn == 1:
            (place / name).unlink()
            (place / name).symlink_to(f"..data/{name}")
    (place / "..data_tmp").symlink_to(version.name)
    (place / "..data_tmp").rename(place / "..data")


def test_a_new_secret_in_the_secret_is_used_without_a_restart(tmp_path, tls, provider):
    pod, arguments, environment = laid_out("sidecar", tmp_path, tls)
    shown = token("sidecar", tmp_path, "shop")
    place = tmp_path / "etc" / "gizad" / "credentials"
    as_kubelet(place, SECRETS["gizad-credentials"], 1)
    with served(arguments, environment, provider["url"], GIZAD_LISTEN_ADMIN="127.0.0.1:0") as ready:
        face = f"http://{ready['api']}/wallet"
        assert asked(face, Authorization=f"Bearer {shown}")[0] == 200
        changed = urllib.request.Request(
            f"http://{provider['control']}/credentials", method="PUT", data=b'{"secret": "sandbox-secret-2"}',
            headers={"Content-Type": "application/json"})
        urllib.request.urlopen(changed).close()
        assert asked(face, Authorization=f"Bearer {shown}")[0] == 502
        as_kubelet(place, SECRETS["gizad-credentials"] | {"secret": "sandbox-secret-2"}, 2)
        assert any("the provider has accepted the new secret" in line for line in ready["process"].stderr)
        assert asked(face, Authorization=f"Bearer {shown}")[0] == 200


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


# --- Compose ----------------------------------------------------------------------------------------------------------------


def test_compose_takes_it():
    schema, whole = manifests.compose()
    jsonschema.Draft7Validator(schema).validate(whole)
    spoilt = copy.deepcopy(whole)
    spoilt["services"]["gizad"]["read_onlyy"] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(spoilt)
    # What the schema does not know of: names that there are.
    for service in whole["services"].values():
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(whole["volumes"])
        assert set(service.get("secrets", [])) <= set(whole["secrets"])
        assert set(service.get("networks", [])) <= set(whole["networks"])
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["user"].split(":")[0]) > 0 and "ports" not in service
    assert whole["services"]["app"].get("secrets") is None


def test_gizad_takes_the_settings_of_compose(tmp_path):
    _, whole = manifests.compose()
    service = whole["services"]["gizad"]
    for name in ("identifier", "secret"):
        (tmp_path / name).write_text(name)
    [config] = service["configs"]
    file = tmp_path / "gizad.toml"
    file.write_text(whole["configs"][config["source"]]["content"])
    arguments = [str(file) if word == config["target"] else word for word in service["command"]]
    assert arguments[0] == "serve" and str(file) in arguments
    environment = {name: value.replace("/run/secrets", str(tmp_path)) for name, value in service["environment"].items()}
    code, said = checked(arguments[1:], environment)
    assert code == 0, said
    assert int(service["stop_grace_period"].removesuffix("s")) > grace(said)
    app = whole["services"]["app"]
    assert f"uid = {app['user'].split(':')[0]}\n" in file.read_text()
    # The app's group is gizad's, which `socket_mode` lets in.
    assert app["user"].split(":")[1] == service["user"].split(":")[1]


# --- The image --------------------------------------------------------------------------------------------------------------


DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def test_the_dockerfile_is_sound():
    linter = pathlib.Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    last = DOCKERFILE.read_text().partition("FROM scratch\n")[2]
    assert "FROM" not in last and "RUN" not in last
    told = dict(line.split(" ", 1) for line in last.splitlines() if line and line[0].isupper())
    # A number, as every manifest says it.
    user, group = told["USER"].split(":")
    assert user.isdigit() and int(user) > 0
    for folder, name, pod in every_pod():
        context = pod["spec"]["securityContext"] | manifests.gizad(pod)["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group)), name
    assert manifests.compose()[1]["services"]["gizad"]["user"] == told["USER"]
    # What needs no shell: words in brackets.
    assert json.loads(told["ENTRYPOINT"]) == ["/gizad"]
    health = json.loads(told["HEALTHCHECK"].partition("CMD ")[2])
    assert health == ["/gizad", "health"]
    usage = subprocess.run([BINARY, *health[1:], "--help"], capture_output=True, text=True)
    assert usage.returncode == 0, usage.stderr


def test_the_image_is_built_from_what_it_needs_and_from_no_key():
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]

    def is_sent(path):
        parts = pathlib.PurePosixPath(path)
        return not any(one.match(pattern) and len(one.parts) == pattern.count("/") + 1
                       for one in [parts, *parts.parents] for pattern in ignored)
    source = "\n".join(path.read_text() for path in [ROOT / "build.rs", *(ROOT / "src").rglob("*.rs")])
    packed = re.findall(r'"((?:docs|assets|deploy)/[^"]+)"', (ROOT / "build.rs").read_text())
    included = re.findall(r'include_(?:str|bytes)!\("\.\./(deploy/[^"]+)"\)', source)
    assert "docs/openapi.json" in packed and included == ["deploy/gizad.toml"]
    for path in [*packed, *included, "Cargo.toml", "Cargo.lock", "build.rs", "src/main.rs", "proto/gizad/v1/vps.proto"]:
        assert (ROOT / path).exists() and is_sent(path), path
    secrets = [file["file"] for file in manifests.compose()[1]["secrets"].values()]
    kept = (ROOT / ".gitignore").read_text().splitlines()
    for path in [f"deploy/{file.removeprefix('./')}" for file in secrets]:
        assert not is_sent(path) and f"/{path}" in kept
    assert not is_sent(".git/config") and not is_sent("target/debug/gizad") and not is_sent("tests/shape.rs")
