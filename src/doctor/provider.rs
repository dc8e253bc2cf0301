//! The provider: its name, its addresses by family, TLS, its clock, and whether it accepts the key.

use std::net::IpAddr;
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tower::Service as _;

use super::Finding;
use crate::ambient;
use crate::call::Call;
use crate::contract::Contract;
use crate::edge::columns;
use crate::settings::Settings;
use crate::upstream::{Seen, Upstream, examine as go};

/// The harmless question.
const WALLET: &str = "WalletService.GetWallet";
/// A clock that is further off than this is said to be; further than the second, signatures and certificates fail.
const OFF: (i64, i64) = (5, 120);
/// A certificate that ends so soon is said to.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// Goes the way to the provider.
pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    if settings.sandbox.is_some() {
        return vec![Finding::skipped("provider", "the sandbox is there while `gizad serve --sandbox` runs")];
    }
    let Ok(contract) = Contract::embedded() else { return Vec::new() };
    let seen = match go(&settings.upstream, contract).await {
        Ok(seen) => seen,
        Err(why) => return vec![Finding::wrong("TLS", why, "look at upstream.ca_file")],
    };
    let mut found = Vec::new();
    if let Some(why) = &seen.unnamed {
        found.push(Finding::wrong(
            "DNS",
            format!("{} has no address: {why}", seen.host.0),
            "look at upstream.url and at this machine's resolver (/etc/resolv.conf; in a cluster, its DNS policy)",
        ));
        return found;
    }
    let addresses: Vec<String> =
        seen.addresses.iter().map(|reached| reached.address.ip().to_string()).collect();
    found.push(Finding::fine("DNS", format!("{} is {}", seen.host.0, addresses.join(", "))));
    found.extend(families(&seen));
    found.extend(tls(&seen));
    found.extend(clock(&seen));
    match &seen.answer {
        Some(Ok(_)) => found.push(key(settings, contract).await),
        Some(Err(why)) => found.push(Finding::wrong(
            "answer",
            format!("the provider takes the connection and does not answer: {why}"),
            "try again later; if it stays so, ask the provider",
        )),
        None => found.push(Finding::skipped("key", "the provider cannot be asked")),
    }
    found
}

/// Which kinds of addresses lead there.
fn families(seen: &Seen) -> Vec<Finding> {
    const CHECK: &str = "address family";
    let family = |wanted: fn(&IpAddr) -> bool| -> Vec<_> {
        seen.addresses.iter().filter(|reached| wanted(&reached.address.ip())).collect()
    };
    let mut found = Vec::new();
    let mut reached = Vec::new();
    for (name, of) in [("IPv4", family(IpAddr::is_ipv4)), ("IPv6", family(IpAddr::is_ipv6))] {
        let way = of.iter().find_map(|reached| reached.from.as_ref().ok().map(|from| from.ip()));
        match (of.first(), way) {
            (None, _) => {}
            (Some(_), Some(from)) => reached.push(format!("{name} from {from}")),
            (Some(first), None) => {
                let why = first.from.as_ref().err().cloned().unwrap_or_default();
                found.push((name, why));
            }
        }
    }
    let failed = |(name, why): &(&str, String)| {
        let what = format!("there is no way over {name}: {why}");
        if reached.is_empty() {
            let advice = "look at the firewall and at the way out of this network: gizad goes straight to the provider and uses no proxy";
            Finding::wrong(CHECK, what, advice)
        } else {
            Finding::warning(
                CHECK,
                what,
                format!(
                    "mend it, or have the name resolved to other addresses only: each connection may lose time there. The provider may know this machine by its address over {}",
                    reached.join(" and ")
                ),
            )
        }
    };
    let mut findings: Vec<Finding> = found.iter().map(failed).collect();
    if !reached.is_empty() {
        findings.insert(0, Finding::fine(CHECK, format!("reached over {}", reached.join(" and "))));
    }
    findings
}

fn tls(seen: &Seen) -> Option<Finding> {
    const CHECK: &str = "TLS";
    match seen.tls.as_ref() {
        None if seen.addresses.iter().all(|reached| reached.from.is_err()) => {
            Some(Finding::skipped(CHECK, "there is no connection"))
        }
        None => Some(Finding::skipped(CHECK, "not spoken on this machine's own address")),
        Some(Err(why)) => {
            let lower = why.to_lowercase().replace(' ', "");
            let advice = if lower.contains("unknownissuer") {
                "if something between here and the provider opens TLS on purpose, put its CA into upstream.ca_file; otherwise somebody \
                 is in between"
            } else if lower.contains("expired") || lower.contains("notvalidyet") {
                "set this machine's clock; if it is right, tell the provider that its certificate is not valid"
            } else if lower.contains("notvalidforname") {
                "look at upstream.url: somebody else answers there"
            } else {
                "gizad speaks TLS 1.2 and 1.3; whoever answers there does not, or is not the provider"
            };
            Some(Finding::wrong(CHECK, why.clone(), advice))
        }
        Some(Ok(certificate)) => {
            let left = certificate.ends.duration_since(ambient::wall_clock()).unwrap_or_default();
            let names = certificate.names.join(", ");
            let what = format!(
                "the certificate is for {names}, by {}, and ends in {} days",
                certificate.issuer,
                left.as_secs() / 86_400
            );
            Some(if left < SOON {
                Finding::warning(CHECK, what, "tell the provider, if it is not renewed in time")
            } else {
                Finding::fine(CHECK, what)
            })
        }
    }
}

fn clock(seen: &Seen) -> Option<Finding> {
    const CHECK: &str = "clock";
    let answered = seen.answer.as_ref()?.as_ref().ok()?;
    let Some(ahead) = answered.ahead_s else {
        return Some(Finding::skipped(CHECK, "the provider does not say what its clock shows"));
    };
    let what = match ahead {
        0 => "as the provider's".to_owned(),
        ahead if ahead > 0 => format!("{ahead} s behind the provider's"),
        ahead => format!("{} s before the provider's", ahead.unsigned_abs()),
    };
    let off = ahead.unsigned_abs();
    let advice = "have it set from the network (timedatectl set-ntp true)";
    Some(if off > OFF.1.unsigned_abs() {
        Finding::wrong(CHECK, what, advice)
    } else if off > OFF.0.unsigned_abs() {
        Finding::warning(CHECK, what, advice)
    } else {
        Finding::fine(CHECK, what)
    })
}

/// Whether the provider accepts the key: a harmless question, asked once.
async fn key(settings: &Settings, contract: &'static Contract) -> Finding {
    const CHECK: &str = "key";
    let mut upstream = match Upstream::new(settings.upstream.clone(), settings.credentials.clone()) {
        Ok(upstream) => upstream,
        Err(why) => return Finding::wrong(CHECK, why, "look at upstream.ca_file"),
    };
    let Some(question) = contract.operation(WALLET) else {
        return Finding::skipped(CHECK, "there is nothing harmless to ask");
    };
    let request = DynamicMessage::new(question.input.descriptor.clone());
    match upstream.call(Call::own(question, request, settings.upstream.timeout)).await {
        Ok(_reply) => Finding::fine(CHECK, format!("the provider accepts it ({} answered)", question.name)),
        Err(fault) => Finding::wrong(CHECK, fault.to_string(), columns(fault.reason).advice),
    }
}
