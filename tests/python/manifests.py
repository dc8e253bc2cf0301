"""What is under deploy/kubernetes, as kustomize builds it, and how it is compared with what Kubernetes takes."""

import functools
import json
import os
import shutil
import subprocess
import tomllib

import jsonschema
import kubernetes_validate
import yaml
from conftest import BINARY, ROOT

BASES = ROOT / "deploy" / "kubernetes"
SCHEMAS = ROOT / "tests" / "schemas"
# The oldest that has native sidecars, and the newest that the schemas know.
VERSIONS = ["1.29", "1.37"]
WITH_PODS = ["sidecar", "sidecar-socket", "job", "central"]


@functools.cache
def kustomize():
    """The program: kustomize itself, or the one inside kubectl."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            return command
    raise AssertionError("neither kustomize nor kubectl is there: install one of them")


@functools.cache
def text(folder):
    done = subprocess.run([*kustomize(), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(folder):
    """All that kustomize makes of a folder."""
    return [one for one in yaml.safe_load_all(text(BASES / folder)) if one]


def definitions():
    """The schemas of what is no part of Kubernetes, by kind."""
    for path in SCHEMAS.glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())
        for version in crd["spec"]["versions"]:
            yield crd["spec"]["names"]["kind"], f"{crd['spec']['group']}/{version['name']}", version["schema"]["openAPIV3Schema"]


def strict(schema):
    """Refuses what the schema does not name, which an API server drops with a warning."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    return found


def validate(one, version):
    """Raises if Kubernetes would not take it, or would take it without something."""
    for kind, api, schema in definitions():
        if (one["kind"], one["apiVersion"]) == (kind, api):
            whole = strict(schema)
            # Every object has them; the schema says nothing of what is in them.
            whole["properties"]["metadata"] = {"type": "object"}
            jsonschema.Draft7Validator(whole).validate(one)
            return
    kubernetes_validate.validate(one, version, strict=True)


def pods(things):
    """Every pod that is made by something, with the thing's kind and name."""
    for one in things:
        if one["kind"] in ("Deployment", "Job"):
            yield f"{one['kind']}/{one['metadata']['name']}", one["spec"]["template"]


def every_pod():
    return [(folder, name, pod) for folder in WITH_PODS for name, pod in pods(built(folder))]


def containers(pod):
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def gizad(pod):
    """The container that is gizad."""
    [found] = [one for one in containers(pod) if one["name"] == "gizad"]
    return found


def settled(things, pod, folder, secrets):
    """The settings of a pod's gizad: its command line, with every folder that it mounts laid out below `folder`.

    A secret is what `secrets` says; whatever it does not say is missing, as it would be in the cluster."""
    container = gizad(pod)
    maps = {one["metadata"]["name"]: one["data"] for one in things if one["kind"] == "ConfigMap"}
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    places = {}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        place = folder / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True)
        places[mount["mountPath"]] = place
        if "configMap" in volume:
            files = maps[volume["configMap"]["name"]]
        elif "secret" in volume:
            files = secrets[volume["secret"]["secretName"]]
        else:
            files = {}
        for name, content in files.items():
            (place / name).write_text(content)
            (place / name).chmod(0o600)

    def moved(word):
        for path, place in places.items():
            word = word.replace(path, str(place))
        return word
    for path in folder.rglob("*.toml"):
        path.write_text(moved(path.read_text()))
    environment = {one["name"]: moved(one["value"]) for one in container.get("env", [])}
    return [moved(word) for word in container["args"]], environment


def compose():
    schema = json.loads((SCHEMAS / "compose-spec.json").read_text())
    whole = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    return schema, whole


def checked(arguments, environment):
    """What `gizad check` says: how it ended, and each setting with where it comes from."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIZAD_")}
    done = subprocess.run([BINARY, "check", *arguments], env=clean | environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def grace(said):
    """How long gizad takes at most to end, in seconds; what `gizad check` prints is TOML."""
    return int(tomllib.loads(said)["shutdown"]["grace"].removesuffix("s"))
