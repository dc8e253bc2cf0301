//! A gateway in a process of its own, the callers that talk to it, and the hand on its provider.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gizad::call::{Scope, Token};
use gizad::contract::{Contract, Effect, Operation};
use gizad::edge::columns;
use gizad::fault::Reason;
use prost_reflect::{DeserializeOptions, DynamicMessage, SerializeOptions};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::canaries::{self, Search};
use crate::codec::Dynamic;
use crate::limits::OUT_OF_THE_WAY;
use crate::memory::memory;

/// How long anything in a test may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(20);

fn assert_as_documented(reason: &str, sent: &str) {
    let known = columns(Reason::named(reason).expect("a known reason")).sent;
    assert!(known.iter().any(|known| known.as_str() == sent), "{reason} with sent: {sent}");
}

/// A running `gizad`.
pub struct Gateway {
    child: Child,
    /// `http://127.0.0.1:…` of REST and gRPC.
    pub api: String,
    /// `http://127.0.0.1:…` of health.
    pub admin: String,
    /// `http://127.0.0.1:…` of the sandbox's control socket, if it runs one.
    pub control: Option<String>,
    log: Arc<Mutex<Vec<String>>>,
    /// Reads the log, to its end.
    reader: Option<JoinHandle<()>>,
    pub http: reqwest::Client,
    /// Who calls, where nobody comes in without a name.
    callers: Option<File>,
    /// Where it writes down what it buys, if nobody else said where.
    ledger: Option<Folder>,
    /// Where it writes who did what, likewise.
    audited: Folder,
}

/// A folder that is gone with the test.
pub struct Folder(PathBuf);

impl Folder {
    /// The name of one; whoever uses it makes it.
    pub fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("gizad-{name}-{}", unique())))
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("a path")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until it has come to something.
pub async fn until(what: &str, is: impl AsyncFn() -> bool) {
    tokio::time::timeout(PATIENCE, async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("it never came to this: {what}"));
}

/// A word that nothing else in any test has.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A provider in a process of its own, which outlives the gateways that talk to it and can be killed.
pub struct Sandbox {
    child: Child,
    pub url: String,
    /// Where it takes orders.
    pub control: String,
}

impl Sandbox {
    /// One that knows the pair of [`Gateway::towards`].
    pub fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gizad"))
            .args(["sandbox", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .env("GIZAD_LOG_FORMAT", "json")
            .env("GIZAD_SANDBOX_IDENTIFIER", "IDENTIFIER-canary-41")
            .env("GIZAD_SANDBOX_SECRET", "SECRET-canary-42")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let at = |name: &str| ready[name].as_str().expect("an address").to_owned();
        Self { child, url: at("url"), control: format!("http://{}", at("control")) }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What came back over REST.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }

    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// A problem says nothing of what was sent that the page of its reason does not foresee.
    fn is_as_documented(&self) {
        if self.header("content-type") == "application/problem+json" && !self.text.is_empty() {
            let json = self.json();
            let (reason, sent) = (json["reason"].as_str(), json["sent"].as_str());
            assert_as_documented(reason.expect("a reason"), sent.expect("what was sent"));
        }
    }
}

impl Gateway {
    /// One with a sandbox of its own.
    pub fn sandbox() -> Self {
        Self::start(&["--sandbox"], &[])
    }

    /// One with a sandbox of its own and further settings in the environment.
    pub fn sandbox_with(environment: &[(&str, &str)]) -> Self {
        Self::start(&["--sandbox"], environment)
    }

    /// One whose provider is somebody else, with the pair ID and SECRET-canary-42.
    pub fn towards(url: &str, environment: &[(&str, &str)]) -> Self {
        Self::of(env!("CARGO_BIN_EXE_gizad"), url, environment)
    }

    /// One whose provider runs beside it.
    pub fn beside(provider: &Sandbox, environment: &[(&str, &str)]) -> Self {
        let mut gateway = Self::towards(&provider.url, environment);
        gateway.control = Some(provider.control.clone());
        gateway
    }

    /// One whose provider runs beside it, and whose key is in these settings.
    pub fn start_beside(provider: &Sandbox, environment: &[(&str, &str)]) -> Self {
        let mut all = vec![("GIZAD_UPSTREAM_URL", provider.url.as_str())];
        all.extend(environment);
        let mut gateway = Self::start(&[], &all);
        gateway.control = Some(provider.control.clone());
        gateway
    }

    /// One with a sandbox of its own, which runs as another user and writes nothing down.
    pub fn as_user(user: u32) -> Self {
        let nowhere = [("GIZAD_STATE_DIR", ""), ("GIZAD_LEDGER_DIR", "")];
        Self::run_as(Some(user), &["--sandbox"], &nowhere)
    }

    /// One with a sandbox of its own and the limits that it has by default.
    pub fn as_shipped(environment: &[(&str, &str)]) -> Self {
        let mut all = vec![("GIZAD_STATE_DIR", "")];
        all.extend(environment);
        Self::run(&["--sandbox"], &all)
    }

    /// One whose limits are out of the way of what a test is about: no turn to wait for, nothing kept, nothing sent
    /// again.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut all = OUT_OF_THE_WAY.to_vec();
        all.extend(environment);
        Self::run(arguments, &all)
    }

    /// One with these settings and no others.
    pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::run_as(None, arguments, environment)
    }

    /// Another build of it, towards a provider.
    pub fn of(program: &str, url: &str, environment: &[(&str, &str)]) -> Self {
        let mut all = OUT_OF_THE_WAY.to_vec();
        all.extend([
            ("GIZAD_UPSTREAM_URL", url),
            ("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41"),
            ("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-42"),
        ]);
        all.extend(environment);
        Self::run_program(program, None, &[], &all)
    }

    fn run_as(user: Option<u32>, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::run_program(env!("CARGO_BIN_EXE_gizad"), user, arguments, environment)
    }

    fn run_program(
        program: &str,
        user: Option<u32>,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let elsewhere = environment.iter().any(|(name, _)| name.starts_with("GIZAD_LEDGER_"));
        let ledger = (!elsewhere).then(|| Folder::new("bought"));
        let open = arguments.iter().any(|argument| matches!(*argument, "--sandbox" | "--config"));
        let callers = (!open).then(|| File::new(&format!("callers-{}", unique()), &CALLER.1));
        let audited = Folder::new("audited");
        let mut gizad = Command::new(program);
        if let Some(user) = user {
            gizad.uid(user).gid(user);
        }
        let mut child = gizad
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(arguments)
            .args(callers.iter().flat_map(|file| ["--config", file.path()]))
            .env("GIZAD_LOG_FORMAT", "json")
            // Where the tests run in a pod themselves.
            .env_remove("KUBERNETES_SERVICE_HOST")
            // A test says itself when its files are read again.
            .env("GIZAD_RELOAD_EVERY", "off")
            .env("GIZAD_AUDIT_FILE", format!("{}/audit.log", audited.path()))
            .envs(ledger.iter().map(|folder| ("GIZAD_LEDGER_DIR", folder.path())))
            .envs(std::env::var("TEST_LOG_LEVEL").map(|level| ("GIZAD_LOG_LEVEL", level)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (said, heard) = std::sync::mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let kept = log.clone();
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let ready =
                    serde_json::from_str::<Value>(&line).ok().filter(|line| line["message"] == "ready");
                kept.lock().unwrap().push(line);
                if let Some(line) = ready {
                    let _nobody = said.send(line);
                }
            }
        });
        let ready = heard.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _gone = child.kill();
            panic!("not ready: {:?}", log.lock().unwrap())
        });
        let at = |name: &str| ready[name].as_str().map(|address| format!("http://{address}"));
        Self {
            child,
            api: at("api").expect("an address"),
            admin: at("admin").expect("an address"),
            control: at("sandbox_control"),
            log,
            reader: Some(reader),
            http: client(callers.is_some()),
            callers,
            ledger,
            audited,
        }
    }

    /// Calls over REST with a JSON body.
    pub async fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        self.send(method, path, body, &[]).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.rest("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.rest("POST", path, Some(&body)).await
    }

    /// Posts under an idempotency key.
    pub async fn buy(&self, key: &str, path: &str, body: &Value) -> Answer {
        let body = Some(("application/json", body.to_string().into_bytes()));
        self.send("POST", path, body, &[("idempotency-key", key)]).await
    }

    /// Sends any body under any label.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let url = format!("{}{path}", self.api);
        let mut request = self.http.request(method.parse().expect("a method"), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some((kind, bytes)) = body {
            serde_json::from_slice(&bytes).iter().for_each(|said| canaries::know_of(said, false));
            request = request.header("content-type", kind).body(bytes);
        }
        let response = request.send().await.expect("gizad answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole body");
        let is_revealed = ["/vnc", "/login"].iter().any(|end| path.ends_with(end));
        serde_json::from_str(&text).iter().for_each(|said| canaries::know_of(said, is_revealed));
        let answer = Answer { status, headers, text };
        answer.is_as_documented();
        answer
    }

    /// A connection for gRPC.
    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.api.clone()).expect("a URL").connect().await.expect("gizad accepts")
    }

    /// Asks the listener of health and state.
    pub async fn admin(&self, method: &str, path: &str) -> Answer {
        let url = format!("{}{path}", self.admin);
        let response =
            self.http.request(method.parse().expect("a method"), url).send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a whole body") }
    }

    /// Calls over gRPC; requests and replies are shown as protobuf's JSON.
    pub async fn grpc(&self, operation: &Operation, request: &Value) -> Result<Value, tonic::Status> {
        self.grpc_with(operation, request, &[]).await
    }

    /// The same with metadata.
    pub async fn grpc_with(
        &self,
        operation: &Operation,
        request: &Value,
        metadata: &[(&'static str, &'static str)],
    ) -> Result<Value, tonic::Status> {
        self.grpc_whole(operation, request, metadata).await.map(|(reply, _)| reply)
    }

    /// The same, for the metadata of the reply too.
    pub async fn grpc_whole(
        &self,
        operation: &Operation,
        said: &Value,
        metadata: &[(&'static str, &'static str)],
    ) -> Result<(Value, tonic::metadata::MetadataMap), tonic::Status> {
        let mut client = tonic::client::Grpc::new(self.channel().await);
        client.ready().await.expect("a connection");
        let codec = Dynamic::new(operation.output.descriptor.clone());
        let message = message(operation, said);
        let path = operation.grpc_path.parse().expect("a path");
        let mut request = tonic::Request::new(message);
        if self.callers.is_some() {
            let bearer = CALLER.0.parse().expect("a value");
            request.metadata_mut().insert("authorization", bearer);
        }
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, tonic::metadata::MetadataValue::from_static(value));
        }
        canaries::know_of(said, false);
        let reply = client.unary(request, path, codec).await.inspect_err(|status| {
            if let Some(info) = status.get_details_error_info() {
                assert_as_documented(&info.reason, &info.metadata["sent"]);
            }
        })?;
        let answer = shown(reply.get_ref());
        canaries::know_of(&answer, operation.effect == Effect::Secret);
        Ok((answer, reply.metadata().clone()))
    }

    /// Asks the provider's control socket for something.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.control.as_ref().expect("a sandbox"));
        let request = self.http.request(method.parse().expect("a method"), url).body(body.to_string());
        let response = request.send().await.expect("the control socket answers");
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap_or_default());
        serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
    }

    /// Makes the provider do something wrong.
    pub async fn order(&self, order: Value) {
        self.control("POST", "/faults", order).await;
    }

    /// The bodies of the POSTs, or the targets of the GETs, that the provider has seen since it was last asked to
    /// forget.
    pub async fn seen(&self) -> Vec<String> {
        let requests = self.control("GET", "/requests", json!({})).await;
        let requests = requests.as_array().expect("a list").iter();
        requests
            .map(|request| match request["method"].as_str() {
                Some("GET") => request["target"].as_str().expect("text").to_owned(),
                _ => request["body"].as_str().expect("text").to_owned(),
            })
            .collect()
    }

    /// Those of them that ask for an action.
    pub async fn sent(&self, action: &str) -> Vec<String> {
        let named = format!("\"action\":\"{action}\"");
        self.seen().await.into_iter().filter(|seen| seen.contains(&named)).collect()
    }

    /// Waits until the provider has seen an action.
    pub async fn reached(&self, action: &str) {
        let begun = Instant::now();
        while self.sent(action).await.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{action} was not sent: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn forget(&self) {
        self.control("DELETE", "/requests", json!({})).await;
    }

    /// How many purchases the provider has carried out.
    pub async fn executions(&self) -> usize {
        self.control("GET", "/ledger", json!({})).await.as_array().expect("a list").len()
    }

    /// Waits until the provider has carried out so many purchases.
    pub async fn executed(&self, times: usize) {
        let begun = Instant::now();
        while self.executions().await < times {
            assert!(begun.elapsed() < PATIENCE, "not carried out: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What was logged so far.
    /// The most memory it ever had, in MiB.
    pub fn most_memory(&self) -> f64 {
        memory(self.child.id(), "VmHWM")
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits for a line of the log.
    pub async fn logged(&self, words: &str) -> String {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let log = self.log.lock().unwrap().clone();
            if let Some(line) = log.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing logged about {words:?}: {}", self.log());
    }

    /// What it has written of who did what, if nobody else said where.
    pub fn audited(&self) -> String {
        std::fs::read_to_string(format!("{}/audit.log", self.audited.path())).expect("an audit log")
    }

    /// Waits until what `/status` shows is like this, and says what that is.
    pub async fn shows(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let shown = self.admin("GET", "/status").await.json();
            if is(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {shown}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a replica is seen to be silent.
    pub async fn sees_one_silent(&self) -> Value {
        let is_silent = |replica: &Value| replica["silent"] == json!(true);
        let all = |shown: &Value| shown["replicas"]["list"].as_array().cloned().unwrap_or_default();
        self.shows("a silent one", |shown| all(shown).iter().any(is_silent)).await
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it did not end: {}", self.log());
    }
}

impl Gateway {
    /// Looks into whatever a gateway that is gone has left, and what the system showed of it.
    fn look_through(&mut self, shown: Vec<(&str, Vec<u8>)>) {
        let read = self.reader.take().map(JoinHandle::join);
        assert!(read.is_none_or(|read| read.is_ok()), "its log was read");
        let mut search = Search::of(canaries::known());
        shown.into_iter().for_each(|(name, bytes)| search.look_into(name, bytes));
        for folder in self.ledger.iter().chain([&self.audited]) {
            if std::fs::exists(folder.path()).expect("a path") {
                search.look_below(folder.path().as_ref());
            }
        }
        search.look_into("the log", self.log());
        let hits = search.hits();
        assert!(hits.is_empty(), "{} hits: {hits:#?}", hits.len());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let shown = ["environ", "cmdline"].map(|name| {
            (name, std::fs::read(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default())
        });
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if !std::thread::panicking() {
            self.look_through(shown.into());
        }
    }
}

/// A file that is gone with the test.
pub struct File(PathBuf);

impl File {
    pub fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gizad-{name}-{}", std::process::id()));
        std::fs::write(&path, text).expect("written");
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("a path")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// Somebody who may do everything, as a header and as settings.
static CALLER: LazyLock<(String, String)> = LazyLock::new(|| {
    let (token, text) = Token::new("rig").expect("randomness");
    canaries::know(&text);
    (format!("Bearer {text}"), gizad::settings::caller("rig", &token, &Scope::ALL))
});

/// A plain HTTP client, with a token or without one.
fn client(named: bool) -> reqwest::Client {
    // The library wants a process-wide choice before it builds anything; a second try changes nothing.
    let _chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let authorization = reqwest::header::HeaderName::from_static("authorization");
    let headers = named.then(|| (authorization, CALLER.0.parse().expect("a value")));
    reqwest::Client::builder()
        .default_headers(headers.into_iter().collect())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}

/// The contract that every test reads.
pub fn contract() -> &'static Contract {
    Contract::embedded().expect("a sound contract")
}

pub fn operation(name: &str) -> &'static Operation {
    contract().operation(name).unwrap_or_else(|| panic!("no operation {name}"))
}

/// A request from protobuf's JSON, read by the library and not by gizad.
pub fn message(operation: &Operation, request: &Value) -> DynamicMessage {
    let text = request.to_string();
    let mut json = serde_json::Deserializer::from_str(&text);
    let options = DeserializeOptions::new();
    DynamicMessage::deserialize_with_options(operation.input.descriptor.clone(), &mut json, &options)
        .unwrap_or_else(|error| panic!("{}: {error}", operation.name))
}

/// A reply as protobuf's JSON, written by the library and not by gizad.
fn shown(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(false)
        .use_proto_field_name(true)
        .skip_default_fields(false);
    let mut text = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .expect("a message has a JSON form");
    serde_json::from_slice(&text).expect("JSON")
}

/// The same JSON without what the two writers may say differently: nulls, and `2.0` for `2`.
pub fn plain(json: &Value) -> Value {
    match json {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, json)| !json.is_null());
            let kept = kept.map(|(name, json)| (name.clone(), plain(json)));
            // An empty `extra` is shown by one and left out by the other.
            Value::Object(kept.filter(|(name, json)| name != "extra" || *json != json!({})).collect())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Number(number) => match number.to_string().strip_suffix(".0") {
            Some(whole) => serde_json::from_str(whole).expect("a number"),
            None => json.clone(),
        },
        other => other.clone(),
    }
}

/// Whether everything that is expected is there. `"<any>"` stands for anything that is not null or empty.
pub fn assert_has(got: &Value, expected: &Value, what: &str) {
    match (expected, got) {
        (Value::String(any), got) if any == "<any>" => {
            assert!(!got.is_null() && *got != json!("") && *got != json!([]), "{what}: nothing there");
        }
        (Value::Object(expected), Value::Object(got)) => {
            for (name, expected) in expected {
                let got = got.get(name).unwrap_or(&Value::Null);
                assert_has(got, expected, &format!("{what}.{name}"));
            }
        }
        (Value::Array(expected), Value::Array(items)) => {
            assert_eq!(items.len(), expected.len(), "{what}: {got}");
            for (index, (got, expected)) in items.iter().zip(expected).enumerate() {
                assert_has(got, expected, &format!("{what}[{index}]"));
            }
        }
        (expected, got) => assert_eq!(got, expected, "{what}"),
    }
}
