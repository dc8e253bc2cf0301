//! Where the command line finds a running gizad, and as whom it calls: what flags say, then the environment, then where a gizad
//! with these settings would listen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::check::Check;
use super::layers::{self, Given, Mistake};
use super::listen::CERTIFICATE;
use super::{Flags, key};
use crate::client::{Options, Place};

/// The variables that say it. They are none of the daemon's settings.
pub(super) const VARIABLES: [&str; 4] = [URL, TOKEN, TOKEN_FILE, CA_FILE];
const URL: &str = "GIZAD_URL";
const TOKEN: &str = "GIZAD_TOKEN";
const TOKEN_FILE: &str = "GIZAD_TOKEN_FILE";
const CA_FILE: &str = "GIZAD_CA_FILE";

/// Where the service of a machine has its socket.
const SERVICE: &str = "/run/gizad/gizad.sock";
/// The name of a user's own, in the folder of what runs.
const OWN: &str = "gizad.sock";

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Where gizad is.
    pub url: Option<String>,
    /// A file with the caller's token.
    pub token_file: Option<PathBuf>,
    /// A file with certificates to trust.
    pub ca_file: Option<PathBuf>,
}

impl Reach {
    /// Finds gizad, and the token to show it.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn read(self, flags: &Flags, environment: &[(String, String)]) -> Result<Options, Vec<Mistake>> {
        let variable = |wanted: &str| {
            let found = environment.iter().find(|(name, text)| name == wanted && !text.is_empty());
            found.map(|(_, text)| text.clone())
        };
        let mut mistakes = Vec::new();
        let place = match self.url.map(|url| ("--url", url)).or_else(|| Some((URL, variable(URL)?))) {
            Some((at, url)) => Place::parse(&url).map_err(|expected| Mistake::at(at, &expected)),
            None => found(flags, environment),
        };
        let file = |flag: Option<PathBuf>, name: &'static str, option: &'static str| {
            flag.map(|path| (option, path)).or_else(|| Some((name, variable(name)?.into())))
        };
        let token = match file(self.token_file, TOKEN_FILE, "--token-file") {
            Some((at, path)) => Some(key::line(&path).map_err(|expected| Mistake::at(at, &expected))),
            None => variable(TOKEN).map(|text| Ok(Zeroizing::new(text.trim().to_owned()))),
        };
        let extra_ca = match file(self.ca_file, CA_FILE, "--ca-file") {
            Some((at, path)) => {
                let given = Given { entries: Vec::new() };
                let mut check = Check { given: &given, mistakes: Vec::new() };
                let chain = check.chain(at, &path.display().to_string());
                mistakes.append(&mut check.mistakes);
                chain
            }
            None => Vec::new(),
        };
        let mut sound = |mistake| mistakes.push(mistake);
        let place = place.map_err(&mut sound).ok();
        let token = token.transpose().map_err(&mut sound).unwrap_or_default();
        match place {
            Some(place) if mistakes.is_empty() => Ok(Options { place, token, extra_ca }),
            _ => Err(mistakes),
        }
    }
}

/// Where a gizad with these settings would be, or where one usually is.
fn found(flags: &Flags, environment: &[(String, String)]) -> Result<Place, Mistake> {
    let (given, mistakes) = layers::read(flags, environment);
    // A file that was named has to be there; what else is wrong with the settings is not this call's business.
    let named = flags.config.as_ref().map(|path| path.display().to_string());
    if let Some(mistake) = mistakes.into_iter().find(|mistake| named.as_ref() == Some(&mistake.path)) {
        return Err(mistake);
    }
    let text = |path: &str| {
        let value = given.entry(path).and_then(|entry| entry.value.as_str());
        value.unwrap_or_default().to_owned()
    };
    let set = Some(text("listen.socket")).filter(|path| !path.is_empty()).map(PathBuf::from);
    let own = layers::runtime_dir().map(|folder| folder.join(OWN));
    let sockets = [set, own, Some(Path::new(SERVICE).to_owned())];
    if let Some(socket) = sockets.into_iter().flatten().find(|path| UnixStream::connect(path).is_ok()) {
        return Ok(Place::Socket(socket));
    }
    let listens: SocketAddr = text("listen.api")
        .parse()
        .map_err(|_| Mistake::at("listen.api", "expected an address and a port, or give --url"))?;
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if text(CERTIFICATE).is_empty() { "http" } else { "https" };
    let url = format!("{scheme}://{}", SocketAddr::new(ip, listens.port()));
    Place::parse(&url).map_err(|expected| Mistake::at("listen.api", &expected))
}
