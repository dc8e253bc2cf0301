//! Two gizad on one PostgreSQL and one account: together they promise what one alone does.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::ledger::{server, unique};
use super::market::{Provider, Told, buy, buying, decided, operation_of, order};
use super::rig::{Answer, Gateway, until};
use super::wire::proxy::{Act, Cut, Way, Wire};

const PRICE: i64 = 149_000;

/// A provider, and the two.
struct Pair {
    provider: Arc<Provider>,
    wire: Option<Wire>,
    one: Gateway,
    two: Gateway,
}

impl Pair {
    fn open(further: &[(&str, &str)]) -> Self {
        let provider = Arc::new(Provider::open());
        let (one, two) =
            (replica(&provider.url, &server(), further), replica(&provider.url, &server(), further));
        Self { provider, wire: None, one, two }
    }

    /// With a wire between them and the provider; the first has a ledger's address of its own.
    async fn over_a_wire(ledger: &str, further: &[(&str, &str)]) -> Self {
        let provider = Arc::new(Provider::open());
        let wire = Wire::towards(&provider.url).await;
        let (one, two) = (replica(&wire.url, ledger, further), replica(&wire.url, &server(), further));
        Self { provider, wire: Some(wire), one, two }
    }

    fn wire(&self) -> &Wire {
        self.wire.as_ref().expect("a wire")
    }

    fn each(&self, number: usize) -> &Gateway {
        if number.is_multiple_of(2) { &self.one } else { &self.two }
    }
}

/// The account is the address of the provider, so that no other test's ledger is met.
fn replica(provider: &str, ledger: &str, further: &[(&str, &str)]) -> Gateway {
    let mut environment = vec![
        ("GIZAD_SHARED_URL", ledger),
        ("GIZAD_LEDGER_DIR", ""),
        ("GIZAD_PURCHASE_LOOK_EVERY", "100ms"),
        ("GIZAD_PURCHASE_QUIET", "1s"),
        ("GIZAD_PURCHASE_READINGS", "2"),
        ("GIZAD_DEADLINE_SPEND", "5m"),
        ("GIZAD_PURCHASE_TIME", "5m"),
    ];
    environment.extend(further);
    Gateway::towards(provider, &environment)
}

/// Waits until a purchase has come to the provider.
async fn came(provider: &Provider, hostname: &str) {
    until("the provider is asked", async || {
        provider.asked().await.contains(&("create_vps".to_owned(), hostname.to_owned()))
    })
    .await;
}

async fn listed(gateway: &Gateway, key: &str) -> Vec<Value> {
    let listed = gateway.get(&format!("/operations?request_id={key}")).await.json();
    listed["operations"].as_array().expect("a list").clone()
}

async fn all(calls: JoinSet<Option<Answer>>) -> Vec<Answer> {
    calls.join_all().await.into_iter().map(|answer| answer.expect("gizad answers")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_calls_with_one_key_buy_once() {
    let pair = Pair::open(&[]);
    let calls = (0..200).map(|number| buying(pair.each(number), "one", "crowd")).collect();
    let answers = all(calls).await;
    let mut told = BTreeMap::new();
    for answer in &answers {
        *told.entry((Told::of(answer), answer.header("idempotent-replayed").to_owned())).or_insert(0) += 1;
    }
    println!("200 calls: {told:?}");
    assert!(told.keys().all(|(told, _)| *told == Told::Succeeded), "{told:?}");
    let bodies: HashSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
    assert_eq!(bodies.len(), 1, "one answer: {bodies:?}");
    assert_eq!(pair.provider.carried_out().await.len(), 1);
    assert_eq!(listed(&pair.one, "one").await, listed(&pair.two, "one").await, "one record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_keys_are_bought_one_after_the_other() {
    let pair = Pair::open(&[]);
    // Slow enough for another's look to come in between, if it could.
    pair.provider.order(json!({"kind": "delay", "ms": 20, "action": "create_vps", "times": 1000})).await;
    let calls = (0..40).map(|n| buying(pair.each(n), &format!("key{n}"), &format!("host{n:02}"))).collect();
    for answer in all(calls).await {
        assert_eq!(Told::of(&answer), Told::Succeeded, "{}", answer.text);
    }
    let bought = pair.provider.carried_out().await;
    assert_eq!((bought.len(), bought.iter().collect::<HashSet<_>>().len()), (40, 40), "each once");
    // One look, one purchase, in turn: nobody looks at the wallet while another's purchase is to come.
    let asked = pair.provider.asked().await;
    let turns: Vec<&str> = asked.iter().map(|(action, _)| action.as_str()).collect();
    let turns: Vec<&str> = turns.into_iter().filter(|a| matches!(*a, "balance" | "create_vps")).collect();
    assert_eq!(turns, ["balance", "create_vps"].repeat(40));
    // Every wallet that was seen before a purchase is that after the one before it.
    let listed = pair.one.get("/operations?page_size=100").await.json();
    let ledger = listed["operations"].as_array().expect("a list");
    assert_eq!(ledger.len(), 40);
    assert!(ledger.iter().all(|operation| operation["posted_vnd"] == PRICE), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_replica_was_sending_is_found_by_the_other() {
    let mut pair = Pair::open(&[]);
    // Carried out, and not answered for as long as anybody waits.
    pair.provider.order(json!({"kind": "stall", "action": "create_vps"})).await;
    let call = tokio::spawn(buying(&pair.one, "killed", "orphan"));
    came(&pair.provider, "orphan").await;
    let operation = listed(&pair.two, "killed").await[0]["operation_id"].as_str().expect("an id").to_owned();
    // Somebody asks for the same through the other one meanwhile.
    let retry = tokio::spawn(buying(&pair.two, "killed", "orphan"));
    pair.one.signal("KILL");
    pair.one.ended().await;
    assert!(call.await.expect("not panicked").is_none());
    let joined = retry.await.expect("not panicked").expect("gizad answers");
    assert_eq!(operation_of(&joined), operation, "{}", joined.text);
    assert_eq!(decided(&pair.two, &operation).await, "FOUND", "without a restart");
    let history = pair.two.get(&format!("/operations/{operation}")).await.json()["history"].clone();
    let states: Vec<&str> =
        history.as_array().expect("a list").iter().filter_map(|e| e["state"].as_str()).collect();
    assert_eq!(states, ["SENDING", "IN_DOUBT", "FOUND"]);
    let again = buy(&pair.two, "killed", "orphan").await;
    assert_eq!(
        (operation_of(&again), again.header("idempotent-replayed")),
        (operation, "true"),
        "{}",
        again.text
    );
    assert_eq!(pair.provider.bought("orphan").await, 1);
    // The account's turn died with its holder.
    assert_eq!(Told::of(&buy(&pair.two, "next", "next").await), Told::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_through_the_other_replica_joins_and_is_replayed() {
    let pair = Pair::open(&[]);
    pair.provider.order(json!({"kind": "delay", "ms": 1000, "action": "create_vps"})).await;
    let first = tokio::spawn(buying(&pair.one, "retried", "joined"));
    came(&pair.provider, "joined").await;
    let second = buy(&pair.two, "retried", "joined").await;
    let first = first.await.expect("not panicked").expect("gizad answers");
    assert_eq!((Told::of(&first), Told::of(&second)), (Told::Succeeded, Told::Succeeded), "{}", second.text);
    assert_eq!(first.text, second.text);
    assert_eq!(second.header("idempotent-replayed"), "true");
    let third = buy(&pair.two, "retried", "joined").await;
    assert_eq!((third.text.as_str(), third.header("idempotent-replayed")), (first.text.as_str(), "true"));
    let other = buy(&pair.two, "retried", "another").await;
    assert_eq!((other.status, other.reason().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(pair.provider.carried_out().await.len(), 1);
}

/// A replica that stands still is not dead: nobody takes its purchase, or its turn, away, however long it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stands_still_keeps_what_it_is_at() {
    for (way, executed, end) in [(Way::Request, 0, "ABSENT"), (Way::Answer, 1, "FOUND")] {
        let pair = Pair::over_a_wire(&server(), &[("GIZAD_UPSTREAM_TIMEOUT", "700ms")]).await;
        let hand = pair.wire().arm(Some(Cut { way, at: 50, act: Act::Hold }));
        let call = tokio::spawn(buying(&pair.one, "still", "still"));
        hand.held.await.expect("it comes there");
        pair.one.signal("STOP");
        let standing = listed(&pair.two, "still").await;
        assert_eq!(standing[0]["state"], "SENDING");
        // Longer than an exchange may take, and than it takes to look again.
        let body = Some(("application/json", order("next").to_string().into_bytes()));
        let asked = [("request-timeout", "2s"), ("idempotency-key", "next")];
        let waited = pair.two.send("POST", "/vps", body, &asked).await;
        assert_eq!(Told::of(&waited), Told::NotSent, "it is not its turn: {}", waited.text);
        assert_eq!(listed(&pair.two, "still").await, standing, "nobody else says what became of it");
        hand.rest.send(false).expect("it waits");
        hand.over.await.expect("it ends");
        pair.one.signal("CONT");
        let answer = call.await.expect("not panicked").expect("gizad answers");
        assert_eq!(Told::of(&answer), Told::Unknown, "{}", answer.text);
        let operation = operation_of(&answer);
        assert_eq!(decided(&pair.two, &operation).await, end);
        let again = buy(&pair.two, "still", "still").await;
        assert_eq!((operation_of(&again), again.header("idempotent-replayed")), (operation, "true"));
        assert_eq!(pair.provider.bought("still").await, executed);
        assert_eq!(Told::of(&buy(&pair.two, "after", "after").await), Told::Succeeded, "and it goes on");
        assert_eq!(pair.provider.bought("next").await, 0, "what was not sent stays so");
    }
}

/// A replica that was given the turn while it stands still loses it again: it has begun nothing yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stands_still_keeps_no_turn_that_it_only_waited_for() {
    let name = unique();
    let provider = Arc::new(Provider::open());
    let one = replica(&provider.url, &server(), &[]);
    let two = replica(&provider.url, &format!("{}?application_name={name}", server()), &[]);
    provider.order(json!({"kind": "delay", "ms": 1000, "action": "create_vps"})).await;
    let first = tokio::spawn(buying(&one, "first", "first"));
    came(&provider, "first").await;
    let waits = tokio::spawn(buying(&two, "waits", "waits"));
    let (client, connection) =
        tokio_postgres::connect(&server(), tokio_postgres::NoTls).await.expect("a server");
    tokio::spawn(connection);
    let waiting = "SELECT 1 FROM pg_stat_activity JOIN pg_locks USING (pid) \
                   WHERE application_name = $1 AND locktype = 'advisory' AND NOT granted";
    until("it waits for its turn", async || {
        !client.query(waiting, &[&name]).await.expect("asked").is_empty()
    })
    .await;
    two.signal("STOP");
    let first = first.await.expect("not panicked").expect("gizad answers");
    assert_eq!(Told::of(&first), Told::Succeeded, "{}", first.text);
    let next = buy(&one, "next", "next").await;
    assert_eq!(Told::of(&next), Told::Succeeded, "{}", next.text);
    two.signal("CONT");
    let waited = waits.await.expect("not panicked").expect("gizad answers");
    let told = Told::of(&waited);
    assert!(matches!(told, Told::Succeeded | Told::NotSent), "{}", waited.text);
    assert_eq!(provider.bought("waits").await, usize::from(told == Told::Succeeded));
}

/// A replica whose sessions are gone while it stands still is taken for dead. What it learns when it wakes changes nothing
/// that is known by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_taken_for_dead_comes_back() {
    let name = unique();
    let pair = Pair::over_a_wire(&format!("{}?application_name={name}", server()), &[]).await;
    let hand = pair.wire().arm(Some(Cut { way: Way::Answer, at: 50, act: Act::Hold }));
    let call = tokio::spawn(buying(&pair.one, "back", "back"));
    hand.held.await.expect("it comes there");
    let operation = listed(&pair.two, "back").await[0]["operation_id"].as_str().expect("an id").to_owned();
    pair.one.signal("STOP");
    let (client, connection) =
        tokio_postgres::connect(&server(), tokio_postgres::NoTls).await.expect("a server");
    tokio::spawn(connection);
    let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    assert!(!client.query(sessions, &[&name]).await.expect("killed").is_empty());
    assert_eq!(decided(&pair.two, &operation).await, "FOUND", "by the other");
    hand.rest.send(true).expect("it waits");
    hand.over.await.expect("it ends");
    pair.one.signal("CONT");
    let answer = call.await.expect("not panicked").expect("gizad answers");
    assert_eq!(operation_of(&answer), operation, "{}", answer.text);
    let shown = pair.two.get(&format!("/operations/{operation}")).await.json();
    assert_eq!(shown["state"], "FOUND", "{shown}");
    for gateway in [&pair.one, &pair.two] {
        let again = buy(gateway, "back", "back").await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
    }
    assert_eq!(pair.provider.carried_out().await.len(), 1);
    // It may learn only by this that its name is lost, and then has sent nothing under it.
    let mut after = buy(&pair.one, "after", "after").await;
    if Told::of(&after) == Told::NotSent {
        assert_eq!((after.status, after.reason().as_str()), (503, "LEDGER_UNAVAILABLE"), "{}", after.text);
        assert_eq!(pair.provider.bought("after").await, 0);
        after = buy(&pair.one, "after", "after").await;
    }
    assert_eq!(Told::of(&after), Told::Succeeded, "it goes on under another name: {}", after.text);
    assert_eq!(pair.provider.bought("after").await, 1);
}

/// An answer that comes while it stands still is taken down when it wakes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_to_a_sleeper_is_taken_down() {
    let pair = Pair::open(&[]);
    pair.provider.order(json!({"kind": "delay", "ms": 500, "action": "create_vps"})).await;
    let call = tokio::spawn(buying(&pair.one, "asleep", "asleep"));
    came(&pair.provider, "asleep").await;
    pair.one.signal("STOP");
    until("it is carried out", async || pair.provider.bought("asleep").await == 1).await;
    let state = listed(&pair.two, "asleep").await[0]["state"].clone();
    assert_eq!(state, "SENDING", "nobody else says what became of it");
    pair.one.signal("CONT");
    let answer = call.await.expect("not panicked").expect("gizad answers");
    assert_eq!(Told::of(&answer), Told::Succeeded, "{}", answer.text);
    let again = buy(&pair.two, "asleep", "asleep").await;
    assert_eq!(again.text, answer.text);
    assert_eq!(pair.provider.carried_out().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_over_both() {
    let three = (3 * PRICE + PRICE / 2).to_string();
    let pair = Pair::open(&[("GIZAD_BUDGET_DAY_VND", &three)]);
    let calls = (0..20).map(|n| buying(pair.each(n), &format!("key{n}"), &format!("host{n}"))).collect();
    let mut told = BTreeMap::new();
    for answer in all(calls).await {
        let why = if answer.status < 300 { "bought".to_owned() } else { answer.reason() };
        *told.entry(why).or_insert(0) += 1;
    }
    assert_eq!(told, BTreeMap::from([("BUDGET_EXCEEDED".to_owned(), 17), ("bought".to_owned(), 3)]));
    assert_eq!(pair.provider.carried_out().await.len(), 3);
}
