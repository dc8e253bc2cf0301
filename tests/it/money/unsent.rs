//! What is proven not to have been sent: a provider that cannot be reached, before the look and after it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;
use tonic::Code;

use super::{PRICE, buy_grpc, ended, line, named, reason, server, spoil, stands, states};
use crate::rig::{Gateway, Sandbox};

/// A door before a provider, which closes as soon as so many requests have come through: those get their answers, and
/// nobody else is let in.
struct Door {
    address: std::net::SocketAddr,
    target: String,
    shared: Arc<(Mutex<Way>, Condvar)>,
}

struct Way {
    left: usize,
    listening: bool,
}

impl Door {
    fn before(provider: &Sandbox, requests: usize) -> Self {
        let target = provider.url.trim_start_matches("http://").trim_end_matches("/api").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new((Mutex::new(Way { left: requests, listening: false }), Condvar::new()));
        let door = Self { address, target, shared };
        door.listen(listener);
        door
    }

    fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Lets everybody in again.
    fn open(&self) {
        self.shared.0.lock().unwrap().left = usize::MAX;
        self.listen(TcpListener::bind(self.address).expect("the same port"));
    }

    fn listen(&self, listener: TcpListener) {
        listener.set_nonblocking(true).expect("a socket");
        self.shared.0.lock().unwrap().listening = true;
        let (shared, target) = (self.shared.clone(), self.target.clone());
        std::thread::spawn(move || {
            while shared.0.lock().unwrap().left > 0 {
                match listener.accept() {
                    Ok((socket, _)) => let_through(socket, &target, &shared),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
            drop(listener);
            shared.0.lock().unwrap().listening = false;
            shared.1.notify_all();
        });
    }
}

/// Carries bytes both ways; the last request waits until the door is closed.
fn let_through(mut caller: TcpStream, target: &str, shared: &Arc<(Mutex<Way>, Condvar)>) {
    caller.set_nonblocking(false).expect("a socket");
    let mut provider = TcpStream::connect(target).expect("the provider");
    let (mut back, mut answers) =
        (caller.try_clone().expect("a socket"), provider.try_clone().expect("a socket"));
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let shared = shared.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(length @ 1..) = caller.read(&mut buffer) {
            if buffer[..length].windows(5).any(|window| window == b" /api") {
                let mut way = shared.0.lock().unwrap();
                way.left = way.left.saturating_sub(1);
                while way.left == 0 && way.listening {
                    way = shared.1.wait(way).unwrap();
                }
            }
            if provider.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    });
}

#[tokio::test]
async fn a_provider_that_goes_away_after_the_look_gets_nothing_and_the_key_tries_again() {
    let provider = Sandbox::start();
    // The wallet, its movements, the list and the price.
    let door = Door::before(&provider, 4);
    let mut gateway = Gateway::towards(&door.url(), &[]);
    gateway.control = Gateway::beside(&provider, &[]).control.clone();
    let rest = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (503, "UPSTREAM_UNREACHABLE"), "{}", rest.text);
    assert_eq!((&rest.json()["sent"], rest.header("retry-after")), (&json!("never"), "1"));
    let unsent = stands(&gateway, rest.header("location")).await;
    assert_eq!((&unsent["state"], &unsent["attempts"]), (&json!("NOT_SENT"), &json!(3)), "{unsent}");
    assert_eq!(states(&unsent), ["SENDING", "NOT_SENT", "SENDING", "NOT_SENT", "SENDING", "NOT_SENT"]);
    assert_eq!((&unsent["held_vnd"], gateway.executions().await), (&json!(0), 0));
    // The look of another try may come through over a connection that is still there; its order does not.
    let grpc = buy_grpc(&gateway, "k", &server("a")).await.expect_err("still away");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::Unavailable, "UPSTREAM_UNREACHABLE"));
    assert_eq!(line(grpc.metadata(), "grpc-retry-pushback-ms"), "1000");
    let tried = stands(&gateway, rest.header("location")).await;
    assert_eq!((&tried["state"], gateway.executions().await), (&json!("NOT_SENT"), 0), "{tried}");
    let attempts = tried["attempts"].as_u64().expect("a number");

    door.open();
    let bought = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((bought.status, &bought.json()["attempts"]), (201, &json!(attempts + 1)), "{}", bought.text);
    assert_eq!(
        (bought.header("location"), bought.header("idempotent-replayed")),
        (rest.header("location"), "")
    );
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_even_looked_at_and_nothing_is_written_down() {
    let provider = Sandbox::start();
    let door = Door::before(&provider, 1);
    let mut gateway = Gateway::towards(&door.url(), &[]);
    gateway.control = Gateway::beside(&provider, &[]).control.clone();
    assert_eq!(gateway.get("/wallet").await.status, 200, "the last one that came through");
    let rest = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (503, "UPSTREAM_UNREACHABLE"), "{}", rest.text);
    assert_eq!((&rest.json()["sent"], rest.header("retry-after")), (&json!("never"), "1"));
    assert_eq!(rest.header("location"), "");
    let grpc = buy_grpc(&gateway, "k", &server("a")).await.expect_err("away");
    assert_eq!((grpc.code(), named(&grpc).as_str()), (Code::Unavailable, "/operations/"));
    assert_eq!(gateway.get("/operations").await.json()["operations"], json!([]));
    door.open();
    let bought = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((bought.status, &bought.json()["attempts"]), (201, &json!(1)), "{}", bought.text);
    assert_eq!(gateway.executions().await, 1);
}

/// Given up by a person before it was ever sent, it never is.
#[tokio::test]
async fn what_was_not_sent_can_be_given_up() {
    let provider = Sandbox::start();
    let door = Door::before(&provider, 4);
    let mut gateway = Gateway::towards(&door.url(), &[]);
    gateway.control = Gateway::beside(&provider, &[]).control.clone();
    let rest = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(rest.reason(), "UPSTREAM_UNREACHABLE", "{}", rest.text);
    let path = format!("{}/resolve", rest.header("location"));
    let wrong = gateway.post(&path, json!({"outcome": "FOUND", "note": "n"})).await;
    assert_eq!((wrong.status, wrong.reason().as_str()), (409, "OPERATION_STATE"), "{}", wrong.text);
    let given_up = gateway.post(&path, json!({"outcome": "GIVEN_UP", "note": "not needed"})).await;
    assert_eq!(
        (given_up.status, &given_up.json()["state"]),
        (200, &json!("FAILED_NOT_SENT")),
        "{}",
        given_up.text
    );
    door.open();
    let again = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((again.status, again.reason().as_str()), (409, "OPERATION_GIVEN_UP"), "{}", again.text);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (0, 0));
}

#[tokio::test]
async fn what_was_proven_not_to_be_sent_is_tried_again_under_the_same_key() {
    let gateway = Gateway::sandbox();
    // Stopped on the way, by words that prove it.
    let blocked = json!({"kind": "answer", "status": 403, "headers": [["Server", "cloudflare"]],
                         "body": "<html><title>Attention Required! | Cloudflare</title></html>", "times": 2});
    spoil(&gateway, blocked).await;
    let rest = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (503, "UPSTREAM_BLOCKED"), "{}", rest.text);
    assert_eq!((&rest.json()["sent"], rest.header("retry-after")), (&json!("never"), "1"));
    let unsent = stands(&gateway, rest.header("location")).await;
    assert_eq!(
        (&unsent["state"], &unsent["done"], &unsent["held_vnd"]),
        (&json!("NOT_SENT"), &json!(false), &json!(0))
    );
    let grpc = buy_grpc(&gateway, "k", &server("a")).await.expect_err("blocked again");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::Unavailable, "UPSTREAM_BLOCKED"));
    assert_eq!(
        (named(&grpc).as_str(), line(grpc.metadata(), "grpc-retry-pushback-ms")),
        (rest.header("location"), "1000")
    );
    let bought = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((bought.status, &bought.json()["attempts"]), (201, &json!(3)), "{}", bought.text);
    assert_eq!(bought.header("location"), rest.header("location"));
    assert_eq!(bought.json()["purchase"]["amount_vnd"], PRICE, "{}", bought.text);
    assert_eq!(gateway.buy("k", "/vps", &server("a")).await.text, bought.text);
    assert_eq!(gateway.executions().await, 1);
}

/// The operation is the one that was written down first, also while it is tried again.
#[tokio::test]
async fn another_try_is_the_same_operation_while_it_runs() {
    let gateway = Gateway::sandbox();
    let blocked = json!({"kind": "answer", "status": 403, "headers": [["Server", "cloudflare"]],
                         "body": "<html><title>Attention Required! | Cloudflare</title></html>"});
    spoil(&gateway, blocked).await;
    let unsent = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(unsent.reason(), "UPSTREAM_BLOCKED", "{}", unsent.text);
    spoil(&gateway, json!({"kind": "delay", "ms": 3000})).await;
    let body = Some(("application/json", server("a").to_string().into_bytes()));
    let headers = [("idempotency-key", "k"), ("request-timeout", "2s")];
    let rest = gateway.send("POST", "/vps", body, &headers).await;
    assert_eq!((rest.status, rest.header("location")), (202, unsent.header("location")), "{}", rest.text);
    let mut other = server("b");
    other["request_id"] = json!("k");
    let reused = gateway.post("/vps", other).await;
    assert_eq!(
        (reused.reason().as_str(), reused.header("location")),
        ("IDEMPOTENCY_KEY_REUSED", unsent.header("location"))
    );
    let end = ended(&gateway, unsent.header("location")).await;
    assert_eq!(
        (&end["state"], &end["purchase"]["amount_vnd"]),
        (&json!("SUCCEEDED"), &json!(PRICE)),
        "{end}"
    );
    assert_eq!(gateway.executions().await, 1);
}

/// A caller's share is asked for before anything is looked at or written down.
#[tokio::test]
async fn what_is_over_a_quota_leaves_no_record_and_may_come_again() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_QUOTA_RATE", "12/m"), ("GIZAD_QUOTA_BURST", "1")]);
    assert_eq!(gateway.get("/wallet").await.status, 200);
    let rest = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (429, "QUOTA_EXCEEDED"), "{}", rest.text);
    assert_eq!((&rest.json()["sent"], rest.header("retry-after")), (&json!("never"), "5"));
    assert_eq!(
        (gateway.seen().await.len(), gateway.executions().await),
        (1, 0),
        "only the wallet was asked for"
    );
    assert_eq!(gateway.get("/operations").await.json()["operations"], json!([]));
    let begun = std::time::Instant::now();
    let mut again = gateway.buy("k", "/vps", &server("a")).await;
    while again.status == 429 && begun.elapsed() < crate::rig::PATIENCE {
        again = gateway.buy("k", "/vps", &server("a")).await;
    }
    assert_eq!((again.status, gateway.executions().await), (201, 1), "{}", again.text);
}
