//! The way to the provider, step by step, as `gizad doctor` goes it: the name, each address, TLS, and one question that carries
//! no credentials.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, DATE, HOST};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::{Options, lanes};
use crate::ambient;
use crate::contract::{Contract, Effect};
use crate::outward;

/// What was seen on the way.
#[derive(Debug, Default)]
pub struct Seen {
    /// The host that was looked for, and its port.
    pub host: (String, u16),
    /// Why the name has no address.
    pub unnamed: Option<String>,
    /// Each address, and whether somebody answers there.
    pub addresses: Vec<Reached>,
    /// Whom the provider's certificate names, or why it is not believed; nothing without TLS or without a connection.
    pub tls: Option<Result<Certificate, String>>,
    /// What was answered, or why nothing was; nothing without a connection.
    pub answer: Option<Result<Answered, String>>,
}

/// An address.
#[derive(Debug)]
pub struct Reached {
    /// The provider's.
    pub address: SocketAddr,
    /// This machine's, as it is known on the way there; or why there is no way.
    pub from: Result<SocketAddr, String>,
}

/// A certificate that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The names in it.
    pub names: Vec<String>,
    /// Until when it is valid.
    pub ends: SystemTime,
    /// Who says so.
    pub issuer: String,
}

/// An answer, without what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status of HTTP.
    pub status: u16,
    /// How far its clock is before ours, in seconds; behind, if it is negative.
    pub ahead_s: Option<i64>,
    /// How long it took from the connection on.
    pub took: Duration,
}

/// Goes the way.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn examine(options: &Options, contract: &Contract) -> Result<Seen, String> {
    let target = &options.target;
    let mut seen = Seen { host: (target.host().to_owned(), target.port()), ..Seen::default() };
    let found =
        timeout(options.connect_timeout, tokio::net::lookup_host((target.host(), target.port()))).await;
    let mut addresses: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => {
            seen.unnamed = Some(error.to_string());
            return Ok(seen);
        }
        Err(_elapsed) => {
            seen.unnamed = Some("the resolver does not answer".to_owned());
            return Ok(seen);
        }
    };
    addresses.dedup();
    let mut first = None;
    for address in addresses {
        let connected = match timeout(options.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("no answer within {:?}", options.connect_timeout)),
        };
        let from = match &connected {
            Ok(stream) => stream.local_addr().map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        seen.addresses.push(Reached { address, from });
        first = first.or(connected.ok());
    }
    let Some(stream) = first else { return Ok(seen) };
    let request = question(options, contract)?;
    if !target.tls() {
        seen.answer = Some(ask(stream, request, options.timeout).await);
        return Ok(seen);
    }
    let tls = TlsConnector::from(Arc::new(outward::tls(&options.extra_ca)?));
    let name = ServerName::try_from(target.host().to_owned()).map_err(|error| error.to_string())?;
    match timeout(options.connect_timeout, tls.connect(name, stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            seen.tls = shown.map(|certificate| certificate_of(certificate.as_ref()));
            seen.answer = Some(ask(stream, request, options.timeout).await);
        }
        Ok(Err(error)) => seen.tls = Some(Err(error.to_string())),
        Err(_elapsed) => seen.tls = Some(Err("the handshake takes too long".to_owned())),
    }
    Ok(seen)
}

/// What everybody may ask, without credentials.
fn question(options: &Options, contract: &Contract) -> Result<Request<Empty<Bytes>>, String> {
    let public = contract.operations().iter().find(|operation| operation.effect == Effect::Public);
    let action = public.map_or("", |operation| operation.upstream.name.as_str());
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("action", action).finish();
    Request::get(format!("{}?{query}", options.target.path()))
        .header(HOST, options.target.host_header())
        .header(ACCEPT, HeaderValue::from_static("*/*"))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|error| error.to_string())
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
    time: Duration,
) -> Result<Answered, String> {
    let begun = ambient::instant();
    let asking = async {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let answer = lanes::while_driving(sender.send_request(request), connection).await;
        answer.map_err(|error| error.to_string())
    };
    let answer = timeout(time, asking).await.map_err(|_| format!("no answer within {time:?}"))??;
    let now = ambient::wall_clock();
    let date = answer
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok());
    let ahead_s = date.map(|date| match date.duration_since(now) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX),
        Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or(i64::MAX),
    });
    Ok(Answered { status: answer.status().as_u16(), ahead_s, took: begun.elapsed() })
}

fn certificate_of(der: &[u8]) -> Result<Certificate, String> {
    let read = x509_cert::Certificate::from_der(der).map_err(|error| error.to_string())?.tbs_certificate;
    let named = read.get::<SubjectAltName>().map_err(|error| error.to_string())?;
    let names = named.map(|(_, names)| names.0).unwrap_or_default();
    let names = names.into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(address) => Some(ip(address.as_bytes())),
        _ => None,
    });
    Ok(Certificate {
        names: names.collect(),
        ends: read.validity.not_after.to_system_time(),
        issuer: read.issuer.to_string(),
    })
}

fn ip(bytes: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return std::net::Ipv4Addr::from(four).to_string();
    }
    <[u8; 16]>::try_from(bytes)
        .map_or_else(|_| "?".to_owned(), |sixteen| std::net::Ipv6Addr::from(sixteen).to_string())
}
