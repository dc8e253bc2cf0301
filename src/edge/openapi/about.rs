//! What is said of the whole.

use serde_json::{Value, json};

const DESCRIPTION: &str = "\
`gizad` stands between a company's own programs and the GizaData hosting API. This is its REST face; the same operations are served \
over gRPC on the same port.

- **Names** are snake_case. Amounts are whole đồng and end in `_vnd`. 64-bit integers are JSON numbers.
- **Answers** show every field. What the provider did not mention is `null` or empty; what it said and no field is for is in \
`extra`. Be prepared for fields that are added.
- **Requests** may also write a number as a text, an enum in any case, and `null` for a field that is not given. An unknown field is \
refused with the nearest known one. Where a request has an `extra`, its members are sent beside the others (in a query: \
`?extra.NAME=value`).
- **Purchases** need an `Idempotency-Key`: what is asked again under the same key is carried out at most once. When nobody knows \
what became of it, the answer is 409 `OUTCOME_UNKNOWN`, and gizad finds out; look at `/operations`.
- **Failures** are `application/problem+json` (RFC 9457) with a `reason` to program against; `x-gizad-reasons` lists those that an \
operation can have. `sent` says whether the provider may have acted. A method that a path does not take is 405 with `Allow`.
- Every path exists a second time under `/v1`.";

pub(super) fn info() -> Value {
    json!({
        "title": "gizad",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": env!("CARGO_PKG_DESCRIPTION"),
        "description": DESCRIPTION,
        "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
    })
}

pub(super) fn servers() -> Value {
    json!([
        {"url": "/", "description": "This gizad"},
        {"url": "/v1", "description": "The same, by the version of the API"},
    ])
}

pub(super) fn security_schemes() -> Value {
    json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "gzd_…",
            "description": "A caller's token (`gizad token new NAME`). Without one a caller is known by its Unix socket or its \
                            certificate, or may do what `[access] anonymous` grants to everybody on this machine.",
        },
    })
}
