//! What it costs to be one of several, all in one run: calls and purchases with one gizad of its own, and with one, two and four
//! that share a PostgreSQL. `POSTGRES_FSYNC=on tests/postgres run cargo bench --bench replicas`.
//!
//! Clients, gizads, the sandbox and PostgreSQL share the machine's cores, so that more replicas are not faster here; what is
//! compared is what each call costs.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark measures clocks and talks to a person"
)]

#[path = "purchase/house.rs"]
mod house;
#[path = "../client/limits.rs"]
mod limits;
#[path = "../client/memory.rs"]
mod memory;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use house::{Gateway, Place, Provider, Times, connect};

const ORDER: &str = r#"{"plan_id":26,"hostname":"shop","password":"Passw0rd-of-a-bench","os":"ubuntu-22.04","billing_cycle":"monthly"}"#;
const REPLICAS: [usize; 3] = [1, 2, 4];
const CONNECTIONS: usize = 64;
const SPAN: Duration = Duration::from_secs(4);
/// Purchases come one after the other, however many wait.
const BUYERS: usize = 8;
const PURCHASES: usize = 240;

fn main() {
    let url = std::env::var("TEST_POSTGRES")
        .expect("TEST_POSTGRES names no server: put `tests/postgres run` before the command");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("load of the machine before the run: {}", load.trim());
        println!(
            "{:<22} {:>28} {:>28} {:>34}",
            "", "reads of the account", "reads of the catalog", "purchases"
        );
        println!(
            "{:<22} {:>9} {:>9} {:>8} {:>9} {:>9} {:>8} {:>7} {:>8} {:>8} {:>8}",
            "",
            "calls/s",
            "p99 ms",
            "db/call",
            "calls/s",
            "p99 ms",
            "db/call",
            "each/s",
            "p50 ms",
            "p99 ms",
            "MiB"
        );
        let server = Server::open(&url).await;
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("replicas-{}", std::process::id()));
        let alone = measured("one, SQLite", 1, Place::Folder(&folder), &server).await;
        let _gone = std::fs::remove_dir_all(&folder);
        for replicas in REPLICAS {
            let shared =
                measured(&format!("{replicas}, PostgreSQL"), replicas, Place::Database(&url), &server).await;
            if replicas == 1 {
                println!(
                    "{:<22} a read {:.2} × as many, a catalog hit {:.2} ×, a purchase {:.2} × as long",
                    "  beside one alone:",
                    shared.reads / alone.reads,
                    shared.hits / alone.hits,
                    shared.purchase / alone.purchase
                );
            }
        }
    });
}

/// The hand on the database, to see what it is asked.
struct Server(tokio_postgres::Client);

impl Server {
    async fn open(url: &str) -> Self {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a server");
        tokio::spawn(connection);
        let row =
            client.query_one("SELECT version(), current_setting('fsync')", &[]).await.expect("described");
        println!(
            "{}, fsync {}",
            row.get::<_, String>(0).chars().take(20).collect::<String>(),
            row.get::<_, String>(1)
        );
        Self(client)
    }

    /// How many transactions it has seen.
    async fn transactions(&self) -> f64 {
        // What sessions have done is counted up to a second later.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        self.0.execute("SELECT pg_stat_clear_snapshot()", &[]).await.expect("asked");
        let sum = "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database WHERE datname = current_database()";
        self.0.query_one(sum, &[]).await.expect("asked").get(0)
    }
}

/// What is compared.
struct Measured {
    reads: f64,
    hits: f64,
    /// The time of one, in milliseconds.
    purchase: f64,
}

async fn measured(name: &str, replicas: usize, place: Place<'_>, server: &Server) -> Measured {
    let provider = Provider::start();
    let gateways: Vec<Gateway> = (0..replicas)
        .map(|_| Gateway::start(&provider, place, &[("GIZAD_CACHE_TTL", "5m"), ("GIZAD_AUDIT_FILE", "off")]))
        .collect();
    for gateway in &gateways {
        connect(gateway.api).await.ask("GET", "/catalog/vps-plans", None, "").await;
    }
    let addresses: Vec<SocketAddr> = gateways.iter().map(|gateway| gateway.api).collect();
    let idle = server.transactions().await;
    tokio::time::sleep(SPAN).await;
    let idle = server.transactions().await - idle;
    let (reads, reads_p99, reads_asked) = load(&addresses, "/wallet", server, idle).await;
    let (hits, hits_p99, hits_asked) = load(&addresses, "/catalog/vps-plans", server, idle).await;
    provider.reset().await;
    let (each, bought) = purchases(&addresses).await;
    let ledger = connect(provider.control).await.json("GET", "/ledger").await;
    assert_eq!(ledger.as_array().map(Vec::len), Some(PURCHASES), "each once");
    let memory = gateways.iter().map(Gateway::resident).fold(0.0, f64::max);
    println!(
        "{name:<22} {reads:>9.0} {reads_p99:>9.2} {reads_asked:>8.4} {hits:>9.0} {hits_p99:>9.2} {hits_asked:>8.4} {each:>7.0} {:>8.2} {:>8.2} {memory:>8.1}",
        bought.median(),
        bought.percent(99)
    );
    Measured { reads, hits, purchase: 1000.0 / each }
}

/// Calls a second over all, the time that 99 of 100 were done in, and for how many of them the database was asked, beyond what it
/// is asked when nobody calls.
async fn load(addresses: &[SocketAddr], path: &'static str, server: &Server, idle: f64) -> (f64, f64, f64) {
    let before = server.transactions().await;
    let begun = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .filter_map(|number| addresses.get(number % addresses.len()).copied())
        .map(|address| {
            tokio::spawn(async move {
                let (mut connection, mut times) = (connect(address).await, Vec::new());
                while begun.elapsed() < SPAN {
                    let asked = Instant::now();
                    connection.ask("GET", path, None, "").await;
                    times.push(asked.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.expect("not panicked"));
    }
    let took = begun.elapsed().as_secs_f64();
    let asked = server.transactions().await - before - idle;
    (times.len() as f64 / took, Times::new(&times).percent(99), asked.max(0.0) / times.len() as f64)
}

/// Purchases a second over all, and how long each took with the wait for its turn.
async fn purchases(addresses: &[SocketAddr]) -> (f64, Times) {
    let begun = Instant::now();
    let buyers: Vec<_> = (0..BUYERS)
        .filter_map(|number| addresses.get(number % addresses.len()).copied().zip(Some(number)))
        .map(|(address, number)| {
            tokio::spawn(async move {
                let (mut connection, mut times) = (connect(address).await, Vec::new());
                for purchase in 0..PURCHASES / BUYERS {
                    let key = format!("{number}-{purchase}");
                    let asked = Instant::now();
                    let order = ORDER.replace("shop", &format!("shop-{key}"));
                    connection.ask("POST", "/vps", Some(&key), &order).await;
                    times.push(asked.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for buyer in buyers {
        times.extend(buyer.await.expect("not panicked"));
    }
    (times.len() as f64 / begun.elapsed().as_secs_f64(), Times::new(&times))
}
