//! A hundred callers, who know nothing of replicas: they call any of them, and when they hear nothing, another one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::transport::Endpoint;
use tonic_types::StatusExt as _;

use super::dice::Dice;
use super::replica::{Doors, REPLICAS};
use crate::codec::Dynamic;
use crate::market::order;
use crate::rig::{message, operation};

/// How long a caller waits for an answer before it takes a replica for dead.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an unanswered change of the account may still be carried out: whoever stands still may send it afterwards.
const LATE: Duration = Duration::from_secs(45);
/// Who buys, by name; the second of them with a budget.
pub const NAMES: [&str; 2] = ["anna", "bora"];

/// What a caller was told by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was carried out; with the whole answer, where that can be compared.
    Success(String),
    /// The provider refused.
    Refused,
    /// Nothing was sent, and why.
    NotSent(String),
    /// It is under way, or nobody knows.
    Unknown(String),
    /// The key belongs to something else.
    Rejected,
    /// There was no answer.
    Nothing,
}

/// Something that is wished for, under one key, and what was said of it.
#[derive(Clone, Debug)]
pub struct Wish {
    pub caller: &'static str,
    pub key: String,
    pub hostname: String,
    pub said: Vec<Said>,
}

/// What all of them leave behind.
#[derive(Default)]
pub struct Notes {
    pub wishes: Mutex<Vec<Wish>>,
    /// What was asked for under a key that belonged to something else.
    pub forbidden: Mutex<Vec<String>>,
    /// What was wrong at once.
    pub wrong: Mutex<Vec<String>>,
    pub counts: Mutex<BTreeMap<String, u64>>,
}

impl Notes {
    fn count(&self, what: impl Into<String>) {
        *self.counts.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }
}

/// What a caller needs.
#[derive(Clone)]
pub struct Crowd {
    pub doors: Doors,
    pub bearers: [String; 2],
    pub notes: Arc<Notes>,
    pub over: Arc<AtomicBool>,
    http: reqwest::Client,
}

impl Crowd {
    pub fn new(doors: Doors, bearers: [String; 2]) -> Self {
        // The library wants a process-wide choice before it builds anything; a second try changes nothing.
        let _chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Self { doors, bearers, notes: Arc::default(), over: Arc::default(), http }
    }

    fn door(&self, replica: usize) -> String {
        self.doors[replica % REPLICAS].read().unwrap().clone()
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// One call over REST: the status and the text, if there was an answer.
    pub async fn rest(
        &self,
        replica: usize,
        who: usize,
        method: &str,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Option<(u16, String)> {
        let url = format!("{}{path}", self.door(replica));
        let mut request = self.http.request(method.parse().expect("a method"), url);
        request = request.header("authorization", &self.bearers[who]);
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// Buys over REST.
    pub async fn buy(&self, replica: usize, who: usize, key: &str, hostname: &str) -> Said {
        match self.rest(replica, who, "POST", "/vps", key, Some(&order(hostname))).await {
            None => Said::Nothing,
            Some((status, text)) => said(status, text),
        }
    }

    /// Buys over gRPC.
    async fn buy_grpc(&self, replica: usize, who: usize, key: &str, hostname: &str) -> Said {
        let asked = operation("VpsService.CreateVps");
        let endpoint = Endpoint::from_shared(self.door(replica)).expect("a URL").timeout(PATIENCE);
        let mut client = tonic::client::Grpc::new(endpoint.connect_lazy());
        if client.ready().await.is_err() {
            return Said::Nothing;
        }
        let mut wanted = order(hostname);
        wanted["request_id"] = json!(key);
        let mut request = tonic::Request::new(message(asked, &wanted));
        request.metadata_mut().insert("authorization", self.bearers[who].parse().expect("a value"));
        let codec = Dynamic::new(asked.output.descriptor.clone());
        match client.unary(request, asked.grpc_path.parse().expect("a path"), codec).await {
            Ok(reply) => {
                let state = reply.get_ref().get_field_by_name("state");
                match state.and_then(|state| state.as_enum_number()) {
                    // SUCCEEDED and FOUND.
                    Some(4 | 8) => Said::Success(String::new()),
                    other => Said::Unknown(format!("state {other:?}")),
                }
            }
            Err(status) => match status.get_details_error_info() {
                Some(info) => {
                    refused(&info.reason, info.metadata.get("sent").map_or("maybe", String::as_str))
                }
                // Of the connection, not of gizad.
                None => Said::Nothing,
            },
        }
    }
}

fn said(status: u16, text: String) -> Said {
    let Ok(json) = serde_json::from_str::<Value>(&text) else { return Said::Nothing };
    if status < 300 {
        let state = json["state"].as_str().unwrap_or_default().to_owned();
        return if ["SUCCEEDED", "FOUND"].contains(&state.as_str()) {
            Said::Success(text)
        } else {
            Said::Unknown(state)
        };
    }
    refused(json["reason"].as_str().unwrap_or_default(), json["sent"].as_str().unwrap_or("maybe"))
}

fn refused(reason: &str, sent: &str) -> Said {
    match (reason, sent) {
        ("IDEMPOTENCY_KEY_REUSED", _) => Said::Rejected,
        (_, "never") => Said::NotSent(reason.to_owned()),
        (_, "answered") => Said::Refused,
        _ => Said::Unknown(reason.to_owned()),
    }
}

/// Buys one thing after the other, each under a key of its own, and asks again until it is told what became of it. Callers of
/// two names use the same keys: a key is its caller's.
pub async fn buyer(crowd: Crowd, number: usize, mut dice: Dice) {
    let who = number % 2;
    let over_grpc = number.is_multiple_of(5);
    for wished in 0_usize.. {
        if crowd.is_over() {
            return;
        }
        let key = format!("pair{}-{wished}", number / 2);
        let hostname = format!("{}{number:02}-{wished:04}", NAMES[who]);
        let mut wish = Wish { caller: NAMES[who], key, hostname, said: Vec::new() };
        let mut again = true;
        // Somebody gives up after a while, and all do when it is over.
        while again && wish.said.len() < 8 && !(crowd.is_over() && wish.said.len() > 1) {
            let replica = dice.below(REPLICAS);
            let told = if over_grpc {
                crowd.buy_grpc(replica, who, &wish.key, &wish.hostname).await
            } else {
                crowd.buy(replica, who, &wish.key, &wish.hostname).await
            };
            crowd.notes.count(match &told {
                Said::Success(_) => "bought".to_owned(),
                Said::NotSent(reason) => format!("not sent: {reason}"),
                Said::Unknown(reason) => format!("unknown: {reason}"),
                other => format!("{other:?}"),
            });
            again = match &told {
                Said::Success(_) => dice.below(10) == 0,
                Said::NotSent(reason) => reason != "BUDGET_EXCEEDED",
                Said::Refused | Said::Rejected => false,
                Said::Unknown(_) | Said::Nothing => true,
            };
            wish.said.push(told);
            tokio::time::sleep(Duration::from_millis(dice.below(500) as u64)).await;
        }
        if dice.below(8) == 0 && matches!(wish.said.last(), Some(Said::Success(_))) {
            let other = format!("x{}", wish.hostname);
            crowd.notes.forbidden.lock().unwrap().push(other.clone());
            let told = crowd.buy(dice.below(REPLICAS), who, &wish.key, &other).await;
            if matches!(told, Said::Success(_) | Said::Refused) {
                crowd.notes.wrong(format!("I8: {} of {other} was told {told:?}", wish.key));
            }
        }
        crowd.notes.wishes.lock().unwrap().push(wish);
        tokio::time::sleep(Duration::from_millis(dice.below(1500) as u64)).await;
    }
}

/// Reads whatever there is, starts and stops what there is.
pub async fn reader(crowd: Crowd, number: usize, mut dice: Dice) {
    let paths = [
        "/wallet",
        "/vps",
        "/catalog/vps-plans",
        "/operations?page_size=5",
        "/wallet/transactions",
        "/vps/1/status",
    ];
    while !crowd.is_over() {
        let (replica, who) = (dice.below(REPLICAS), dice.below(2));
        let answer = if number.is_multiple_of(6) {
            let path = ["/vps/1/start", "/vps/1/stop", "/vps/1/reboot"][dice.below(3)];
            let key = if dice.below(2) == 0 {
                String::new()
            } else {
                format!("once-{number}-{}", dice.below(1000))
            };
            crowd.rest(replica, who, "POST", path, &key, None).await
        } else {
            crowd.rest(replica, who, "GET", paths[dice.below(paths.len())], "", None).await
        };
        crowd.notes.count(match &answer {
            Some((200..300, _)) => "other calls answered".to_owned(),
            Some((status, text)) => {
                let reason = serde_json::from_str::<Value>(text).unwrap_or_default()["reason"].clone();
                format!("other calls: {status} {}", reason.as_str().unwrap_or("?"))
            }
            None => "other calls without an answer".to_owned(),
        });
        tokio::time::sleep(Duration::from_millis(dice.below(400) as u64)).await;
    }
}

/// Changes something of the account through one replica, and reads it through another.
pub async fn changer(crowd: Crowd, mut dice: Dice) {
    let mut unsure_until = Instant::now();
    for turn in 0_usize.. {
        if crowd.is_over() {
            return;
        }
        let company = format!("Company {turn}");
        let body = json!({"company": company});
        let replica = dice.below(REPLICAS);
        let changed = crowd.rest(replica, 0, "PATCH", "/profile", "", Some(&body)).await;
        if !matches!(changed, Some((200..300, _))) {
            unsure_until = Instant::now() + LATE;
        }
        let seen = crowd.rest(replica + 1 + dice.below(3), 0, "GET", "/profile", "", None).await;
        if let Some((200, text)) = seen
            && Instant::now() > unsure_until
        {
            crowd.notes.count("changes read through another replica");
            let seen = serde_json::from_str::<Value>(&text).unwrap_or_default()["company"].clone();
            if seen != json!(company) {
                crowd.notes.wrong(format!("I14: {company} was acknowledged, and {seen} is shown"));
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.below(400) as u64)).await;
    }
}
