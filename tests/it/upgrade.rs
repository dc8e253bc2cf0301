//! A rolling upgrade: an older gizad and this one on one PostgreSQL and one account. `tests/upgrade REVISION` builds the older one
//! and runs this.

use std::collections::HashMap;
use std::process::Command;

use super::ledger::server;
use super::market::{Provider, Told, buy, operation_of};
use super::rig::Gateway;

/// As many as there are at once: two, and one more while they are replaced.
const REPLICAS: &str = "3";

/// The settings of a build: before what is shared was more than the ledger, that alone was on PostgreSQL.
fn settings(program: &str, url: &str) -> Vec<(&'static str, String)> {
    let shared =
        vec![("GIZAD_SHARED_URL", url.to_owned()), ("GIZAD_SHARED_MAX_REPLICAS", REPLICAS.to_owned())];
    let checked =
        Command::new(program).args(["check", "--sandbox"]).envs(shared.clone()).output().expect("it runs");
    let further = [("GIZAD_PURCHASE_LOOK_EVERY", "100ms".to_owned())];
    let own = if checked.status.success() { shared } else { vec![("GIZAD_LEDGER_URL", url.to_owned())] };
    own.into_iter().chain(further).collect()
}

fn start(program: &str, provider: &Provider, url: &str) -> Gateway {
    let settings = settings(program, url);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Gateway::of(program, &provider.url, &settings)
}

/// As a rollout ends one: it says farewell.
async fn stop(mut gateway: Gateway) {
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
}

/// What the key of each purchase came to, over all replicas.
#[derive(Default)]
struct Bought(HashMap<String, String>);

impl Bought {
    /// Buys something new through each, and has every purchase there ever was answered again by each.
    async fn through(&mut self, step: &str, replicas: &[&Gateway]) {
        for (number, replica) in replicas.iter().enumerate() {
            let key = format!("{}-{number}", step.replace(' ', "-"));
            let answer = buy(replica, &key, &key).await;
            assert_eq!(Told::of(&answer), Told::Succeeded, "{key}: {}", answer.text);
            self.0.insert(key, operation_of(&answer));
        }
        for replica in replicas {
            for (key, operation) in &self.0 {
                let again = buy(replica, key, key).await;
                let told = (operation_of(&again), again.header("idempotent-replayed"));
                assert_eq!(told, (operation.clone(), "true"), "{step}, {key}: {}", again.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs an older build: tests/upgrade REVISION"]
async fn replicas_are_replaced_one_by_one_and_the_newer_ones_can_be_taken_back() {
    let older = std::env::var("TEST_OLDER").expect("the path of an older build: run tests/upgrade REVISION");
    let newer = env!("CARGO_BIN_EXE_gizad");
    let (provider, url) = (Provider::open(), server());
    let (old, new) = (|| start(&older, &provider, &url), || start(newer, &provider, &url));
    let mut bought = Bought::default();

    let (one, two) = (old(), old());
    bought.through("before", &[&one, &two]).await;
    let three = new();
    bought.through("one more", &[&one, &two, &three]).await;
    stop(one).await;
    bought.through("one replaced", &[&two, &three]).await;
    let four = new();
    stop(two).await;
    bought.through("both replaced", &[&three, &four]).await;
    // It was a mistake: back to the older one.
    let five = old();
    stop(three).await;
    bought.through("one taken back", &[&four, &five]).await;
    stop(four).await;
    bought.through("both taken back", &[&five]).await;

    assert_eq!(provider.carried_out().await.len(), bought.0.len(), "each once");
    let listed = five.get("/operations?page_size=100").await.json();
    assert_eq!(listed["operations"].as_array().map(Vec::len), Some(bought.0.len()), "{listed}");
}
