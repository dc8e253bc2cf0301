//! The ledger as it is read at the command line, written by a running gizad; and what is found when it was meddled with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use gizad::ledger::{Ledger, Sqlite, Wrap};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::ledger::{Folder, server};
use super::rig::{Answer, File, Gateway};

const PASSWORD: &str = "Passw0rd-canary-71";

/// A port that is free, as far as anybody knows.
pub fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// A sandbox whose ledger stays.
struct Shop {
    folder: Folder,
    listen: String,
    gateway: Gateway,
}

impl Shop {
    fn open() -> Self {
        let (folder, listen) = (Folder::new(), format!("127.0.0.1:{}", port()));
        std::fs::create_dir_all(folder.path()).expect("a folder");
        let gateway = Gateway::sandbox_with(&[
            ("GIZAD_LEDGER_DIR", folder.path().to_str().expect("text")),
            ("GIZAD_SANDBOX_LISTEN", &listen),
            ("GIZAD_PURCHASE_LOOK_EVERY", "1h"),
        ]);
        Self { folder, listen, gateway }
    }

    async fn buy(&self, key: &str) -> Answer {
        let order = json!({"plan_id": 26, "hostname": key.trim_matches('-'), "password": PASSWORD, "os": "ubuntu-22.04", "billing_cycle": "monthly"});
        let body = Some(("application/json", order.to_string().into_bytes()));
        self.gateway.send("POST", "/vps", body, &[("idempotency-key", key)]).await
    }

    /// Asks the ledger.
    fn ask(&self, arguments: &[&str]) -> Output {
        ask(self.folder.path(), &self.listen, arguments)
    }

    fn told(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        let (told, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {told}{said}");
        assert!(!told.contains("canary"), "{told}");
        told
    }

    /// The folder with the file in it.
    fn place(&self) -> PathBuf {
        let mut accounts = std::fs::read_dir(self.folder.path()).expect("a folder");
        accounts.next().expect("an account").expect("readable").path().join("ledger")
    }
}

fn ask(folder: &Path, listen: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["ledger", "--sandbox"])
        .args(arguments)
        .env("GIZAD_LEDGER_DIR", folder)
        .env("GIZAD_SANDBOX_LISTEN", listen)
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn id(answer: &Answer) -> String {
    answer.header("location").trim_start_matches("/operations/").to_owned()
}

#[tokio::test]
async fn a_person_reads_the_ledger_while_it_is_written() {
    let shop = Shop::open();
    let first = shop.buy("-first").await;
    assert_eq!(first.status, 201, "{}", first.text);
    let refused = shop.gateway.order(json!({"kind": "answer", "body": "{\"success\":false,\"message\":\"hết hàng\"}", "action": "create_vps"}));
    refused.await;
    let second = shop.buy("second").await;
    let (first, second) = (id(&first), id(&second));

    let list = shop.told(&["list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("ID "), "{list}");
    assert!(lines[1].starts_with(&second) && lines[2].starts_with(&first), "the newest first: {list}");
    for expected in ["SUCCEEDED", "VpsService.CreateVps", "anonymous", "149000", "-first"] {
        assert!(lines[2].contains(expected), "{expected} in {list}");
    }
    for (filter, found) in [
        (&["--state", "succeeded"][..], &first[..]),
        (&["--key", "second"], &second),
        (&["--key=-first"], &first),
    ] {
        let listed: Value =
            serde_json::from_str(&shop.told(&[&["list", "--json"], filter].concat())).expect("JSON");
        let ids: Vec<&str> =
            listed.as_array().expect("a list").iter().filter_map(|o| o["id"].as_str()).collect();
        assert_eq!(ids, [found], "{filter:?}");
    }
    assert_eq!(shop.told(&["list", "--json", "--caller", "somebody"]), "[]\n");
    assert_eq!(shop.told(&["list", "--json", "--since", "2999-01-01T00:00:00Z"]), "[]\n");
    assert_eq!(shop.told(&["list", "--since", "1h"]).lines().count(), 3);
    for wrong in
        [&["list", "--state", "LOST"][..], &["list", "--since", "soon"], &["export", "--format", "xml"]]
    {
        assert_eq!(shop.ask(wrong).status.code(), Some(64), "{wrong:?}");
    }

    let shown = shop.told(&["show", &first]);
    for expected in [
        "state           SUCCEEDED",
        "posted          149000 đ",
        "request         sealed,",
        "SENDING attempt 1",
        "seen before",
    ] {
        assert!(shown.contains(expected), "{expected:?} in {shown}");
    }
    let nobody = shop.ask(&["show", "op_none"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("there is no operation op_none"), "{nobody:?}");

    let csv = shop.told(&["export", "--format", "csv"]);
    let rows: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(
        rows[0],
        "id,created,updated,caller,key,method,state,attempts,price_vnd,held_vnd,posted_vnd,services"
    );
    assert!(rows[1].starts_with(&first) && rows[1].contains(",'-first,"), "{csv}");
    assert!(rows[2].starts_with(&second), "the oldest first: {csv}");
    let json: Value = serde_json::from_str(&shop.told(&["export", "--format", "json"])).expect("JSON");
    assert_eq!(
        (&json[0]["id"], &json[0]["posted_vnd"], &json[0]["key"]),
        (&json!(first), &json!(149_000), &json!("-first"))
    );

    let sound = shop.told(&["verify"]);
    assert!(sound.contains(" entries checked\n") && sound.ends_with("the ledger is sound\n"), "{sound}");
    let after = shop.gateway.get(&format!("/operations/{first}")).await;
    assert_eq!(after.json()["state"], "SUCCEEDED", "reading has changed nothing");
}

#[tokio::test]
async fn verify_is_right_about_a_ledger_that_grows_meanwhile() {
    let shop = Shop::open();
    shop.buy("one").await;
    let buying = async {
        for number in 0..20 {
            shop.buy(&format!("k{number}")).await;
        }
    };
    let (folder, listen) = (shop.folder.path().to_owned(), shop.listen.clone());
    let asking = tokio::task::spawn_blocking(move || {
        (0..10)
            .map(|_| ask(&folder, &listen, &["verify"]))
            .filter(|output| !output.status.success())
            .collect::<Vec<_>>()
    });
    let ((), wrong) = tokio::join!(buying, asking);
    assert!(wrong.as_ref().expect("asked").is_empty(), "{wrong:?}");
}

#[test]
fn a_ledger_that_is_not_there_is_said_so() {
    let fleeting = Command::new(env!("CARGO_BIN_EXE_gizad")).args(["ledger", "list", "--sandbox"]).output();
    let fleeting = fleeting.expect("it runs");
    assert_eq!(fleeting.status.code(), Some(1));
    assert!(text(&fleeting.stderr).contains("nothing to read: the sandbox's ledger is gone"), "{fleeting:?}");

    let folder = Folder::new();
    let on_any_port = ask(folder.path(), "127.0.0.1:0", &["list"]);
    assert!(text(&on_any_port.stderr).contains("sandbox.listen leaves the port open"), "{on_any_port:?}");
    let none = ask(folder.path(), "127.0.0.1:9", &["verify"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("there is no ledger at"), "{none:?}");
    assert!(!folder.path().exists(), "reading makes no folder");
}

#[tokio::test]
async fn it_is_read_from_postgres_as_well() {
    let (listen, url) = (format!("127.0.0.1:{}", port()), server());
    let environment = [("GIZAD_SHARED_URL", url.as_str()), ("GIZAD_SANDBOX_LISTEN", &listen)];
    let gateway = Gateway::sandbox_with(&environment);
    let order = json!({"plan_id": 26, "hostname": "a", "password": PASSWORD, "os": "ubuntu-22.04", "billing_cycle": "monthly"});
    let body = Some(("application/json", order.to_string().into_bytes()));
    let bought = id(&gateway.send("POST", "/vps", body, &[("idempotency-key", "k")]).await);
    for (question, told) in [
        (&["list"][..], bought.as_str()),
        (&["show", &bought], "state           SUCCEEDED"),
        (&["export", "--format", "csv"], ",anonymous,k,VpsService.CreateVps,SUCCEEDED,1,149000,0,149000,"),
        (&["verify"], "the ledger is sound"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
        let output =
            command.args(["ledger", "--sandbox"]).args(question).envs(environment).output().expect("it runs");
        assert!(output.status.success() && text(&output.stdout).contains(told), "{question:?}: {output:?}");
    }
}

/// A ledger with four operations that nobody writes any more, to be copied and meddled with.
async fn written() -> (Shop, File) {
    let mut shop = Shop::open();
    for key in ["a", "b", "c", "d"] {
        shop.buy(key).await;
    }
    shop.gateway.signal("TERM");
    shop.gateway.ended().await;
    let file = File::new(&format!("ledger-{}", port()), "");
    std::fs::copy(shop.place().join("ledger.db"), file.path()).expect("a whole file");
    (shop, file)
}

#[tokio::test]
async fn verify_finds_whatever_was_meddled_with() {
    let (shop, whole) = written().await;
    let path = shop.place().join("ledger.db");
    assert!(shop.told(&["verify"]).ends_with("the ledger is sound\n"));
    let last = "(SELECT MAX(seq) FROM entries)";
    let newest = "(SELECT id FROM entries ORDER BY seq DESC LIMIT 1)";
    for (meddling, told) in [
        ("DELETE FROM entries WHERE seq = 2".to_owned(), "entry 3: 2 is missing before it"),
        ("DELETE FROM entries WHERE seq = 1".to_owned(), "entry 2: 1 is missing before it"),
        (format!("DELETE FROM entries WHERE seq = {last}"), "the end: the latest entry is"),
        (format!("DELETE FROM operations WHERE id = {newest}"), "there are entries and no row"),
        // All that there is of the newest operation.
        (
            format!("DELETE FROM operations WHERE id = {newest}; DELETE FROM entries WHERE id = {newest}"),
            "the end: ",
        ),
        ("DELETE FROM entries".to_owned(), "the end: "),
        (
            "DELETE FROM entries; DELETE FROM operations; DELETE FROM notes WHERE name = 'head'".to_owned(),
            "0 entries",
        ),
        ("UPDATE entries SET at_ms = at_ms + 1 WHERE seq = 2".to_owned(), "entry 2: it was changed"),
        ("UPDATE entries SET id = 'op_x' WHERE seq = 2".to_owned(), "entry 2: it was changed"),
        ("UPDATE entries SET mac = x'00' WHERE seq = 2".to_owned(), "32 bytes"),
        ("UPDATE entries SET account = 'x' WHERE seq = 2".to_owned(), "entry 3: 2 is missing before it"),
        ("UPDATE entries SET body = x'' WHERE seq = 2".to_owned(), "entry 2: it was changed"),
        ("UPDATE entries SET seq = 1000 WHERE seq = 1".to_owned(), "entry 2: 1 is missing before it"),
        ("UPDATE operations SET posted_vnd = 0".to_owned(), "its row is not what its latest entry says"),
        ("UPDATE operations SET caller = 'x'".to_owned(), "its row is not what its latest entry says"),
        ("UPDATE operations SET state = 'REFUSED'".to_owned(), "its row is not what its latest entry says"),
        ("UPDATE operations SET seq = seq - 1".to_owned(), "its row is not what its latest entry says"),
        ("UPDATE notes SET value = x'00' WHERE name = 'head'".to_owned(), "the end: "),
        ("DELETE FROM notes WHERE name = 'head'".to_owned(), "the end: "),
    ] {
        std::fs::copy(whole.path(), &path).expect("copied");
        let meddled = Connection::open(&path).expect("opened");
        meddled
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; {meddling}"))
            .unwrap_or_else(|e| panic!("{meddling}: {e}"));
        drop(meddled);
        let output = shop.ask(&["verify"]);
        let said = text(&output.stdout) + &text(&output.stderr);
        // Whoever takes everything away, the note of the end included, leaves a ledger that was never used.
        let emptied = told == "0 entries";
        assert_eq!(output.status.success(), emptied, "{meddling}: {said}");
        assert!(said.contains(told), "{meddling}: {said}");
    }
    std::fs::copy(whole.path(), &path).expect("copied");
    let keyless = Connection::open(&path).expect("opened");
    keyless.execute_batch("UPDATE notes SET value = x'00' WHERE name = 'key'").expect("meddled");
    drop(keyless);
    let output = shop.ask(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("another API secret"), "{output:?}");
}

/// Every byte of every body and every MAC, changed one after the other.
#[tokio::test]
async fn no_changed_byte_of_an_entry_goes_unnoticed() {
    let (shop, _whole) = written().await;
    let path = shop.place().join("ledger.db");
    let wrap = Wrap::from_secret(b"sandbox-secret").expect("a key");
    let store = Arc::new(Sqlite::read_only(&shop.place()).expect("a reader"));
    let ledger = Ledger::read(store, &wrap, None).await.expect("the sandbox's");
    let (entries, wrong) = ledger.verify().await.expect("read");
    assert!(entries >= 8 && wrong.is_empty(), "{entries}: {wrong:?}");

    let meddler = Connection::open(&path).expect("opened");
    // The disk is not what is tested here.
    meddler.execute_batch("PRAGMA synchronous = OFF").expect("set");
    let (mut flips, mut found) = (0, 0);
    for column in ["body", "mac"] {
        for seq in 1..=entries {
            let read = format!("SELECT {column} FROM entries WHERE seq = ?1");
            let bytes: Vec<u8> = meddler.query_row(&read, [seq], |row| row.get(0)).expect("an entry");
            let write = format!("UPDATE entries SET {column} = ?2 WHERE seq = ?1");
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                meddler.execute(&write, rusqlite::params![seq, changed]).expect("meddled");
                let (_, wrong) = ledger.verify().await.expect("read");
                flips += 1;
                found += usize::from(wrong.iter().any(|wrong| wrong.starts_with(&format!("entry {seq}: "))));
            }
            meddler.execute(&write, rusqlite::params![seq, bytes]).expect("as it was");
        }
    }
    assert!(flips > 2000, "{flips}");
    assert_eq!(found, flips, "every one is found, at its place");
    assert_eq!(ledger.verify().await.expect("read"), (entries, Vec::new()));
}
