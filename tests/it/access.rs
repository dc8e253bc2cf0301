//! Who may do what: tokens and scopes over both faces, what belongs to whom, the consent of another, and tokens taken back.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tonic::Code;

use super::canaries;
use super::ledger::Folder;
use super::records::port;
use super::rig::{Answer, File, Gateway, operation};

const EVERYTHING: &str = "read,sensitive,write,spend,admin";

fn gizad(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
    command.args(arguments).envs(environment.iter().copied()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A new token, and the lines that let its caller in.
pub fn token(name: &str, scopes: &str) -> (String, String) {
    let output = gizad(&["token", "new", name, "--scopes", scopes], &[]);
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    let (token, lines) = said.split_once("\n\n").expect("the token and the lines");
    assert_eq!(said.matches(token).count(), 1, "shown once");
    canaries::know(token);
    (token.to_owned(), lines.to_owned())
}

/// A gateway with real credentials, as far as it knows, in front of a sandbox.
pub struct House {
    pub gateway: Gateway,
    pub provider: Gateway,
    settings: File,
    _folder: Folder,
}

impl House {
    pub fn new(settings: &str, environment: &[(&str, &str)]) -> Self {
        let listen = format!("127.0.0.1:{}", port());
        let provider = Gateway::sandbox_with(&[("GIZAD_SANDBOX_LISTEN", &listen)]);
        let settings = File::new(&format!("callers-{}", port()), settings);
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).expect("a folder");
        let url = format!("http://{listen}/api");
        let mut all = vec![
            ("GIZAD_UPSTREAM_URL", url.as_str()),
            ("GIZAD_CREDENTIALS_IDENTIFIER", "sandbox"),
            ("GIZAD_CREDENTIALS_SECRET", "sandbox-secret"),
            ("GIZAD_LEDGER_DIR", folder.path().to_str().expect("text")),
            ("GIZAD_PURCHASE_LOOK_EVERY", "1h"),
        ];
        all.extend(environment);
        let gateway = Gateway::start(&["--config", settings.path()], &all);
        Self { gateway, provider, settings, _folder: folder }
    }

    /// Calls with a token, or without one if it is empty.
    async fn call(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.keyed(token, "", method, path, body).await
    }

    pub async fn keyed(
        &self,
        token: &str,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let given: Vec<_> =
            headers.into_iter().filter(|(_, value)| !matches!(*value, "" | "Bearer ")).collect();
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        self.gateway.send(method, path, body, &given).await
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(token, "GET", path, None).await
    }

    pub async fn buy(&self, token: &str, key: &str, hostname: &str) -> Answer {
        self.keyed(token, key, "POST", "/vps", Some(order(hostname))).await
    }

    /// Takes other settings over.
    pub async fn now(&self, settings: &str, taken: &str) {
        std::fs::write(self.settings.path(), settings).expect("written");
        self.gateway.signal("HUP");
        self.gateway.logged(taken).await;
    }
}

pub fn order(hostname: &str) -> Value {
    json!({"plan_id": 26, "hostname": hostname, "password": "Passw0rd-1", "os": "ubuntu-22.04", "billing_cycle": "monthly"})
}

fn id(answer: &Answer) -> String {
    let id = answer.header("location").trim_start_matches("/operations/").to_owned();
    assert!(id.starts_with("op_"), "{answer:?}");
    id
}

fn assert_refused(answer: &Answer, status: u16, reason: &str, words: &str) {
    assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{}", answer.text);
    assert!(answer.text.contains(words), "{words:?} in {}", answer.text);
    let challenge = answer.header("www-authenticate");
    assert_eq!(
        challenge.starts_with("Bearer realm=\"gizad\""),
        matches!(reason, "UNAUTHENTICATED" | "SCOPE_MISSING")
    );
    // RFC 6750: an error is named only to those who sent something.
    let error = challenge.split("error=\"").nth(1).and_then(|rest| rest.split('"').next());
    let expected = match reason {
        "SCOPE_MISSING" => Some("insufficient_scope"),
        "UNAUTHENTICATED" if !answer.text.contains("nothing says who asks") => Some("invalid_token"),
        _ => None,
    };
    assert_eq!(error, expected, "{challenge}");
    assert_eq!(answer.json()["sent"], "never");
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say_and_no_more() {
    let (reader, lines) = token("reader", "read");
    let (other, _) = token("reader", EVERYTHING);
    let (nobody, _) = token("nobody", EVERYTHING);
    let house = House::new(&lines, &[("GIZAD_LOG_LEVEL", "trace")]);

    assert_eq!(house.get("", "/catalog/vps-plans").await.status, 200, "the catalog is for everyone");
    assert_refused(&house.get("", "/wallet").await, 401, "UNAUTHENTICATED", "the scope read");
    let broken = reader.replace("gzd_", "gzd");
    for unknown in [&other, &nobody, &broken, "x"] {
        assert_refused(&house.get(unknown, "/wallet").await, 401, "UNAUTHENTICATED", "token");
        assert_refused(&house.get(unknown, "/catalog/vps-plans").await, 401, "UNAUTHENTICATED", "token");
    }
    let basic = house.gateway.send("GET", "/wallet", None, &[("authorization", "Basic cmVhZGVyOg==")]).await;
    assert_refused(&basic, 401, "UNAUTHENTICATED", "expected Bearer");

    assert_eq!(house.get(&reader, "/wallet").await.status, 200);
    assert_eq!(house.get(&reader, "/operations").await.status, 200);
    for (method, path, body, scope) in [
        ("POST", "/vps/1/stop", None, "write"),
        ("POST", "/vps", Some(order("a")), "spend"),
        ("POST", "/operations/op_1/approve", None, "admin"),
        ("POST", "/operations/op_1/reconcile", None, "admin"),
        ("POST", "/operations/op_1/resolve", Some(json!({"outcome": "GIVEN_UP", "note": "x"})), "admin"),
        ("POST", "/vps/1/vnc", None, "sensitive"),
    ] {
        let refused = house.keyed(&reader, "k", method, path, body.clone()).await;
        assert_refused(&refused, 403, "SCOPE_MISSING", &format!("the scope {scope}"));
        assert_refused(&house.keyed("", "k", method, path, body).await, 401, "UNAUTHENTICATED", scope);
    }

    let wallet = operation("WalletService.GetWallet");
    let bearer = |token: &str| [("authorization", &*format!("Bearer {token}").leak())];
    let with = async |operation, token: &str, request: Value| {
        house.gateway.grpc_with(operation, &request, &bearer(token)).await.map_err(|status| status.code())
    };
    assert!(with(wallet, &reader, json!({})).await.is_ok());
    assert_eq!(with(wallet, &other, json!({})).await, Err(Code::Unauthenticated));
    let none = house.gateway.grpc(wallet, &json!({})).await.expect_err("no token");
    assert_eq!(none.code(), Code::Unauthenticated);
    let refused = with(operation("VpsService.StopVps"), &reader, json!({"vps_id": 1})).await;
    assert_eq!(refused, Err(Code::PermissionDenied));

    assert_eq!(house.provider.executions().await, 0);
    let log = house.gateway.log();
    assert!(log.contains("\"level\":\"TRACE\"") && log.contains("it names the caller nobody"), "{log}");
    for token in [&reader, &other, &nobody] {
        let secret = token.rsplit('_').nth(1).expect("the secret part");
        assert!(!log.contains(secret), "a token in the log");
    }
}

#[tokio::test]
async fn a_caller_sees_nothing_of_another() {
    let ((ann, a), (bob, b), (boss, c)) =
        (token("ann", "read,spend"), token("bob", "read,spend,write"), token("boss", "read,admin"));
    let house = House::new(&[a, b, c].concat(), &[]);

    let of_ann = house.buy(&ann, "same-key", "ann-1").await;
    let of_bob = house.buy(&bob, "same-key", "bob-1").await;
    assert_eq!((of_ann.status, of_bob.status), (201, 201), "{} {}", of_ann.text, of_bob.text);
    let (of_ann, of_bob) = (id(&of_ann), id(&of_bob));
    assert_ne!(of_ann, of_bob, "the same key of two callers is two keys");
    assert_eq!(house.provider.executions().await, 2);
    let again = house.buy(&ann, "same-key", "ann-1").await;
    assert_eq!((id(&again), again.header("idempotent-replayed")), (of_ann.clone(), "true"));
    assert_eq!(house.provider.executions().await, 2);

    let ids = |answer: Answer| -> Vec<String> {
        let operations = answer.json()["operations"].clone();
        let operations = operations.as_array().expect("a list").iter();
        operations.map(|operation| operation["operation_id"].as_str().expect("text").to_owned()).collect()
    };
    for (mine, own, other) in [(&ann, &of_ann, &of_bob), (&bob, &of_bob, &of_ann)] {
        for path in [
            "/operations",
            "/operations?request_id=same-key",
            "/operations?caller=ann",
            "/operations?caller=bob",
        ] {
            assert_eq!(ids(house.get(mine, path).await), std::slice::from_ref(own), "{path}");
        }
        assert_eq!(house.get(mine, &format!("/operations/{own}")).await.status, 200);
        let hidden = house.get(mine, &format!("/operations/{other}")).await;
        let unknown = house.get(mine, "/operations/op_none").await;
        assert_eq!((hidden.status, hidden.reason()), (404, "OPERATION_NOT_FOUND".into()));
        assert_eq!(hidden.json()["detail"], unknown.json()["detail"], "not even that there is one");
        let body = json!({"outcome": "GIVEN_UP", "note": "x"});
        let given_up = house.call(mine, "POST", &format!("/operations/{other}/resolve"), Some(body)).await;
        assert_eq!(given_up.status, 404, "{}", given_up.text);
    }
    assert_eq!(ids(house.get(&boss, "/operations").await), [of_bob.clone(), of_ann.clone()]);
    assert_eq!(ids(house.get(&boss, "/operations?caller=ann").await), std::slice::from_ref(&of_ann));
    assert_eq!(house.get(&boss, &format!("/operations/{of_bob}")).await.json()["caller"], "bob");
    assert_refused(&house.buy(&boss, "k", "boss-1").await, 403, "SCOPE_MISSING", "spend");
}

#[tokio::test]
async fn another_admin_consents_to_a_purchase_and_nobody_else() {
    let ((ann, a), (bob, b), (boss, c), (chief, d)) = (
        token("ann", "read,spend"),
        token("bob", "read,write,spend"),
        token("boss", EVERYTHING),
        token("chief", "read,admin"),
    );
    let house = House::new(&[a, b, c, d].concat(), &[("GIZAD_PURCHASE_APPROVAL_FROM_VND", "100000")]);
    let state = async |id: &str| {
        let operation = house.get(&chief, &format!("/operations/{id}?wait=10s")).await.json();
        operation["state"].as_str().expect("a state").to_owned()
    };
    let approve = async |token: &str, id: &str| {
        house.call(token, "POST", &format!("/operations/{id}/approve"), None).await
    };
    let resolve = async |token: &str, id: &str, outcome: &str| {
        let body = json!({"outcome": outcome, "note": "looked at it"});
        house.call(token, "POST", &format!("/operations/{id}/resolve"), Some(body)).await
    };

    let waiting = house.buy(&boss, "k1", "boss-1").await;
    assert_eq!(
        (waiting.status, &waiting.json()["state"]),
        (202, &json!("AWAITING_APPROVAL")),
        "{}",
        waiting.text
    );
    let of_boss = id(&waiting);
    assert_refused(&approve(&boss, &of_boss).await, 403, "SELF_APPROVAL", "another caller");
    assert_refused(&approve(&bob, &of_boss).await, 403, "SCOPE_MISSING", "admin");
    assert_refused(&approve("", &of_boss).await, 401, "UNAUTHENTICATED", "admin");
    assert_eq!(house.provider.executions().await, 0);
    let consented = approve(&chief, &of_boss).await;
    assert_eq!(consented.status, 200, "{}", consented.text);
    assert_eq!(state(&of_boss).await, "SUCCEEDED");
    assert_eq!(house.provider.executions().await, 1);
    let operation = house.get(&boss, &format!("/operations/{of_boss}")).await.json();
    assert_eq!((&operation["caller"], &operation["decided_by"]), (&json!("boss"), &json!("chief")));
    assert_eq!(approve(&chief, &of_boss).await.reason(), "OPERATION_STATE", "once");
    let again = house.buy(&boss, "k1", "boss-1").await;
    assert_eq!((id(&again), again.header("idempotent-replayed")), (of_boss, "true"));
    assert_eq!(house.provider.executions().await, 1);

    // Given up by whoever asked for it; and by whoever might have consented.
    for (given_up, by) in [(&ann, "ann"), (&chief, "chief")] {
        let waiting = id(&house.buy(&ann, &format!("by-{by}"), &format!("by-{by}")).await);
        assert_refused(&resolve(&ann, &waiting, "ABSENT").await, 403, "SCOPE_MISSING", "admin");
        let answer = resolve(given_up, &waiting, "GIVEN_UP").await;
        assert_eq!(
            (answer.status, &answer.json()["state"]),
            (200, &json!("FAILED_NOT_SENT")),
            "{}",
            answer.text
        );
        assert_eq!(answer.json()["decided_by"], by);
        assert_eq!(approve(&chief, &waiting).await.reason(), "OPERATION_STATE");
    }
    assert_eq!(house.provider.executions().await, 1);
}

#[tokio::test]
async fn a_budget_is_the_callers_own() {
    let ((ann, a), (bob, b)) = (token("ann", "spend"), token("bob", "spend"));
    let settings = [&*a, &b, "[budget.callers]\nann.day_vnd = 200000\n"].concat();
    let house = House::new(&settings, &[]);
    assert_eq!(house.buy(&ann, "k1", "ann-1").await.status, 201);
    assert_refused(&house.buy(&ann, "k2", "ann-2").await, 402, "BUDGET_EXCEEDED", "");
    for number in 1..3 {
        assert_eq!(house.buy(&bob, &format!("k{number}"), &format!("bob-{number}")).await.status, 201);
    }
    assert_eq!(house.provider.executions().await, 3);
}

#[tokio::test]
async fn only_an_admin_states_what_became_of_a_doubt() {
    let ((ann, a), (boss, b)) = (token("ann", "read,write,spend"), token("boss", "read,admin"));
    let house = House::new(&[a, b].concat(), &[]);
    house.provider.order(json!({"kind": "close_before", "action": "create_vps"})).await;
    let doubt = house.buy(&ann, "k", "ann-1").await;
    assert_eq!((doubt.status, doubt.reason().as_str()), (409, "OUTCOME_UNKNOWN"), "{}", doubt.text);
    let path = format!("/operations/{}", id(&doubt));
    let body = Some(json!({"outcome": "ABSENT", "note": "not in the list"}));
    let own = house.call(&ann, "POST", &format!("{path}/resolve"), body.clone()).await;
    assert_refused(&own, 403, "SCOPE_MISSING", "admin");
    let looked = house.call(&ann, "POST", &format!("{path}/reconcile"), None).await;
    assert_refused(&looked, 403, "SCOPE_MISSING", "admin");
    assert_eq!(house.call(&boss, "POST", &format!("{path}/reconcile"), None).await.status, 200);
    let stated = house.call(&boss, "POST", &format!("{path}/resolve"), body).await;
    assert_eq!(
        (&stated.json()["state"], &stated.json()["decided_by"]),
        (&json!("ABSENT"), &json!("boss")),
        "{}",
        stated.text
    );
}

#[tokio::test]
async fn a_token_is_taken_back_and_replaced_while_gizad_runs() {
    let ((ann, a), (bob, b), (next, c)) = (token("ann", "read"), token("bob", "read"), token("ann", "read"));
    let house = House::new(&[&*a, &b].concat(), &[]);
    assert_eq!(
        (house.get(&ann, "/wallet").await.status, house.get(&bob, "/wallet").await.status),
        (200, 200)
    );

    let sum = |lines: &str| lines.split('"').nth(1).expect("a digest").to_owned();
    let both = format!(
        "[callers]\nann.token_sha256 = [\"{}\", \"{}\"]\nann.scopes = [\"read\"]\n",
        sum(&a),
        sum(&c)
    );
    house.now(&both, "callers.ann.token_sha256").await;
    assert_eq!(
        (house.get(&ann, "/wallet").await.status, house.get(&next, "/wallet").await.status),
        (200, 200)
    );
    assert_refused(&house.get(&bob, "/wallet").await, 401, "UNAUTHENTICATED", "not known");

    let wrong = format!("{c}[callers.ann2]\nscopes = [\"all\"]\n");
    house.now(&wrong, "settings not taken over").await;
    assert_eq!(house.get(&ann, "/wallet").await.status, 200, "everything stays as it was");

    house.now("[access]\nanonymous = \"auto\"\n", "callers.ann.scopes").await;
    for gone in [&ann, &next, &bob, ""] {
        assert_refused(&house.get(gone, "/wallet").await, 401, "UNAUTHENTICATED", "token");
    }
    house.now("[access]\nanonymous = [\"read\"]\n", "\"changed\":\"access.anonymous\"").await;
    assert_eq!(house.get("", "/wallet").await.status, 200);
    assert_refused(&house.call("", "POST", "/vps/1/stop", None).await, 401, "UNAUTHENTICATED", "write");
    assert_refused(&house.get(&ann, "/wallet").await, 401, "UNAUTHENTICATED", "not known");
}

#[tokio::test]
async fn without_callers_nobody_gets_more_than_the_catalog_and_the_sandbox_is_open() {
    let (unknown, lines) = token("ann", "read");
    let house = House::new("", &[]);
    house.gateway.logged("there is no caller").await;
    assert_eq!(house.get("", "/catalog/vps-plans").await.status, 200);
    assert_refused(&house.buy("", "k", "open").await, 401, "UNAUTHENTICATED", "the scope spend");
    assert_refused(&house.get("", "/wallet").await, 401, "UNAUTHENTICATED", "listen.socket");
    assert_refused(&house.get("", "/operations").await, 401, "UNAUTHENTICATED", "the scope read");
    assert_eq!(house.provider.executions().await, 0);
    assert_refused(&house.get(&unknown, "/wallet").await, 401, "UNAUTHENTICATED", "not known");
    assert!(!house.provider.log().contains("there is no caller"), "nothing of the sandbox is real");

    // The sandbox is open to those without a token also where others have one.
    let settings = File::new("callers-of-sandbox", &lines);
    let sandbox = Gateway::start(&["--sandbox", "--config", settings.path()], &[]);
    assert_eq!(sandbox.get("/wallet").await.status, 200);
    let bearer = format!("Bearer {unknown}");
    let known = sandbox.send("POST", "/vps/1/stop", None, &[("authorization", &bearer)]).await;
    assert_refused(&known, 403, "SCOPE_MISSING", "write");
}

#[test]
fn the_settings_of_callers_are_read_strictly_and_no_token_is_shown() {
    let (token, lines) = token("ci", "read,write");
    let file = File::new("callers-fine", &lines);
    let fine = gizad(&["check", "--sandbox", "--config", file.path()], &[]);
    assert!(fine.status.success(), "{fine:?}");
    let shown = text(&fine.stdout);
    assert!(shown.contains("[callers.ci]") && shown.contains("scopes = [\"read\", \"write\"]"), "{shown}");
    let again = File::new("callers-again", &shown.replace("\"[masked]\"", "\"x\""));
    assert!(gizad(&["check", "--sandbox", "--config", again.path()], &[]).status.success(), "{shown}");

    let secret = token.rsplit('_').nth(1).expect("the secret part");
    let wrong = File::new(
        "callers-wrong",
        &format!(
            "[access]\nanonymous = [\"read\", \"spend\"]\n[callers]\nunknown = 1\nanonymous.scopes = [\"read\"]\n\
             a.token_sha256 = \"{token}\"\nb.token = \"{token}\"\nb.scopes = [\"everything\"]\n\
             c.scopes = [\"{token}\"]\nd.token_sha256 = []\ne.token_sha256 = \"canary-in-place\"\n"
        ),
    );
    let output = gizad(&["check", "--sandbox", "--config", wrong.path()], &[("GIZAD_LISTEN_HOSTS", &token)]);
    let (said, shown) = (text(&output.stderr), text(&output.stdout));
    assert_eq!(output.status.code(), Some(64), "{said}");
    for hidden in [secret, "canary"] {
        assert!(!said.contains(hidden) && !shown.contains(hidden), "{said}{shown}");
    }
    for expected in [
        "11 mistakes",
        "access.anonymous: expected none of spend and admin",
        "callers.unknown: expected a caller's name",
        "callers.anonymous.scopes: expected a caller's name",
        "callers.a.token_sha256: expected 64 hexadecimal digits",
        "callers.b.token: expected token_sha256, uid, gid, spiffe, subject, scopes, operations, expires, quota.rate or quota.burst \
         (\"[masked]\"",
        "callers.b.scopes: expected a list of some of read, sensitive, write, spend, admin ([\"everything\"], from",
        "callers.b.token_sha256: expected the SHA-256 of its token",
        "callers.c.scopes: expected a list of some of",
        "callers.d.token_sha256: expected 64 hexadecimal digits",
        "callers.e.token_sha256: expected 64 hexadecimal digits",
    ] {
        assert!(said.contains(expected), "{expected:?} in {said}");
    }
    for wrong in
        [&["token", "new", "gizad"][..], &["token", "new", "a b"], &["token", "new", "a", "--scopes", "all"]]
    {
        assert_eq!(gizad(wrong, &[]).status.code(), Some(64), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_caller_may_have_less_than_its_scopes_and_a_quota_of_its_own() {
    let ((ann, a), (bob, b)) = (token("ann", EVERYTHING), token("bob", EVERYTHING));
    let quota = |burst: u32| format!("quota.rate = \"1/h\"\nquota.burst = {burst}\n");
    let settings = |burst: u32| format!("{a}{}{b}operations = [\"WalletService.*\"]\n", quota(burst));
    let house = House::new(&settings(3), &[]);
    let asks = async |token: &str| {
        let mut body = order("ann-1");
        body["validate_only"] = json!(true);
        house.call(token, "POST", "/vps", Some(body)).await
    };
    // One for each question, and one for a purchase, whatever is looked at for it.
    assert_eq!(asks(&ann).await.status, 200);
    assert_eq!(house.buy(&ann, "k", "ann-1").await.status, 201);
    let wallet = house.get(&ann, "/wallet").await;
    assert_eq!((wallet.status, wallet.header("ratelimit-policy")), (200, "\"caller\";q=3;w=10800"));
    for refused in [asks(&ann).await, house.buy(&ann, "k2", "ann-2").await, house.get(&ann, "/vps").await] {
        assert_eq!((refused.status, refused.reason().as_str()), (429, "QUOTA_EXCEEDED"), "{}", refused.text);
        assert_eq!(refused.json()["sent"], "never");
    }
    let known = house.buy(&ann, "k", "ann-1").await;
    assert_eq!(
        (known.status, known.header("idempotent-replayed")),
        (201, "true"),
        "what is known costs nothing"
    );
    assert_eq!(house.provider.executions().await, 1);
    house.now(&settings(100), "callers.ann.quota.burst").await;
    assert_eq!(asks(&ann).await.reason(), "QUOTA_EXCEEDED", "no second burst");

    assert_eq!(house.get(&bob, "/wallet").await.status, 200);
    let vps = "VpsService.ListVps is none of the operations that the caller bob may call";
    assert_refused(&house.get(&bob, "/vps").await, 403, "OPERATION_NOT_GRANTED", vps);
    let line: Value =
        serde_json::from_str(&house.gateway.logged("\"OPERATION_NOT_GRANTED\"").await).expect("JSON");
    assert_eq!((&line["caller"], &line["operation"]), (&json!("bob"), &json!("VpsService.ListVps")));
    house.now(&format!("{b}expires = 2020-01-31T07:00:00+07:00\n"), "callers.bob.expires").await;
    assert_refused(&house.get(&bob, "/wallet").await, 401, "UNAUTHENTICATED", "expired");
}

#[test]
fn the_settings_of_callers_in_detail_are_read_as_strictly() {
    let (_, lines) = token("ann", "read");
    let wrong = "operations = [\"VpsService.StartVp\", \"WalletServic.*\", \"*\"]\nexpires = \"tomorrow\"\nquota.rate = \"fast\"\n";
    let file = File::new("callers-detail", &format!("{lines}{wrong}"));
    let output = gizad(&["check", "--sandbox", "--config", file.path()], &[]);
    let (said, shown) = (text(&output.stderr), text(&output.stdout));
    for expected in [
        "5 mistakes",
        "callers.ann.operations: expected operations as `gizad routes` lists them, and \"VpsService.StartVp\" is none; did you mean VpsService.StartVps?",
        "and \"WalletServic.*\" is none; did you mean WalletService.*?",
        "and \"*\" is none",
        "callers.ann.expires: expected a time with its zone",
        "callers.ann.quota.rate: expected a rate such as 10/s",
    ] {
        assert!(said.contains(expected), "{expected:?} in {said}");
    }
    assert!(
        shown.contains("ann.expires = \"tomorrow\"") || shown.contains("expires = \"tomorrow\""),
        "{shown}"
    );
}
