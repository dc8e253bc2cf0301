//! Opens the ledger where the settings want it.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::system::uname;

use super::Failure;
use super::fleeting::Fleeting;
use crate::database::{Bounds, Server, Trouble};
use crate::ledger::{Ledger, Postgres, Sqlite, Store, Wrap};
use crate::metrics::{Figures, Timed};
use crate::settings::{self, Settings};
use crate::shared::Shared;
use crate::shared::pace::{Store as _, Table};
use crate::shared::renewal::View;
use crate::state::Folder;

/// The name of its folder, below that of the account.
const NAME: &str = "ledger";

/// A ledger, or the reason why there is none; and the folder that is to be gone when gizad is.
pub(super) struct Opened {
    pub(super) ledger: Result<Ledger, String>,
    /// Whether the last entry could not be written.
    pub(super) fails: Arc<AtomicBool>,
    /// What is shared beside it, if anything is.
    pub(super) shared: Option<Shared>,
    _fleeting: Option<Fleeting>,
}

/// Opens it. One that was asked for by name must be usable; without the usual one gizad runs and buys nothing.
pub(super) async fn open(
    settings: &Settings,
    account: &[&str],
    figures: &Arc<Figures>,
) -> Result<Opened, Failure> {
    let (mut folder, mut shared, fails) = (None, None, Arc::new(AtomicBool::new(false)));
    let opening = Opening { settings, account, figures, fails: &fails };
    let ledger = match &settings.ledger {
        settings::Ledger::Nowhere => Err("there is no place to write purchases down; set ledger.dir".to_owned()),
        settings::Ledger::Fleeting => {
            let made = Fleeting::new().map_err(|error| {
                Failure::Build(format!("ledger.dir: the sandbox cannot make a folder for a while: {error}"))
            })?;
            let below = folder.insert(made).path();
            Ok(opening.in_folder(below).await.map_err(|trouble| wrong("ledger.dir", &trouble))?)
        }
        settings::Ledger::Usual(below) => opening.in_folder(below).await.map_err(|trouble| {
            tracing::error!(%trouble, folder = %below.display(), "purchases cannot be written down; none is made");
            trouble.to_string()
        }),
        settings::Ledger::In(below) => {
            Ok(opening.in_folder(below).await.map_err(|trouble| wrong("ledger.dir", &trouble))?)
        }
        settings::Ledger::Passing(why) => {
            tracing::warn!("nothing is bought: {why}");
            Err(why.clone())
        }
        settings::Ledger::Shared => {
            let joined = async {
                let server = server(settings)?;
                let store = Postgres::open(server.clone(), &Folder::name_of(account)).await?;
                let sealed = opening.sealed(Arc::new(store)).await?;
                shared = Some(share(settings, server, account).await?);
                Ok(sealed)
            };
            Ok(joined.await.map_err(|trouble| wrong("shared.url", &trouble))?)
        }
    };
    Ok(Opened { ledger, fails, shared, _fleeting: folder })
}

/// What it takes to open one.
struct Opening<'a> {
    settings: &'a Settings,
    account: &'a [&'a str],
    figures: &'a Arc<Figures>,
    fails: &'a Arc<AtomicBool>,
}

impl Opening<'_> {
    async fn in_folder(&self, below: &Path) -> Result<Ledger, Trouble> {
        let folder = place(below, self.account)?;
        let store = tokio::task::spawn_blocking(move || Sqlite::open(&folder)).await;
        let store = store.map_err(|error| Trouble::Failed(error.to_string()))??;
        self.sealed(Arc::new(store)).await
    }

    async fn sealed(&self, store: Arc<dyn Store>) -> Result<Ledger, Trouble> {
        let store = Timed::new(store, self.figures.clone(), self.fails.clone());
        let (wrap, former) = wraps(self.settings)?;
        Ledger::open(Arc::new(store), &wrap, former.as_ref()).await
    }
}

/// What tells the account of these settings from others.
fn account(settings: &Settings) -> [String; 2] {
    let url = match &settings.sandbox {
        None => settings.upstream.target.uri().to_string(),
        Some(sandbox) => format!("http://{}/api", sandbox.listen),
    };
    [url, settings.credentials.fingerprint()]
}

/// The folder of the ledger of these settings, if it is in one.
#[must_use]
pub fn folder(settings: &Settings) -> Option<PathBuf> {
    let account = account(settings);
    let account: Vec<&str> = account.iter().map(String::as_str).collect();
    match &settings.ledger {
        settings::Ledger::Usual(below) | settings::Ledger::In(below) => {
            Some(below.join(Folder::name_of(&account)).join(NAME))
        }
        settings::Ledger::Nowhere
        | settings::Ledger::Fleeting
        | settings::Ledger::Shared
        | settings::Ledger::Passing(_) => None,
    }
}

/// Opens the ledger of these settings for reading, also while a daemon writes it.
///
/// # Errors
/// What kept it from being read.
pub async fn read(settings: &Settings) -> Result<Ledger, Failure> {
    let account = account(settings);
    let account: Vec<&str> = account.iter().map(String::as_str).collect();
    let store = match &settings.ledger {
        settings::Ledger::Nowhere => {
            return Err(nothing("no place to write purchases down is set (ledger.dir)"));
        }
        settings::Ledger::Fleeting => {
            return Err(nothing(
                "the sandbox's ledger is gone when the sandbox is; set ledger.dir and sandbox.listen to keep it",
            ));
        }
        settings::Ledger::Usual(_) | settings::Ledger::In(_)
            if settings.sandbox.as_ref().is_some_and(|sandbox| sandbox.listen.port() == 0) =>
        {
            return Err(nothing(
                "the sandbox is another account on every port, and sandbox.listen leaves the port open",
            ));
        }
        settings::Ledger::Usual(below) | settings::Ledger::In(below) => {
            let folder = below.join(Folder::name_of(&account)).join(NAME);
            let store = Sqlite::read_only(&folder).map_err(|trouble| wrong("ledger.dir", &trouble))?;
            Arc::new(store) as Arc<dyn Store>
        }
        settings::Ledger::Passing(why) => return Err(nothing(why)),
        settings::Ledger::Shared => {
            let server = server(settings).map_err(|trouble| wrong("shared.url", &trouble))?;
            let store = Postgres::read_only(server, &Folder::name_of(&account)).await;
            Arc::new(store.map_err(|trouble| wrong("shared.url", &trouble))?)
        }
    };
    let (wrap, former) = wraps(settings).map_err(|trouble| wrong("credentials", &trouble))?;
    Ledger::read(store, &wrap, former.as_ref()).await.map_err(|trouble| wrong("the ledger", &trouble))
}

/// Who shares the account of these settings; nothing if nobody ever did.
///
/// # Errors
/// What kept it from being read.
pub async fn replicas(settings: &Settings) -> Result<Option<View>, Failure> {
    let account = account(settings);
    let account: Vec<&str> = account.iter().map(String::as_str).collect();
    let read = async {
        match Shared::look(server(settings)?, &Folder::name_of(&account)).await? {
            Some(shared) => Table::new(shared, "").read().await,
            None => Ok(None),
        }
    };
    read.await.map_err(|trouble| wrong("shared.url", &trouble))
}

fn nothing(why: &str) -> Failure {
    Failure::Build(format!("there is nothing to read: {why}"))
}

/// The server of what is shared.
fn server(settings: &Settings) -> Result<Arc<Server>, Trouble> {
    let nothing = || Trouble::Unfit("nothing is shared".to_owned());
    let shared = settings.shared.as_ref().ok_or_else(nothing)?;
    let bounds = Bounds { connections: shared.connections, statement: shared.statement };
    Ok(Arc::new(Server::new(&shared.url, &shared.extra_ca, bounds)?))
}

/// What is shared beside the ledger, under a name that tells where this one runs: the machine's, or the pod's.
async fn share(settings: &Settings, server: Arc<Server>, account: &[&str]) -> Result<Shared, Trouble> {
    let most = settings.shared.as_ref().map_or(NonZeroU32::MIN, |shared| shared.max_replicas);
    let machine = uname().nodename().to_string_lossy().into_owned();
    Shared::open(server, &Folder::name_of(account), &machine, most).await
}

fn place(below: &Path, account: &[&str]) -> Result<PathBuf, Trouble> {
    let folder = Folder::of_account(below, account).map_err(|error| Trouble::Unfit(error.to_string()))?;
    Ok(folder.path().join(NAME))
}

/// What the ledger's key is sealed with, and was sealed with before.
fn wraps(settings: &Settings) -> Result<(Wrap, Option<Wrap>), Trouble> {
    let unfit = || Trouble::Unfit("no key can be made of the secret".to_owned());
    let wrap = settings.credentials.derive(Wrap::from_secret).ok_or_else(unfit)?;
    let former = settings.former_secret.as_ref().map(|secret| Wrap::from_secret(secret.as_bytes()));
    let former = former.map(|former| former.ok_or_else(unfit)).transpose()?;
    Ok((wrap, former))
}

fn wrong(setting: &str, trouble: &Trouble) -> Failure {
    Failure::Build(format!("{setting}: {trouble}"))
}
