"""What Schemathesis has to know of gizad beyond the document: where requests may be laxer than it says, and which refusals say
nothing about the document. `test_openapi.py` runs it with this."""

import json
import re
import uuid

import jsonschema_rs
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi import checks

# How much time a call has and under which key it runs is read and tested elsewhere, and would decide here what becomes of a call.
ELSEWHERE = {"RequestTimeout", "IdempotencyKey"}
# Tokens that only an answer gives, and a wait that would only take its time.
OPAQUE = {"page_token", "wait"}
FORMATS = {"int32": 2**31, "int64": 2**63}
# Refusals of a request that is as the document says: because of what there is, or because the provider says so.
STANDING = {
    "HOSTNAME_MISMATCH", "INSUFFICIENT_BALANCE", "BUDGET_EXCEEDED", "PRICE_TOO_HIGH", "PRICE_UNKNOWN",
}


@schemathesis.hook
def before_load_schema(context, document):
    # What streams does not end by itself.
    document["paths"] = {path: item for path, item in document["paths"].items() if not path.endswith("/events")}
    for item in document["paths"].values():
        for operation in item.values():
            operation["parameters"] = [one for one in operation["parameters"] if not is_elsewhere(one)]
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Request"):
            schema["properties"].pop("request_id", None)
    widths(document)


def is_elsewhere(parameter):
    return parameter.get("$ref", "").rpartition("/")[2] in ELSEWHERE or parameter.get("name") in OPAQUE


def widths(node):
    """What `format` says of a whole number, where generators do not know it."""
    for inner in node.values() if isinstance(node, dict) else node:
        if isinstance(inner, (dict, list)):
            widths(inner)
    if isinstance(node, dict) and node.get("type") == "integer" and node.get("format") in FORMATS:
        end = FORMATS[node["format"]]
        node.setdefault("maximum", end - 1)
        if "exclusiveMinimum" not in node:
            node.setdefault("minimum", -end)


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.operation.definition.raw["x-gizad-effect"] in ("once", "spend"):
        case.headers = {**(case.headers or {}), "Idempotency-Key": str(uuid.uuid4())}


@schemathesis.check
def valid_is_accepted(ctx, response, case):
    """As `positive_data_acceptance`, which does not know that the provider, and what there is, may refuse what is valid."""
    try:
        return checks.positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        problem = response.json()
        if problem["sent"] != "answered" and problem["reason"] not in STANDING:
            raise


@schemathesis.check
def invalid_is_refused(ctx, response, case):
    """As `negative_data_rejection`, which does not know what requests may also write: see the document's own words on them."""
    try:
        return checks.negative_data_rejection(ctx, response, case)
    except AcceptedNegativeData:
        # A body that is too long is refused as well.
        if response.status_code != 413 and not is_lax(case):
            raise


def is_lax(case):
    """Whether the body is one that the document describes once it is written as the document has it."""
    content = case.operation.definition.raw.get("requestBody", {}).get("content", {}).get("application/json")
    if not content or not isinstance(case.body, (dict, list, str, int, float, bool, type(None))):
        return False
    document = case.operation.schema.raw_schema
    schema = content["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    schema = document["components"]["schemas"].get(name, schema)
    if not isinstance(case.body, dict):
        return False
    properties = schema.get("properties", {})
    body = {key: written(value, properties.get(key, {})) for key, value in case.body.items() if value is not None}
    return jsonschema_rs.validator_for(schema).is_valid(body)


def written(value, schema):
    """A number, a truth or an enum as the document writes it."""
    if schema.get("type") == "array" and isinstance(value, list):
        return [written(one, schema.get("items", {})) for one in value]
    if not isinstance(value, str):
        return value
    if schema.get("type") == "integer" and re.fullmatch(r"[+-]?\d+", value):
        return int(value)
    if schema.get("type") == "boolean" and value in ("true", "false", "0", "1"):
        return value in ("true", "1")
    if "enum" in schema:
        return next((name for name in schema["enum"] if name and name.lower() == value.lower()), value)
    return value
