//! Something watched: a line for each that is open, then one whenever something happens, until somebody ends it.

use clap::ArgMatches;
use gizad::client::{Broken, Client, Request};
use gizad::contract::{Contract, Kind, Watch};
use serde_json::Value as Json;

use super::cells::{Moments, cell};
use super::send::{Sending, print};
use super::{FAILED, UNREACHABLE, Ways, arguments};

/// How long one question waits for something to happen.
const WAIT: &str = "25s";
/// How many values of an item are shown.
const SHOWN: usize = 6;

/// Watches until it is ended, or gizad is gone.
pub(super) async fn run(
    contract: &Contract,
    watch: &Watch,
    matches: &ArgMatches,
    client: &Client,
    ways: &Ways,
    place: &str,
) -> u8 {
    let Some(operation) = contract.operation(&watch.of) else { return FAILED };
    let Some(items) = Watch::items(operation) else { return FAILED };
    let Kind::Message(plan) = &items.kind else { return FAILED };
    let given = match arguments::values(&watch.input.fields, matches) {
        Ok(given) => given,
        Err(why) => {
            eprintln!("gizad: {why}");
            return crate::USAGE;
        }
    };
    let sending = Sending { contract, operation, client, ways, place: place.to_owned() };
    let mut since = None;
    loop {
        let mut fields = given.clone();
        match since {
            None => drop(fields.insert(Watch::OPEN.to_owned(), Json::Bool(true))),
            Some(change) => {
                fields.insert(Watch::AFTER.to_owned(), Json::from(change));
                fields.insert(Watch::WAIT.to_owned(), Json::from(WAIT));
            }
        }
        let Ok(request) = Request::of(operation, fields) else { return FAILED };
        let answer = match client.call(&request).await {
            Ok(answer) if answer.is_success() => answer,
            Ok(answer) => return sending.refused(&answer),
            Err(Broken::Unreachable(why) | Broken::Off(why)) => {
                eprintln!("gizad: {place} is gone: {why}");
                return UNREACHABLE;
            }
        };
        // The newest comes first there, and last here.
        let listed = answer.body.get(&items.name).and_then(Json::as_array).into_iter().flatten();
        for item in listed.rev() {
            let line = if ways.json {
                item.to_string()
            } else {
                let cells = plan
                    .fields
                    .iter()
                    .filter(|field| !matches!(field.kind, Kind::Message(_) | Kind::Struct | Kind::Any));
                let known = cells
                    .filter_map(|field| item.get(&field.name).map(|json| cell(field, json, Moments::Short)));
                known.take(SHOWN).collect::<Vec<_>>().join("  ")
            };
            if !print(&format!("{line}\n")) {
                return FAILED;
            }
        }
        match answer.body.get(Watch::LATEST).and_then(Json::as_i64) {
            Some(change) => since = Some(change),
            None => return FAILED,
        }
    }
}
