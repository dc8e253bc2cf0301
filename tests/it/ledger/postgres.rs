//! What only a server has to promise: several replicas, several accounts, and connections that break.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gizad::database::{Bounds, Server};
use gizad::ledger::{Filter, Postgres, Store as _, Trouble};
use gizad::shared::Shared;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{server, step, step_with, unique};
use crate::market::buy;
use crate::rig::{File, Gateway, PATIENCE, Sandbox, until};

/// The hand on the server, past the store.
async fn hand(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
    tokio::spawn(connection);
    client
}

/// A store whose sessions can be told from others', and their common name.
async fn named(account: &str) -> (Postgres, String) {
    let name = unique();
    let url = format!("{}?application_name={name}", server());
    (Postgres::connect(&url, account).await.expect("a ledger"), name)
}

/// Ends all sessions of a name, and waits until they have ended.
async fn kill(name: &str) {
    let client = hand(&server()).await;
    let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    assert!(!client.query(sessions, &[&name]).await.expect("killed").is_empty());
    until("they have ended", async || client.query(sessions, &[&name]).await.expect("asked").is_empty())
        .await;
}

async fn append(store: &Postgres, seq: i64) -> Result<(), Trouble> {
    let (entry, row) = step(seq, &format!("operation-{seq}"));
    store.append(&entry, &row).await
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let one = Postgres::connect(&server(), &unique()).await.expect("a ledger");
    let two = Postgres::connect(&server(), &unique()).await.expect("a ledger");
    for store in [&one, &two] {
        let (entry, row) = step_with(1, "the same", |row| {
            row.key = Some("key".into());
            row.sending = true;
        });
        store.append(&entry, &row).await.expect("a place, a key and a sending of its own");
        store.set_note("name", b"value", None).await.expect("a note of its own");
    }
    append(&one, 2).await.expect("appended");
    assert_eq!(two.list(&Filter::default()).await.expect("read").len(), 1);
    assert_eq!(two.head().await.expect("read").expect("there").0, 1);
    assert_eq!(two.history("operation-2").await, Ok(vec![]));
    assert_eq!(two.by_id("operation-2").await, Ok(None));
}

#[tokio::test]
async fn replicas_share_one_ledger_and_one_gets_a_place() {
    let account = unique();
    let mut replicas = Vec::new();
    for _ in 0..8 {
        replicas.push(Arc::new(Postgres::connect(&server(), &account).await.expect("a ledger")));
    }
    for seq in 1..=5 {
        let tries: Vec<_> = replicas
            .iter()
            .enumerate()
            .map(|(at, store)| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    let (entry, row) = step(seq, &format!("{seq}-{at}"));
                    store.append(&entry, &row).await
                })
            })
            .collect();
        let mut won = 0;
        for attempt in tries {
            match attempt.await.expect("not panicked") {
                Ok(()) => won += 1,
                Err(trouble) => assert_eq!(trouble, Trouble::Taken),
            }
        }
        assert_eq!(won, 1);
    }
    for store in &replicas {
        assert_eq!(store.entries(0, 100).await.expect("read").len(), 5);
    }
}

#[tokio::test]
async fn a_writer_is_alive_until_its_session_ends() {
    let account = unique();
    let (one, name) = named(&account).await;
    let two = Postgres::connect(&server(), &account).await.expect("a ledger");
    let first = one.writer().to_owned();
    assert_ne!(first, two.writer());
    assert_eq!(two.is_alive(&first).await, Ok(true));
    assert_eq!(two.is_alive(two.writer()).await, Ok(true));

    kill(&name).await;
    assert_eq!(two.is_alive(&first).await, Ok(false), "its sessions were killed");
    // What it was about to send under its old name, it does not.
    until("it reads again", async || one.head().await.is_ok()).await;
    let (entry, row) = step_with(1, "one", |row| {
        row.sending = true;
        row.owner = first.clone();
    });
    let refused = timeout(PATIENCE, async {
        loop {
            match one.append(&entry, &row).await {
                Err(Trouble::Failed(told)) if told.contains("nothing was written") => break told,
                Err(Trouble::Failed(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert!(refused.await.expect("in time").contains(&first));
    let second = one.writer().to_owned();
    assert_ne!(first, second, "a name is not used again");
    assert_eq!(two.is_alive(&first).await, Ok(false));
    assert_eq!(two.is_alive(&second).await, Ok(true));
    let (entry, row) = step_with(1, "one", |row| {
        row.sending = true;
        row.owner = second.clone();
    });
    one.append(&entry, &row).await.expect("under the new name");

    drop(one);
    until("it is dead", async || two.is_alive(&second).await == Ok(false)).await;
}

#[tokio::test]
async fn a_lost_connection_is_a_failure_and_the_next_use_works() {
    let (store, name) = named(&unique()).await;
    append(&store, 1).await.expect("appended");
    kill(&name).await;
    // The loss may be known before the next use, or be found by it; never is anything tried twice.
    for _ in 0..2 {
        if let Err(trouble) = store.head().await {
            assert!(matches!(trouble, Trouble::Failed(_)), "{trouble:?}");
        }
    }
    assert_eq!(store.head().await.expect("read").expect("there").0, 1);
    let again = append(&store, 2).await;
    assert!(matches!(again, Ok(()) | Err(Trouble::Failed(_))), "{again:?}");
    if again.is_err() {
        append(&store, 2).await.expect("not poisoned");
    }
    assert_eq!(store.entries(0, 10).await.expect("read").len(), 2);
}

#[tokio::test]
async fn an_append_that_breaks_in_the_middle_is_a_failure() {
    let account = unique();
    let (store, name) = named(&account).await;
    append(&store, 1).await.expect("appended");
    // Somebody holds the table, so that the append waits in its transaction.
    let mut client = hand(&server()).await;
    let held = client.transaction().await.expect("a transaction");
    let hold = "INSERT INTO entries VALUES ($1, 2, 0, 'x', '', '')";
    held.execute(hold, &[&account]).await.expect("held");
    let (entry, row) = step(2, "broken");
    let broken = async { store.append(&entry, &row).await };
    let killed = async {
        let watch = hand(&server()).await;
        let waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
        until("it waits", async || !watch.query(waits, &[&name]).await.expect("asked").is_empty()).await;
        kill(&name).await;
    };
    let (broken, ()) = tokio::join!(broken, killed);
    assert!(matches!(broken, Err(Trouble::Failed(_))), "{broken:?}");
    held.rollback().await.expect("let go");
    until("it reads again", async || store.head().await.is_ok()).await;
    assert_eq!(store.head().await.expect("read").expect("there").0, 1, "nothing was written");
    store.append(&entry, &row).await.expect("not poisoned");
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_leaves_the_name_alive() {
    let account = unique();
    let store = Postgres::connect(&server(), &account).await.expect("a ledger");
    let name = store.writer().to_owned();
    let mut client = hand(&server()).await;
    let held = client.transaction().await.expect("a transaction");
    held.execute("INSERT INTO entries VALUES ($1, 1, 0, 'x', '', '')", &[&account]).await.expect("held");
    assert!(timeout(Duration::from_millis(100), append(&store, 1)).await.is_err(), "it waits");
    held.rollback().await.expect("let go");
    append(&store, 1).await.expect("the transaction was taken back");
    assert_eq!(store.writer(), name);
}

#[tokio::test]
async fn turns_exclude() {
    let account = unique();
    let one = Postgres::connect(&server(), &account).await.expect("a ledger");
    let two = Postgres::connect(&server(), &account).await.expect("a ledger");
    let other = Postgres::connect(&server(), &unique()).await.expect("a ledger");
    let turn = one.turn().await.expect("a turn");
    let mut waiting = two.turn();
    assert!(timeout(Duration::from_millis(200), &mut waiting).await.is_err(), "the other has it");
    drop(other.turn().await.expect("another account's turn"));
    drop(turn);
    let turn = timeout(PATIENCE, waiting).await.expect("in time").expect("a turn");

    // Who stops waiting does not get it later and keep it.
    assert!(timeout(Duration::from_millis(50), one.turn()).await.is_err());
    drop(turn);
    drop(timeout(PATIENCE, one.turn()).await.expect("in time").expect("a turn"));
}

/// The URL of a database that nothing was ever in.
async fn database() -> String {
    let database = format!("fresh_{}", unique().replace('-', "_"));
    let client = hand(&server()).await;
    client.batch_execute(&format!("CREATE DATABASE {database}")).await.expect("made");
    let server = server();
    let (host, _) = server.rsplit_once('/').expect("a URL");
    format!("{host}/{database}")
}

#[tokio::test]
async fn whoever_comes_first_makes_the_tables_and_nobody_else() {
    let url = database().await;
    let replicas: Vec<_> = (0..8)
        .map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let server = trusting(&url, &[]);
                let ledger = Postgres::open(server.clone(), "account").await.expect("a ledger");
                let most = NonZeroU32::new(8).expect("above zero");
                let shared =
                    Shared::open(server, "account", &format!("machine{number}"), most).await.expect("shared");
                (ledger, shared)
            })
        })
        .collect();
    let mut names = HashSet::new();
    for replica in replicas {
        let (_ledger, shared) = replica.await.expect("not panicked");
        names.insert(shared.name().to_owned());
    }
    assert_eq!(names.len(), 8, "{names:?}");
    let inside = hand(&url).await;
    for versions in ["schema_version", "shared_version"] {
        let made = inside.query_one(&format!("SELECT COUNT(*) FROM {versions}"), &[]).await.expect("asked");
        assert_eq!(made.get::<_, i64>(0), 1, "{versions}");
    }
}

/// Replicas are replaced one by one: while a newer one is there already, the older ones go on, and can be started again.
#[tokio::test]
async fn with_the_tables_of_the_next_version_the_one_before_goes_on() {
    let url = database().await;
    let provider = Sandbox::start();
    let start = || Gateway::beside(&provider, &[("GIZAD_SHARED_URL", url.as_str())]);
    let before = start();
    assert_eq!(buy(&before, "before", "before").await.status, 201);
    let inside = hand(&url).await;
    inside.batch_execute(super::NEXT).await.expect("migrated");
    inside
        .batch_execute(
            "ALTER TABLE replicas ADD COLUMN further BIGINT; INSERT INTO shared_version VALUES (2, 0)",
        )
        .await
        .expect("migrated");
    for gateway in [&before, &start()] {
        let key = format!("next-{}", gateway.id());
        let bought = buy(gateway, &key, &key).await;
        assert_eq!(bought.status, 201, "{}", bought.text);
        assert_eq!(buy(gateway, "before", "before").await.header("idempotent-replayed"), "true");
    }
    assert_eq!(before.executions().await, 3);
}

#[tokio::test]
async fn what_a_newer_one_wrote_is_refused() {
    let url = database().await;
    drop(Postgres::connect(&url, "account").await.expect("a ledger"));
    let inside = hand(&url).await;
    inside.batch_execute("INSERT INTO schema_version VALUES (99, 0)").await.expect("meddled");
    let Err(Trouble::Unfit(told)) = Postgres::connect(&url, "account").await else {
        panic!("a newer schema")
    };
    assert!(told.contains("schema 99") && told.contains("knows 1") && told.contains("newer"), "{told}");
}

#[tokio::test]
async fn what_is_damaged_is_refused() {
    let account = unique();
    let store = Postgres::connect(&server(), &account).await.expect("a ledger");
    for seq in 1..=3 {
        append(&store, seq).await.expect("appended");
    }
    let client = hand(&server()).await;
    for table in ["operations", "entries"] {
        client
            .execute(&format!("DELETE FROM {table} WHERE account = $1 AND seq = 3"), &[&account])
            .await
            .unwrap();
    }
    let Err(Trouble::Unfit(told)) = Postgres::connect(&server(), &account).await else { panic!("damaged") };
    assert!(told.contains("damaged"), "{told}");
}

/// A server takes over that has not the last of what another had on its disk.
#[tokio::test]
async fn what_was_there_and_is_not_any_more_is_noticed() {
    let account = unique();
    let (store, name) = named(&account).await;
    for seq in 1..=3 {
        append(&store, seq).await.expect("appended");
    }
    let client = hand(&server()).await;
    let lose = async |table: &str| {
        let lost = format!("DELETE FROM {table} WHERE account = $1 AND seq = 3");
        client.execute(&lost, &[&account]).await.expect("lost");
    };
    lose("operations").await;
    lose("entries").await;
    kill(&name).await;
    let is_lost = |done: Result<(), Trouble>| matches!(&done, Err(Trouble::Unfit(told)) if told.contains("lost entries: 3"));
    until("it reads again", async || !matches!(store.head().await, Err(Trouble::Failed(_)))).await;
    assert!(is_lost(store.head().await.map(drop)), "whoever looks where it ends");
    for _ in 0..2 {
        assert!(is_lost(append(&store, 3).await), "and whoever writes, however often");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_without_the_password() {
    let unreachable = Postgres::connect("postgres://u:canary-77@127.0.0.1:1/d", "a").await;
    let Err(Trouble::Failed(told)) = unreachable else { panic!("{unreachable:?}") };
    assert!(told.contains("refused") && !told.contains("canary"), "{told}");
    let unreadable = Postgres::connect("postgres://u:canary-77@127.0.0.1/d?sslmode=perhaps", "a").await;
    let Err(Trouble::Unfit(told)) = unreadable else { panic!("{unreadable:?}") };
    assert!(told.contains("sslmode") && !told.contains("canary"), "{told}");
    let plain = Postgres::connect("postgres://u@db.example.com/d?sslmode=disable", "a").await;
    assert!(matches!(plain, Err(Trouble::Unfit(_))), "{plain:?}");
}

/// A server that is believed by further authorities.
fn trusting(url: &str, authorities: &[CertificateDer<'static>]) -> Arc<Server> {
    Arc::new(Server::new(url, authorities, Bounds::default()).expect("a server"))
}

#[tokio::test]
async fn it_is_spoken_to_over_tls_with_an_authority_of_ones_own() {
    let (chain, key, authority, written) = certificate();
    let client = hand(&server()).await;
    // The server writes the files itself, where it keeps its own.
    for (name, text) in [("tls.crt", chain), ("tls.key", key)] {
        let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", text.trim());
        let copy = format!("COPY ({lines}) TO PROGRAM 'umask 077 && cat > {name}'");
        client.batch_execute(&copy).await.expect("written");
    }
    for setting in ["ssl_cert_file = 'tls.crt'", "ssl_key_file = 'tls.key'", "ssl = on"] {
        client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.expect("set");
    }
    client.batch_execute("SELECT pg_reload_conf()").await.expect("reloaded");
    until("TLS is on", async || {
        let ssl = hand(&server()).await.query_one("SHOW ssl", &[]).await.expect("shown");
        ssl.get::<_, String>(0) == "on"
    })
    .await;

    let name = unique();
    let url = format!("{}?sslmode=require&application_name={name}", server());
    let store = Postgres::open(trusting(&url, &[authority]), &unique()).await.expect("a ledger");
    append(&store, 1).await.expect("appended");
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = $1";
    assert!(client.query_one(encrypted, &[&name]).await.expect("asked").get::<_, bool>(0));

    let Err(Trouble::Failed(told)) = Postgres::connect(&url, &unique()).await else {
        panic!("unknown authority")
    };
    assert!(told.contains("certificate"), "{told}");

    // So it is for whoever says in the settings whom to believe, too.
    let authority = File::new("authority", &written);
    let settings = [("GIZAD_SHARED_URL", url.as_str()), ("GIZAD_SHARED_CA_FILE", authority.path())];
    let bought = buy(&Gateway::sandbox_with(&settings), "tls", "tls").await;
    assert_eq!(bought.status, 201, "{bought:?}");
    let refused = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["ledger", "list", "--sandbox"])
        .env("GIZAD_SHARED_URL", &url)
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("certificate"), "{told}");
}

/// A certificate for this machine and its key as PEM, and the authority that signed it, as it is and as PEM.
fn certificate() -> (String, String, CertificateDer<'static>, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned()];
    let own = CertificateParams::new(names).expect("a name").signed_by(&key, &authority).expect("signed");
    (own.pem(), key.serialize_pem(), authority.der().clone(), authority.pem())
}
