//! PostgreSQL goes away and comes back: what cannot be written down is not sent, and what was sent is not lost.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::json;

use super::{HASTY, ended, server, spoil, stands};
use crate::ledger::server as server_of_the_ledgers;
use crate::rig::{Gateway, PATIENCE, Sandbox};

/// A cable to the database that can be cut and mended.
pub struct Cable {
    port: u16,
    whole: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Cable {
    /// One to the server of a URL, and the URL through it.
    pub fn to(url: &str) -> (Self, String) {
        let host =
            url.rsplit_once('@').and_then(|(_, rest)| rest.split('/').next()).expect("a host").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let cable = Self { port, whole: Arc::new(Mutex::new(Some(Vec::new()))) };
        let (whole, target) = (cable.whole.clone(), host.clone());
        std::thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                let mut whole = whole.lock().unwrap();
                // Whoever comes while it is cut is let in and hears nothing but the end.
                let Some(ends) = whole.as_mut() else { continue };
                let server = TcpStream::connect(&target).expect("the database");
                let copy = |from: &TcpStream, to: &TcpStream| {
                    let (mut from, mut to) =
                        (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    std::thread::spawn(move || {
                        let _ended = std::io::copy(&mut from, &mut to);
                        let _gone = to.shutdown(Shutdown::Both);
                    });
                };
                copy(&caller, &server);
                copy(&server, &caller);
                ends.extend([caller, server]);
            }
        });
        let through = url.replace(&host, &format!("127.0.0.1:{}", cable.port));
        (cable, through)
    }

    pub fn cut(&self) {
        for end in self.whole.lock().unwrap().take().unwrap_or_default() {
            let _gone = end.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        *self.whole.lock().unwrap() = Some(Vec::new());
    }
}

#[tokio::test]
async fn without_its_database_it_buys_nothing_and_with_it_again() {
    let provider = Sandbox::start();
    let (cable, url) = Cable::to(&server_of_the_ledgers());
    let gateway = Gateway::beside(&provider, &[("GIZAD_SHARED_URL", &url)]);
    let before = gateway.buy("k0", "/vps", &server("a")).await;
    assert_eq!(before.status, 201, "{}", before.text);
    cable.cut();
    for _ in 0..2 {
        let rest = gateway.buy("k1", "/vps", &server("b")).await;
        assert_eq!((rest.status, rest.reason().as_str()), (503, "LEDGER_UNAVAILABLE"), "{}", rest.text);
        // Of this call nothing was; of one before it under the same key, nobody can say.
        assert_eq!(rest.json()["sent"], "maybe");
    }
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.get("/wallet").await.status), (1, 200));
    cable.mend();
    let begun = Instant::now();
    let mut bought = gateway.buy("k1", "/vps", &server("b")).await;
    while bought.status == 503 && begun.elapsed() < PATIENCE {
        assert_eq!(gateway.executions().await, 1);
        bought = gateway.buy("k1", "/vps", &server("b")).await;
    }
    assert_eq!((bought.status, gateway.executions().await), (201, 2), "{}", bought.text);
    assert_eq!(gateway.buy("k0", "/vps", &server("a")).await.text, before.text);
}

/// Cut while the provider was at it: the outcome cannot be written down when it comes.
#[tokio::test]
async fn an_outcome_that_could_not_be_written_down_is_found_out() {
    let provider = Sandbox::start();
    let (cable, url) = Cable::to(&server_of_the_ledgers());
    let gateway = Gateway::beside(&provider, &[("GIZAD_SHARED_URL", &url), HASTY[0]]);
    spoil(&gateway, json!({"kind": "delay", "ms": 1500})).await;
    let order = server("a");
    let (answer, ()) = tokio::join!(gateway.buy("k", "/vps", &order), async {
        gateway.reached("create_vps").await;
        cable.cut();
    });
    assert_eq!((answer.status, answer.reason().as_str()), (409, "OUTCOME_UNKNOWN"), "{}", answer.text);
    assert_eq!((&answer.json()["sent"], gateway.executions().await), (&json!("maybe"), 1));
    cable.mend();
    let end = ended(&gateway, answer.header("location")).await;
    assert_eq!(end["state"], "FOUND", "{end}");
    let again = gateway.buy("k", "/vps", &order).await;
    assert_eq!((again.status, &again.json()["state"]), (201, &json!("FOUND")), "{}", again.text);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}

/// Cut and mended while the provider was at it: meanwhile it was taken for dead, and its answer comes all the same.
#[tokio::test]
async fn an_answer_that_comes_after_its_writer_was_taken_for_dead_is_kept() {
    let provider = Sandbox::start();
    let (cable, url) = Cable::to(&server_of_the_ledgers());
    let gateway = Gateway::beside(&provider, &[("GIZAD_SHARED_URL", &url), HASTY[0]]);
    spoil(&gateway, json!({"kind": "delay", "ms": 3000})).await;
    let order = server("a");
    let (answer, ()) = tokio::join!(gateway.buy("k", "/vps", &order), async {
        gateway.reached("create_vps").await;
        cable.cut();
        cable.mend();
    });
    assert!(answer.status == 201 || answer.reason() == "OUTCOME_UNKNOWN", "{}", answer.text);
    let end = ended(&gateway, answer.header("location")).await;
    assert!(end["state"] == "SUCCEEDED" || end["state"] == "FOUND", "{end}");
    assert_eq!(stands(&gateway, answer.header("location")).await["posted_vnd"], super::PRICE);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}
