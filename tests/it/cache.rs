//! Answers from memory, over real sockets: what the caller is told of them, and how often the provider was asked.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::rig::{Gateway, operation};

const PLANS: &str = "/catalog/vps-plans";

#[tokio::test]
async fn the_catalog_is_asked_for_once_and_everyone_is_told_how_old_it_is() {
    let gateway = Gateway::as_shipped(&[]);
    let first = gateway.get(PLANS).await;
    assert_eq!((first.status, first.header("cache-status")), (200, "gizad; fwd=uri-miss; stored"));
    assert_eq!(first.header("age"), "0");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let second = gateway.get(&format!("/v1{PLANS}")).await;
    assert_eq!(second.text, first.text);
    assert_eq!(second.header("age"), "1");
    assert_eq!(second.header("cache-status"), "gizad; hit; ttl=299");
    assert_eq!(
        second.header("cache-control"),
        "public, max-age=300, stale-while-revalidate=3600, stale-if-error=604800"
    );
    assert_eq!(second.header("etag"), first.header("etag"));
    assert_eq!(second.header("ratelimit"), "", "it counts against no limit");
    assert_eq!(gateway.seen().await.len(), 1);
}

#[tokio::test]
async fn whoever_has_it_already_is_not_sent_it_again() {
    let gateway = Gateway::as_shipped(&[]);
    let first = gateway.get(PLANS).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = gateway.send("GET", PLANS, None, &[("if-none-match", &known)]).await;
        assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
        assert_eq!((answer.header("etag"), answer.header("age")), (tag.as_str(), "0"), "{known}");
        assert!(answer.header("cache-control").starts_with("public, max-age=300"), "{known}");
        assert!(answer.header("cache-status").starts_with("gizad; hit"), "{known}");
    }
    let other = gateway.send("GET", PLANS, None, &[("if-none-match", "\"other\"")]).await;
    assert_eq!((other.status, other.text), (200, first.text));
    // What is not kept has no validator.
    let wallet = gateway.send("GET", "/wallet", None, &[("if-none-match", "*")]).await;
    assert_eq!((wallet.status, wallet.header("etag")), (200, ""));
    assert_eq!(
        (wallet.header("cache-control"), wallet.header("cache-status")),
        ("no-store", "gizad; fwd=bypass")
    );
}

#[tokio::test]
async fn both_faces_share_what_is_kept_and_say_the_same_of_it() {
    let gateway = Gateway::as_shipped(&[]);
    let rest = gateway.get(PLANS).await;
    let plans = operation("CatalogService.ListVpsPlans");
    let (reply, metadata) = gateway.grpc_whole(plans, &json!({}), &[]).await.expect("a reply");
    assert_eq!(reply["plans"].as_array().map(Vec::len), rest.json()["plans"].as_array().map(Vec::len));
    for name in ["etag", "cache-control", "age"] {
        assert_eq!(metadata.get(name).expect(name).to_str().expect("text"), rest.header(name), "{name}");
    }
    assert!(metadata.get("cache-status").expect("there").to_str().expect("text").starts_with("gizad; hit"));
    assert_eq!(gateway.seen().await.len(), 1);
    let wishes = [("cache-control", "only-if-cached")];
    assert!(gateway.grpc_with(plans, &json!({}), &wishes).await.is_ok());
    let wallet = operation("WalletService.GetWallet");
    let status = gateway.grpc_with(wallet, &json!({}), &wishes).await.expect_err("never kept");
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert_eq!(gateway.seen().await.len(), 1);
}

#[tokio::test]
async fn a_caller_may_want_it_new_or_not_at_all() {
    let gateway = Gateway::as_shipped(&[("GIZAD_CACHE_LEAST_AGE", "1s")]);
    let ask = |wish: &'static str| gateway.send("GET", PLANS, None, &[]).then_ask(&gateway, wish);
    let none = gateway.send("GET", PLANS, None, &[("cache-control", "only-if-cached")]).await;
    assert_eq!((none.status, none.reason().as_str()), (504, "NOT_CACHED"));
    assert_eq!(gateway.seen().await.len(), 0);
    assert!(ask("no-cache").await.contains("hit"), "it is brand new");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask("max-age=60").await.split(';').nth(1), Some(" hit"));
    assert_eq!(ask("no-cache").await, "gizad; fwd=request; stored");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask("max-age=0").await, "gizad; fwd=request; stored");
    assert_eq!(gateway.seen().await.len(), 3);
}

/// Asks once without a wish and then with one; for what memory says of the second.
trait ThenAsk {
    async fn then_ask(self, gateway: &Gateway, wish: &str) -> String;
}

impl<F: Future<Output = super::rig::Answer>> ThenAsk for F {
    async fn then_ask(self, gateway: &Gateway, wish: &str) -> String {
        assert_eq!(self.await.status, 200);
        let answer = gateway.send("GET", PLANS, None, &[("cache-control", wish)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.header("cache-status").to_owned()
    }
}

/// What is fresh is given at once, past all the layers, unless lines of it are logged. Both ways have to say the same.
#[tokio::test]
async fn what_is_given_at_once_is_what_the_layers_would_have_given() {
    let quick = Gateway::as_shipped(&[("GIZAD_LOG_LEVEL", "info")]);
    let whole = Gateway::as_shipped(&[("GIZAD_LOG_LEVEL", "debug")]);
    let wishes = ["", "no-cache", "max-age=60", "max-age=0", "only-if-cached", "no-store", "max-age=x"];
    let tokens = ["", "Bearer gzd_nobody", "Basic eDp5"];
    let named =
        ["cache-control", "etag", "cache-status", "ratelimit", "content-type", "www-authenticate", "allow"];
    let told = |answer: &super::rig::Answer| {
        // What the seconds have to do with may differ by one between the two.
        let of = |name: &str| {
            let text = answer.header(name);
            text.split_once("; ttl").or(text.split_once(";r=")).map_or(text, |(known, _)| known).to_owned()
        };
        (answer.status, named.map(of), answer.json()["reason"].clone())
    };
    for path in [PLANS, "/catalog/hosting-plans?page=2", "/wallet"] {
        for wish in wishes {
            for token in tokens {
                let given = [("cache-control", wish), ("authorization", token)];
                let headers: Vec<_> = given.into_iter().filter(|(_, value)| !value.is_empty()).collect();
                let ask = |gateway| Gateway::send(gateway, "GET", path, None, &headers);
                let (a, b) = tokio::join!(ask(&quick), ask(&whole));
                assert_eq!(told(&a), told(&b), "{path} {wish} {token}");
            }
        }
    }
    assert_eq!(quick.seen().await, whole.seen().await);
    assert!(whole.log().contains("\"DEBUG\"") && !quick.log().contains("\"DEBUG\""), "one took each way");
}

#[tokio::test]
async fn five_hundred_cold_readers_are_one_call() {
    for path in [PLANS, "/wallet"] {
        let gateway = Gateway::as_shipped(&[]);
        gateway.order(json!({"kind": "delay", "ms": 3000})).await;
        let mut readers = JoinSet::new();
        for _ in 0..500 {
            let request = gateway.http.get(format!("{}{path}", gateway.api));
            readers.spawn(async move {
                let response = request.send().await.expect("gizad answers");
                let status = response.headers().get("cache-status").expect("of a read");
                (response.status().as_u16(), status.to_str().expect("text").to_owned())
            });
        }
        let answers = readers.join_all().await;
        assert!(answers.iter().all(|(status, _)| *status == 200), "{path}: {answers:?}");
        let collapsed = answers.iter().filter(|(_, status)| status.ends_with("collapsed")).count();
        assert_eq!((gateway.seen().await.len(), collapsed), (1, 499), "{path}");
    }
}

#[tokio::test]
async fn a_write_forgets_the_account_before_its_answer() {
    let file = super::rig::File::new(
        "lists",
        "[cache.operations]\nWalletService.GetWallet.ttl = \"60s\"\nVpsService.ListVps.ttl = \"60s\"\n",
    );
    let gateway = Gateway::run(&["--sandbox", "--config", file.path()], &[("GIZAD_STATE_DIR", "")]);
    for _ in 0..2 {
        for path in ["/wallet", "/vps", PLANS] {
            assert_eq!(gateway.get(path).await.status, 200);
        }
    }
    assert_eq!(gateway.seen().await.len(), 3);
    let private = gateway.get("/wallet").await;
    assert_eq!(private.header("cache-control"), "private, max-age=60");
    // One that fails, one whose outcome is unknown, and one that succeeds.
    for order in
        [json!({"kind": "error500"}), json!({"kind": "close_after"}), json!({"kind": "delay", "ms": 1})]
    {
        gateway.order(order).await;
        gateway.rest("POST", "/vps/1/reboot", None).await;
        assert_eq!(gateway.get("/wallet").await.header("cache-status"), "gizad; fwd=uri-miss; stored");
        assert!(gateway.get("/wallet").await.header("cache-status").starts_with("gizad; hit"));
    }
    // The catalog has nothing to do with a reboot.
    assert!(gateway.get(PLANS).await.header("cache-status").starts_with("gizad; hit"));
}

#[tokio::test]
async fn secrets_are_never_kept_nor_shared() {
    let gateway = Gateway::as_shipped(&[]);
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let request = gateway.http.get(format!("{}/hosting/1/login", gateway.api));
        calls.spawn(async move { request.send().await.expect("gizad answers") });
    }
    for response in calls.join_all().await {
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("cache-status"));
    }
    assert_eq!(gateway.seen().await.len(), 5);
}

#[tokio::test]
async fn it_starts_and_serves_the_catalog_while_the_provider_is_down() {
    let folder = std::env::temp_dir().join(format!("gizad-cache-{}", std::process::id()));
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let state = folder.to_str().expect("text");
    let listen = port.to_string();
    let debug = ("GIZAD_LOG_LEVEL", "info,gizad::boot=debug");
    let mut before =
        Gateway::as_shipped(&[("GIZAD_STATE_DIR", state), ("GIZAD_SANDBOX_LISTEN", &listen), debug]);
    let fresh = before.get(PLANS).await;
    // It writes down what is new within a second or so; then it is killed, and its provider with it.
    before.logged("remembered").await;
    before.signal("KILL");
    assert!(!before.ended().await.success());

    let after = Gateway::towards(
        &format!("http://{port}/api"),
        &[
            ("GIZAD_CREDENTIALS_IDENTIFIER", "sandbox"),
            ("GIZAD_STATE_DIR", state),
            ("GIZAD_CACHE_TTL", "1s"),
            ("GIZAD_CACHE_STALE_WHILE_REVALIDATE", "0s"),
        ],
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answer = after.get(PLANS).await;
    assert_eq!((answer.status, &answer.text), (200, &fresh.text));
    assert!(
        answer.header("cache-status").contains("detail=UPSTREAM_UNREACHABLE"),
        "{}",
        answer.header("cache-status")
    );
    assert_eq!(answer.header("etag"), fresh.header("etag"));
    assert_eq!(after.get("/catalog/email-plans").await.reason(), "UPSTREAM_UNREACHABLE", "never asked for");
    assert_eq!(after.admin("GET", "/readyz").await.status, 200);
    // Nobody else can read it, and it holds nothing of the account.
    let files: Vec<_> = walk(&folder);
    assert_eq!(files.len(), 1, "{files:?}");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&files[0]).expect("a file").permissions().mode() & 0o777, 0o600);
    // Another account finds nothing.
    let other = Gateway::towards(&format!("http://{port}/api"), &[("GIZAD_STATE_DIR", state)]);
    assert_eq!(other.get(PLANS).await.reason(), "UPSTREAM_UNREACHABLE");
    std::fs::remove_dir_all(folder).expect("it was there");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| walk(folder)));
    files
}
