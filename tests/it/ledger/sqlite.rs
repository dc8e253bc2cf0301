//! What only a file has to promise: who may have it, what it looks like, and what it refuses to be opened as.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use gizad::ledger::{Filter, Sqlite, Store as _, Trouble};

use super::{Folder, step};

const FOLDER: &str = "TEST_LEDGER";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

/// Writes to the file past the store.
fn meddle(folder: &Folder, text: &str) {
    rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap().execute_batch(text).unwrap();
}

async fn append(store: &Sqlite, seq: i64) {
    let (entry, row) = step(seq, &format!("operation-{seq}"));
    store.append(&entry, &row).await.expect("appended");
}

#[tokio::test]
async fn one_writes_and_others_read_meanwhile() {
    let folder = Folder::new();
    let store = Sqlite::open(folder.path()).expect("a ledger");
    append(&store, 1).await;
    let Err(Trouble::Unfit(told)) = Sqlite::open(folder.path()) else { panic!("a second writer") };
    assert!(told.contains("ledger.lock") && told.contains("stop"), "{told}");

    let reader = Sqlite::read_only(folder.path()).expect("a reader");
    assert_eq!(reader.head().await.expect("read").expect("there").0, 1);
    append(&store, 2).await;
    assert_eq!(reader.head().await.expect("read").expect("there").0, 2);
    assert_eq!(reader.list(&Filter::default()).await.expect("read").len(), 2);
    let (entry, row) = step(3, "three");
    assert!(matches!(reader.append(&entry, &row).await, Err(Trouble::Unfit(_))));
    assert!(matches!(reader.set_note("name", b"value", None).await, Err(Trouble::Unfit(_))));
    assert_eq!(reader.is_alive("anybody").await, Ok(true), "nothing is proven");
    assert_eq!(store.is_alive("anybody").await, Ok(false));

    let before = store.writer().to_owned();
    drop(store);
    assert_eq!(reader.head().await.expect("read").expect("there").0, 2, "the writer is gone");
    let store = Sqlite::open(folder.path()).expect("the lock is free");
    assert_ne!(store.writer(), before);
    assert_eq!(store.is_alive(&before).await, Ok(false));
    append(&store, 3).await;
    assert_eq!(reader.head().await.expect("read").expect("there").0, 3);
}

#[tokio::test]
async fn it_is_read_where_nobody_writes() {
    let folder = Folder::new();
    let store = Sqlite::open(folder.path()).expect("a ledger");
    append(&store, 1).await;
    drop(store);
    let reader = Sqlite::read_only(folder.path()).expect("a reader");
    assert_eq!(reader.head().await.expect("read").expect("there").0, 1);
}

#[test]
fn another_process_is_kept_out() {
    let folder = Folder::new();
    let open_there = || {
        let me = std::env::current_exe().expect("this program");
        let mut child = Command::new(me);
        child.args(["--ignored", "--exact", "ledger::sqlite::opened_in_another_process"]);
        child.env(FOLDER, folder.path()).output().expect("run").status.success()
    };
    let store = Sqlite::open(folder.path()).expect("a ledger");
    assert!(!open_there());
    drop(store);
    assert!(open_there());
}

#[test]
#[ignore = "the other half of another_process_is_kept_out"]
fn opened_in_another_process() {
    let folder = std::env::var(FOLDER).expect("run by another test");
    drop(Sqlite::open(Path::new(&folder)).expect("a ledger"));
}

#[tokio::test]
async fn nobody_else_can_read_it() {
    let folder = Folder::new();
    let store = Sqlite::open(folder.path()).expect("a ledger");
    append(&store, 1).await;
    assert_eq!(mode(folder.path()), 0o700);
    let mut files = 0;
    for file in fs::read_dir(folder.path()).expect("a folder") {
        let path = file.expect("a file").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 5, "the file, its log and its index, the lock and the reserve");
    drop(store);

    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.path().join("ledger.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let _store = Sqlite::open(folder.path()).expect("a ledger");
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(mode(&folder.path().join("ledger.db")), 0o600);
}

#[tokio::test]
async fn room_is_set_aside() {
    let folder = Folder::new();
    let reserve = folder.path().join("ledger.reserve");
    fs::create_dir_all(folder.path()).unwrap();
    fs::write(&reserve, "of a start that was cut short").unwrap();
    drop(Sqlite::open(folder.path()).expect("a ledger"));
    assert_eq!(fs::read(&reserve).unwrap(), vec![0; 1024 * 1024]);
}

#[tokio::test]
async fn what_a_newer_one_wrote_is_refused() {
    let folder = Folder::new();
    drop(Sqlite::open(folder.path()).expect("a ledger"));
    meddle(&folder, "INSERT INTO schema_version VALUES (99, 0)");
    for opened in [Sqlite::open(folder.path()), Sqlite::read_only(folder.path())] {
        let Err(Trouble::Unfit(told)) = opened else { panic!("a newer schema") };
        assert!(told.contains("schema 99") && told.contains("knows 1") && told.contains("newer"), "{told}");
    }
    meddle(&folder, "DELETE FROM schema_version WHERE version = 99");
    Sqlite::open(folder.path()).expect("as it was");
}

/// A step only adds, so that the newer version can be taken back.
#[tokio::test]
async fn what_the_next_version_wrote_is_worked_with() {
    let folder = Folder::new();
    drop(Sqlite::open(folder.path()).expect("a ledger"));
    meddle(&folder, super::NEXT);
    let store = Sqlite::open(folder.path()).expect("one step is none too many");
    let (entry, row) = step(1, "one");
    store.append(&entry, &row).await.expect("appended");
    assert_eq!(store.by_id("one").await.expect("read").map(|kept| kept.row), Some(row));
    Sqlite::read_only(folder.path()).expect("nor for who only reads");
}

#[tokio::test]
async fn what_is_damaged_is_refused() {
    let damages = [
        "DELETE FROM operations; DELETE FROM entries WHERE seq = 3",
        "DELETE FROM operations; DELETE FROM entries WHERE seq = 2",
        "DELETE FROM operations; DELETE FROM entries",
        "DELETE FROM notes",
        "UPDATE entries SET mac = zeroblob(32) WHERE seq = 3",
    ];
    for damage in damages {
        let folder = Folder::new();
        let store = Sqlite::open(folder.path()).expect("a ledger");
        for seq in 1..=3 {
            append(&store, seq).await;
        }
        drop(store);
        drop(Sqlite::open(folder.path()).expect("whole"));
        meddle(&folder, damage);
        let Err(Trouble::Unfit(told)) = Sqlite::open(folder.path()) else { panic!("{damage}") };
        assert!(told.contains("damaged"), "{told}");
    }

    let folder = Folder::new();
    fs::create_dir_all(folder.path()).unwrap();
    assert!(matches!(Sqlite::read_only(folder.path()), Err(Trouble::Unfit(_))), "there is none");
    fs::write(folder.path().join("ledger.db"), "this is not a ledger ".repeat(1000)).unwrap();
    let Err(Trouble::Unfit(told)) = Sqlite::open(folder.path()) else { panic!("another file") };
    assert!(told.contains("ledger.db"), "{told}");
    let blocked = folder.path().join("ledger.db").join("below");
    assert!(matches!(Sqlite::open(&blocked), Err(Trouble::Unfit(_))), "not a folder");
}

#[tokio::test]
async fn a_page_that_is_damaged_is_found() {
    let folder = Folder::new();
    let store = Sqlite::open(folder.path()).expect("a ledger");
    for seq in 1..=50 {
        append(&store, seq).await;
    }
    drop(store);
    let path = folder.path().join("ledger.db");
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..8].fill(0xff);
    }
    fs::write(&path, bytes).unwrap();
    assert!(matches!(Sqlite::open(folder.path()), Err(Trouble::Unfit(_))));
}
