//! What it costs that a purchase is written down first, all in one run: a purchase through gizad beside the bare call,
//! what a known key is answered in, and a ledger as it is after years. `cargo bench --bench purchase`; with
//! `tests/postgres run` before it PostgreSQL is measured as well, and with `POSTGRES_FSYNC=on` before that one that waits
//! for its disk.
//!
//! The sandbox is a process of its own and answers at once, so what is printed is what gizad adds to a provider's time.
//! `PURCHASE_BENCH_OPERATIONS` sets the length of the long ledger.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark measures clocks and talks to a person"
)]

#[path = "purchase/bulk.rs"]
mod bulk;
#[path = "purchase/house.rs"]
mod house;
#[path = "../client/limits.rs"]
mod limits;
#[path = "../client/memory.rs"]
mod memory;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gizad::ledger::Wrap;
use serde_json::Value;

use house::{Gateway, Place, Provider, SECRET, Times, connect, settled};
use memory::memory;

const ORDER: &str = r#"{"plan_id":26,"hostname":"shop","password":"Passw0rd-of-a-bench","os":"ubuntu-22.04","billing_cycle":"monthly"}"#;
const PURCHASES: usize = 500;
/// The first and the last of them are told apart: the account grows.
const SOME: usize = 100;
const CONNECTIONS: usize = 64;
const SPAN: Duration = Duration::from_secs(4);
const LOOKUPS: u64 = 5000;
const STARTS: usize = 5;
/// Names the length of the long ledger, and what it is without.
const LENGTH: (&str, u64) = ("PURCHASE_BENCH_OPERATIONS", 1_000_000);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let provider = Provider::start();
        let postgres = std::env::var("TEST_POSTGRES").ok();
        let young = Folder::new("young");
        let mut stores = vec![("SQLite", Place::Folder(&young.0))];
        match &postgres {
            Some(url) => {
                println!("PostgreSQL {}", described(url).await);
                stores.push(("PostgreSQL", Place::Database(url)));
            }
            None => println!("PostgreSQL was not measured: TEST_POSTGRES names no server"),
        }
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("load of the machine before the run: {}", load.trim());
        purchases(&provider, &stores, &young.0).await;
        for (name, place) in &stores {
            replays(&provider, name, *place).await;
        }
        long(&provider).await;
    });
}

/// A folder on the disk that the build is on, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("purchase-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// Where the ledger of the one account in it is.
    fn ledger(&self) -> PathBuf {
        let account = std::fs::read_dir(&self.0).expect("a folder").next().expect("an account");
        account.expect("a folder").path().join("ledger")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// The version of a server, and whether it waits for its disk.
async fn described(url: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a server");
    tokio::spawn(connection);
    let mut told = Vec::new();
    for name in ["server_version", "fsync", "synchronous_commit"] {
        let row = client.query_one(&format!("SHOW {name}"), &[]).await.expect("a setting");
        told.push(row.get::<_, String>(0));
    }
    let [version, fsync, commit] = told.try_into().expect("three");
    format!("{version}: fsync {fsync}, synchronous_commit {commit}")
}

/// One purchase after the other, beside the bare call.
async fn purchases(provider: &Provider, stores: &[(&str, Place<'_>)], folder: &Path) {
    println!(
        "\n{PURCHASES} purchases one after the other over one connection, a key each         median        p99"
    );
    let show = |name: &str, times: &Times, bare: Option<f64>| {
        let (median, p99) = (times.median(), times.percent(99));
        let ratio = bare.map_or(String::new(), |bare| format!("  {:.1} × the bare call", median / bare));
        println!("{name:<70} {median:>6.2} ms  {p99:>6.2} ms{ratio}");
    };
    let sent = sent(provider, stores).await;
    let (bare, whole) =
        (straight(provider, sent.last().into_iter()).await, straight(provider, sent.iter()).await);
    show("create_vps straight to the provider (the bare call)", &bare, None);
    show(
        &format!("all {} calls of a purchase straight, one after the other", sent.len()),
        &whole,
        Some(bare.median()),
    );
    show("a page appended to a file and synced (fdatasync), for comparison", &disk(folder), None);
    for (name, place) in stores {
        provider.reset().await;
        let gateway = Gateway::start(provider, *place, &[]);
        let times = buy(&gateway, name, PURCHASES).await;
        let (first, last) =
            (times.get(..SOME).unwrap_or_default(), times.get(PURCHASES - SOME..).unwrap_or_default());
        show(&format!("POST /vps, ledger in {name}"), &Times::new(&times), Some(bare.median()));
        show(
            &format!("  the first {SOME}, the account has 2 servers and more"),
            &Times::new(first),
            Some(bare.median()),
        );
        show(
            &format!("  the last {SOME}, the account has {} and more", 2 + PURCHASES - SOME),
            &Times::new(last),
            Some(bare.median()),
        );
    }
    let actions: Vec<String> = sent.iter().map(|call| call.action.clone()).collect();
    println!("a purchase makes {} calls to the provider: {}", sent.len(), actions.join(", "));
    for (name, place) in stores {
        written(provider, name, *place).await;
    }
}

/// What the provider was sent.
struct Sent {
    method: String,
    target: String,
    body: String,
    action: String,
}

/// The calls that one purchase makes, the purchase itself last.
async fn sent(provider: &Provider, stores: &[(&str, Place<'_>)]) -> Vec<Sent> {
    let (_, place) = stores.first().expect("a store");
    let gateway = Gateway::start(provider, *place, &[]);
    buy(&gateway, "warm", 3).await;
    let mut control = connect(provider.control).await;
    control.ask("DELETE", "/requests", None, "").await;
    buy(&gateway, "counted", 1).await;
    let seen = control.json("GET", "/requests").await;
    let seen = seen.as_array().expect("a list").iter().map(|call| {
        let text = |name: &str| call.get(name).and_then(Value::as_str).expect("text").to_owned();
        let (target, body) = (text("target"), text("body"));
        let named = serde_json::from_str::<Value>(&body).ok();
        let named = named.as_ref().and_then(|body| body.get("action")?.as_str());
        let action = named.or_else(|| target.rsplit("action=").next()).unwrap_or_default().to_owned();
        Sent { method: text("method"), target, body, action }
    });
    seen.collect()
}

/// The same calls without gizad, on an account that grows as much.
async fn straight<'a>(provider: &Provider, calls: impl Iterator<Item = &'a Sent> + Clone) -> Times {
    provider.reset().await;
    let mut connection = connect(provider.api).await;
    let mut times = Vec::new();
    for _ in 0..PURCHASES {
        let begun = Instant::now();
        for call in calls.clone() {
            connection.ask(&call.method, &call.target, None, &call.body).await;
        }
        times.push(begun.elapsed());
    }
    Times::new(&times)
}

async fn buy(gateway: &Gateway, name: &str, count: usize) -> Vec<Duration> {
    let mut connection = connect(gateway.api).await;
    let mut times = Vec::new();
    for number in 0..count {
        let key = format!("{name}-{}-{number}", gateway.pid());
        let begun = Instant::now();
        connection.ask("POST", "/vps", Some(&key), ORDER).await;
        times.push(begun.elapsed());
    }
    times
}

fn disk(folder: &Path) -> Times {
    let mut file = std::fs::File::create(folder.join("probe")).expect("a file");
    let times: Vec<Duration> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("written");
            begun.elapsed()
        })
        .collect();
    std::fs::remove_file(folder.join("probe")).expect("removed");
    Times::new(&times)
}

/// How often a purchase is written to the disk: the entries of one, and the syncs of gizad's own if `strace` is there.
async fn written(provider: &Provider, name: &str, place: Place<'_>) {
    let gateway = Gateway::start(provider, place, &[]);
    buy(&gateway, "warm", 3).await;
    let mut connection = connect(gateway.api).await;
    let listed = connection.json("GET", "/operations?page_size=1").await;
    let id = listed.pointer("/operations/0/operation_id").and_then(Value::as_str).expect("an operation");
    let shown = connection.json("GET", &format!("/operations/{id}")).await;
    let entries = shown.get("history").and_then(Value::as_array).map_or(0, Vec::len);
    let syncs = match place {
        Place::Folder(folder) => syncs(&gateway, &folder.join("syncs")).await,
        Place::Database(_) => "the syncs are the server's".to_owned(),
    };
    println!("a purchase is {entries} entries in {name}, each in a transaction of its own; {syncs}");
}

async fn syncs(gateway: &Gateway, file: &Path) -> String {
    const COUNTED: usize = 20;
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-p", &gateway.pid().to_string(), "-o"])
        .arg(file);
    let Ok(mut strace) = strace.stderr(Stdio::null()).spawn() else {
        return "the syncs were not counted (strace is not installed)".to_owned();
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    buy(gateway, "traced", COUNTED).await;
    let id = strace.id().to_string();
    // It lets go of the process only if it is asked to.
    let _asked = Command::new("kill").args(["-INT", &id]).status();
    let _ended = strace.wait();
    let traced = std::fs::read_to_string(file).unwrap_or_default();
    let _gone = std::fs::remove_file(file);
    let count = traced.lines().filter(|line| line.contains("sync(")).count();
    format!("{:.1} fsync or fdatasync (of {COUNTED} purchases)", count as f64 / COUNTED as f64)
}

/// Known keys, asked again.
async fn replays(provider: &Provider, name: &str, place: Place<'_>) {
    provider.reset().await;
    let gateway = Gateway::start(provider, place, &[]);
    let keys: Vec<String> =
        (0..CONNECTIONS).map(|number| format!("known-{}-{number}", gateway.pid())).collect();
    let mut connection = connect(gateway.api).await;
    for key in &keys {
        connection.ask("POST", "/vps", Some(key), ORDER).await;
    }
    let one = again(&gateway, &vec![keys.first().expect("a key").clone(); CONNECTIONS]).await;
    let each = again(&gateway, &keys).await;
    println!(
        "\nknown keys asked again, ledger in {name}, {CONNECTIONS} connections, {} s each",
        SPAN.as_secs()
    );
    println!("one key for all (what comes at once is looked up once)         {one:>7.0}/s");
    println!("a key for each connection                                      {each:>7.0}/s");
}

async fn again(gateway: &Gateway, keys: &[String]) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for key in keys {
        let (key, done, address) = (key.clone(), done.clone(), gateway.api);
        tasks.push(tokio::spawn(async move {
            let mut connection = connect(address).await;
            while begun.elapsed() < SPAN {
                connection.ask("POST", "/vps", Some(&key), ORDER).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for task in tasks {
        task.await.expect("no failure");
    }
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// A ledger as it is after years.
async fn long(provider: &Provider) {
    let count =
        std::env::var(LENGTH.0).map_or(LENGTH.1, |text| text.parse().expect("a number of operations"));
    provider.reset().await;
    let folder = Folder::new("long");
    let place = Place::Folder(&folder.0);
    let empty = started(provider, place).await;
    // What is copied: one purchase of a young account.
    let gateway = Gateway::start(provider, place, &[]);
    buy(&gateway, "first", 1).await;
    let small = gateway.resident();
    drop(gateway);
    let begun = Instant::now();
    bulk::grow(&folder.ledger(), &Wrap::from_secret(SECRET.as_bytes()).expect("a key"), count).await;
    let made = begun.elapsed();
    let size = std::fs::metadata(folder.ledger().join("ledger.db")).expect("a file").len();
    println!(
        "\n{count} operations of a year in the ledger (SQLite, {:.0} MiB, {} bytes each; made in {:.0} s)",
        size as f64 / 1_048_576.0,
        size / count,
        made.as_secs_f64()
    );
    let full = started(provider, place).await;
    println!(
        "start to first answered request          {:>9.1} ms, with an empty ledger {:.1} ms (medians of {STARTS})",
        full.median(),
        empty.median()
    );
    let gateway = Gateway::start(provider, place, &[]);
    connect(gateway.api).await.ask("GET", "/wallet", None, "").await;
    println!(
        "memory after the start (RSS)             {:>9.1} MiB, with one operation {small:.1} MiB",
        gateway.resident()
    );
    let lookups = lookups(&gateway, count).await;
    println!(
        "a known key asked again (of {LOOKUPS})         {:>9.2} ms median, {:.2} ms p99",
        lookups.median(),
        lookups.percent(99)
    );
    let bought = Times::new(&buy(&gateway, "late", SOME).await);
    println!(
        "a purchase                               {:>9.2} ms median, {:.2} ms p99",
        bought.median(),
        bought.percent(99)
    );
    drop(gateway);
    let budget = [("GIZAD_BUDGET_DAY_VND", "1000000000000"), ("GIZAD_BUDGET_MONTH_VND", "1000000000000000")];
    let gateway = Gateway::start(provider, place, &budget);
    let bought = Times::new(&buy(&gateway, "budget", SOME).await);
    println!(
        "a purchase within budgets                {:>9.2} ms median, {:.2} ms p99",
        bought.median(),
        bought.percent(99)
    );
    drop(gateway);
    verify(provider, place).await;
}

/// From the start of a process to the end of its first answer.
async fn started(provider: &Provider, place: Place<'_>) -> Times {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let gateway = Gateway::start(provider, place, &[]);
        connect(gateway.api).await.ask("GET", "/wallet", None, "").await;
        times.push(begun.elapsed());
    }
    Times::new(&times)
}

/// Known keys from all over the ledger, one after the other.
async fn lookups(gateway: &Gateway, count: u64) -> Times {
    let mut connection = connect(gateway.api).await;
    let mut times = Vec::new();
    for number in 0..LOOKUPS {
        let key = bulk::key(bulk::scattered(number) % count);
        let begun = Instant::now();
        connection.ask("POST", "/vps", Some(&key), ORDER).await;
        times.push(begun.elapsed());
    }
    Times::new(&times)
}

async fn verify(provider: &Provider, place: Place<'_>) {
    let begun = Instant::now();
    let mut command = settled(provider, place);
    let mut child = command.args(["ledger", "verify"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut most: f64 = 0.0;
    while child.try_wait().expect("a child").is_none() {
        most = most.max(memory(child.id(), "VmHWM"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let time = begun.elapsed().as_secs_f64();
    let output = child.wait_with_output().expect("an end");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    let entries: f64 = told.split(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    println!(
        "gizad ledger verify                      {time:>9.1} s for {entries} entries, {:.0} a second; memory at most {most:.0} MiB",
        entries / time
    );
}
