"""gizad with the settings of deploy/kubernetes, asked what the probes, the monitors and the callers ask."""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import manifests
import pytest
import yaml
from conftest import BINARY, ROOT, sandbox

SECRETS = {
    "gizad-credentials": {"identifier": "sandbox", "secret": "sandbox-secret"},
    "gizad-shared": {"url": "postgres://gizad:not-a-password@ledger.example.org/gizad"},
}


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
    with sandbox() as ready:
        yield ready


def laid_out(folder, tmp_path, tls):
    """The one pod of a folder with what its gizad is given, below a folder of this test."""
    things = manifests.built(folder)
    [(_, pod)] = manifests.pods(things)
    return pod, *manifests.settled(things, pod, tmp_path, SECRETS | {"gizad-tls": tls})


@pytest.mark.parametrize("folder", manifests.WITH_PODS)
def test_gizad_takes_the_settings(folder, tmp_path, tls):
    pod, arguments, environment = laid_out(folder, tmp_path, tls)
    assert arguments[0] == "serve"
    code, said = manifests.checked(arguments[1:], environment)
    assert code == 0, said
    assert "sandbox-secret" not in said and "not-a-password" not in said
    # The time that Kubernetes gives is longer than what gizad may take, with the wait before it.
    waits = manifests.gizad(pod).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["spec"]["terminationGracePeriodSeconds"] > waits + manifests.grace(said)
    # And a mistake among them would be found.
    file = next(tmp_path.rglob("gizad.toml"))
    file.write_text(file.read_text().replace("secret_file", "secret_fil"))
    code, said = manifests.checked(arguments[1:], environment)
    assert code == 64 and "secret_fil" in said


def test_central_believes_whoever_signed_for_its_ledger(tmp_path, tls, monkeypatch):
    for there in (False, True):
        if there:
            monkeypatch.setitem(SECRETS, "gizad-shared", SECRETS["gizad-shared"] | {"ca.crt": tls["tls.crt"]})
        place = tmp_path / str(there)
        _, arguments, environment = laid_out("central", place, tls)
        file = next(place.rglob("gizad.toml"))
        file.write_text(file.read_text().replace("# ca_file", "ca_file"))
        code, said = manifests.checked(arguments[1:], environment)
        assert code == (0 if there else 64) and ("shared.ca_file" in said) != there, said


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
def test_gizad_answers_the_probes_and_its_caller(folder, caller, tmp_path, tls, provider, postgres):
    pod, arguments, environment = laid_out(folder, tmp_path, tls)
    shown = token(folder, tmp_path, caller)
    container = manifests.gizad(pod)
    # As many as can be had, and all on one machine: the address is the manifest's, the port a free one.
    everywhere = 'admin = "0.0.0.0:7071"' in next(tmp_path.rglob("gizad.toml")).read_text()
    admin = "0.0.0.0:0" if everywhere else "127.0.0.1:0"
    # There is no PostgreSQL at that address: another one in its place.
    ledger = {"GIZAD_SHARED_URL_FILE": "", "GIZAD_SHARED_URL": postgres} if folder != "sidecar" else {}
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


def test_both_central_pods_know_what_was_bought(tmp_path, tls, provider, postgres, monkeypatch):
    monkeypatch.setitem(SECRETS, "gizad-shared", {"url": postgres})
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
