//! What holds for every answer, known or not.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::super::decode::decode;
use super::super::lanes::Received;
use super::{Judge, Words};
use crate::contract::{Contract, Effect, Operation};
use crate::fault::{Reason, Sent};

fn operations() -> impl Strategy<Value = &'static Operation> {
    let all = Contract::embedded().expect("a sound contract").operations();
    (0..all.len()).prop_map(move |index| &all[index])
}

/// JSON made of the words that answers are made of, so that rules are met and not only missed.
fn trees() -> impl Strategy<Value = Json> {
    let words = prop::sample::select(vec![
        "success",
        "error",
        "paid",
        "pending",
        "1",
        "0",
        "1.200.000 ₫",
        "12.95",
        "2026-10-31 11:24:40",
        "0000-00-00",
        "",
        "active",
        "running",
        "OK",
        "Không đủ số dư",
        "1,2",
        "203.0.113.1, 203.0.113.2",
        "true",
        "x",
    ]);
    let scalars = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        prop::sample::select(vec![-1_i64, 0, 1, 2, 99, 100, 200, 401, 1000, i64::MAX, i64::MIN])
            .prop_map(Json::from),
        any::<f64>().prop_map(|f| json!(f)),
        words.prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ];
    let names = prop::sample::select(vec![
        "success",
        "status",
        "result",
        "ok",
        "error",
        "errors",
        "message",
        "code",
        "done",
        "onboot",
        "uid",
        "data",
        "balance",
        "amount",
        "id",
        "vpsid",
        "order_id",
        "orderid",
        "vs",
        "products",
        "product",
        "total",
        "state",
        "hostname",
        "name",
        "created_at",
        "prices",
        "1042",
        "keys",
        "replies",
        "_",
        "-",
    ]);
    scalars.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            prop::collection::vec((names.clone(), inner), 0..7).prop_map(|members| Json::Object(
                members.into_iter().map(|(n, j)| (n.to_owned(), j)).collect::<Map<_, _>>()
            )),
        ]
    })
}

/// The whole way of an answer: whether it was taken for a success, and if not, the fault's reason and doubt.
fn outcome(operation: &'static Operation, status: u16, body: &[u8]) -> Result<&'static str, (Reason, Sent)> {
    let received =
        Received { status, retry_after: None, location: None, server: None, body: body.to_vec().into() };
    let words = Words::default();
    let judge = Judge { operation, effect: operation.effect, words: &words };
    let request = prost_reflect::DynamicMessage::new(operation.input.descriptor.clone());
    let judged = judge.judge(&received, str::to_owned, |_| {}).map_err(|fault| (fault.reason, fault.sent))?;
    match decode(operation, &request, &judged, operation.effect.is_repeatable()) {
        Ok(_) => Ok(judged.rule),
        Err(_) => Err((Reason::UpstreamShapeUnknown, Sent::Maybe)),
    }
}

/// Signals of refusal, written into an answer.
const REFUSALS: [(&str, &str); 8] = [
    ("success", "false"),
    ("success", "0"),
    ("result", "\"error\""),
    ("status", "\"failed\""),
    ("error", "\"no\""),
    ("errors", "[\"no\"]"),
    ("warning", "\"no\""),
    ("ErrorMessage", "\"no\""),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(operation in operations(), status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _any = outcome(operation, status, &body);
    }

    #[test]
    fn no_text_makes_it_panic(operation in operations(), status in 100_u16..600, body in "[ -~àđ₫<>{}\\[\\]\":;=a-z0-9]{0,200}") {
        let _any = outcome(operation, status, body.as_bytes());
    }

    #[test]
    fn no_tree_makes_it_panic_and_nothing_doubtful_is_certain(operation in operations(), status in 100_u16..600, tree in trees()) {
        let outcome = outcome(operation, status, tree.to_string().as_bytes());
        if let Err((reason, sent)) = outcome
            && !operation.effect.is_repeatable()
            && sent == Sent::Maybe
        {
            prop_assert!(matches!(reason, Reason::OutcomeUnknown | Reason::UpstreamShapeUnknown), "{reason:?}");
        }
        // A server error never proves a purchase.
        if operation.effect == Effect::Spend && status >= 500 {
            prop_assert!(outcome.is_err() && outcome.err().is_none_or(|(_, sent)| sent != Sent::Answered));
        }
    }

    #[test]
    fn a_refusal_signal_is_never_a_success(operation in operations(), tree in trees(), (name, value) in prop::sample::select(REFUSALS.to_vec())) {
        let mut members = match tree {
            Json::Object(members) => members,
            other => Map::from_iter([("data".to_owned(), other)]),
        };
        members.insert(name.to_owned(), serde_json::from_str(value).expect("JSON"));
        let body = Json::Object(members).to_string();
        let outcome = outcome(operation, 200, body.as_bytes());
        // The one exception is a payment that has not arrived: it is an answer about a state.
        prop_assert!(!matches!(outcome, Ok(rule) if rule != "pending_state"), "{outcome:?}: {body}");
    }

    #[test]
    fn a_purchase_without_a_word_of_success_or_proof_is_never_one(body in "\\{\"(foo|time|note)\":(\"[a-z]{0,5}\"|[0-9]{1,3})\\}") {
        for operation in Contract::embedded().expect("a sound contract").operations() {
            if operation.effect == Effect::Spend {
                prop_assert!(outcome(operation, 200, body.as_bytes()).is_err(), "{}: {body}", operation.name);
            }
        }
    }
}
