//! A provider in a process of its own, and what is bought from it. Its ledger is the judge: it holds whatever was ever
//! carried out for money, and never takes two for one.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::rig::{Answer, Gateway};

/// So much that the number of its digits stays what it is.
const BALANCE: &str = "900000000000";

/// A running `gizad sandbox`.
pub struct Provider {
    child: Child,
    pub url: String,
    control: String,
    http: reqwest::Client,
}

impl Provider {
    /// One that takes the key of [`Gateway::towards`].
    pub fn open() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gizad"))
            .args(["sandbox", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .env("GIZAD_LOG_FORMAT", "json")
            .env("GIZAD_SANDBOX_IDENTIFIER", "IDENTIFIER-canary-41")
            .env("GIZAD_SANDBOX_SECRET", "SECRET-canary-42")
            .env("GIZAD_SANDBOX_BALANCE_VND", BALANCE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        log.read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        // Whatever else it says, it does not wait for a reader.
        std::thread::spawn(move || log.lines().for_each(drop));
        let url = ready["url"].as_str().expect("a URL").to_owned();
        let control = format!("http://{}", ready["control"].as_str().expect("an address"));
        // The library wants a process-wide choice before it builds anything; a second try changes nothing.
        let _chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        Self { child, url, control, http: reqwest::Client::builder().no_proxy().build().expect("a client") }
    }

    /// Asks its control socket for something.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.control);
        let request = self.http.request(method.parse().expect("a method"), url).body(body.to_string());
        let text = request.send().await.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Makes it do something wrong.
    pub async fn order(&self, order: Value) {
        self.control("POST", "/faults", order).await;
    }

    /// What it has carried out for money, in its own words.
    pub async fn carried_out(&self) -> Vec<String> {
        let ledger = self.control("GET", "/ledger", json!({})).await;
        let ledger = ledger.as_array().expect("a list").iter();
        ledger.map(|execution| execution["description"].as_str().expect("text").to_owned()).collect()
    }

    /// How often it has carried out the purchase of a hostname.
    pub async fn bought(&self, hostname: &str) -> usize {
        let named = format!("({hostname})");
        self.carried_out().await.iter().filter(|description| description.ends_with(&named)).count()
    }

    /// The actions that it was asked for, oldest first, with the hostname if there is one.
    pub async fn asked(&self) -> Vec<(String, String)> {
        let requests = self.control("GET", "/requests", json!({})).await;
        let requests = requests.as_array().expect("a list").iter();
        let posted = requests.filter_map(|request| {
            let body: Value = serde_json::from_str(request["body"].as_str()?).ok()?;
            let hostname = body["hostname"].as_str().unwrap_or_default().to_owned();
            Some((body["action"].as_str()?.to_owned(), hostname))
        });
        posted.collect()
    }

    /// Uses up its first identifiers, so that all that come later have as many digits.
    pub async fn past_its_first_hundred(&self) {
        let deposit = json!({"action": "deposit_sepay", "identifier": "IDENTIFIER-canary-41", "secret": "SECRET-canary-42", "amount": 10_000});
        for _ in 0..100 {
            let sent = self.http.post(&self.url).body(deposit.to_string()).send().await.expect("an answer");
            assert!(sent.status().is_success());
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What is asked for.
pub fn order(hostname: &str) -> Value {
    json!({"plan_id": 26, "hostname": hostname, "password": "Passw0rd-canary-71", "os": "ubuntu-22.04", "billing_cycle": "monthly"})
}

/// Buys a server of a hostname. None if gizad went away meanwhile.
pub async fn try_to_buy(gateway: &Gateway, key: &str, hostname: &str) -> Option<Answer> {
    buying(gateway, key, hostname).await
}

/// The same, for a task of its own.
pub fn buying(
    gateway: &Gateway,
    key: &str,
    hostname: &str,
) -> impl Future<Output = Option<Answer>> + Send + use<> {
    let request = gateway.http.post(format!("{}/vps", gateway.api)).header("idempotency-key", key);
    let request = request.header("content-type", "application/json").body(order(hostname).to_string());
    async move {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Answer { status, headers, text: response.text().await.ok()? })
    }
}

/// Buys from a gizad that stays.
pub async fn buy(gateway: &Gateway, key: &str, hostname: &str) -> Answer {
    try_to_buy(gateway, key, hostname).await.expect("gizad answers")
}

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    Succeeded,
    /// The provider refused, and nothing moved.
    Refused,
    NotSent,
    Unknown,
}

impl Told {
    pub fn of(answer: &Answer) -> Self {
        if answer.status < 300 {
            let operation = answer.json();
            assert_eq!((answer.status, &operation["state"]), (201, &json!("SUCCEEDED")), "{operation}");
            return Self::Succeeded;
        }
        match (answer.reason().as_str(), answer.json()["sent"].as_str()) {
            ("OUTCOME_UNKNOWN", Some("maybe")) => {
                assert_eq!(answer.status, 409, "{}", answer.text);
                Self::Unknown
            }
            (_, Some("answered")) => Self::Refused,
            (_, Some("never")) => Self::NotSent,
            other => panic!("{other:?}: {}", answer.text),
        }
    }
}

/// The name of the operation that an answer speaks of.
pub fn operation_of(answer: &Answer) -> String {
    let location = answer.header("location");
    location.strip_prefix("/operations/").unwrap_or_else(|| panic!("no location: {answer:?}")).to_owned()
}

/// Where an operation stands, once it is decided.
pub async fn decided(gateway: &Gateway, id: &str) -> String {
    for _ in 0..4 {
        let shown = gateway.get(&format!("/operations/{id}?wait=10s")).await;
        let state = shown.json()["state"].as_str().unwrap_or_else(|| panic!("{}", shown.text)).to_owned();
        if !matches!(state.as_str(), "SENDING" | "IN_DOUBT") {
            return state;
        }
    }
    panic!("{id} is not decided: {}", gateway.log());
}
