"""The image and Compose: the schema, the linter, and the settings in them, given to the real gizad."""

import copy
import json
import pathlib
import re
import subprocess
import sys

import jsonschema
import manifests
import pytest
from conftest import BINARY, ROOT

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
    code, said = manifests.checked(arguments[1:], environment)
    assert code == 0, said
    assert int(service["stop_grace_period"].removesuffix("s")) > manifests.grace(said)
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
    for folder, name, pod in manifests.every_pod():
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
        parts, sent = pathlib.PurePosixPath(path), True
        for pattern in ignored:
            bare = pattern.removeprefix("!")
            if any(one.match(bare) and len(one.parts) == bare.count("/") + 1 for one in [parts, *parts.parents]):
                sent = pattern != bare
        return sent
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
