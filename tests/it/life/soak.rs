//! Hours of everything at once: calls over REST, gRPC and the Unix socket, connections that come and go, purchases, a provider
//! that fails, settings that change. What must not grow is watched: memory, descriptors, threads.
//!
//! `SOAK=2h cargo nextest run --run-ignored only --no-capture -E 'test(life::soak)'`, or without cargo the test's binary with
//! `life::soak --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::json;

use super::callers::{Crowd, Plain, Seen, Target};
use super::process::{Holder, Process};
use crate::memory::memory;
use crate::rig::Sandbox;

/// How long each caller rests between its calls.
const REST: Duration = Duration::from_millis(20);
/// How often it is looked at, and what is left out at the beginning: one of so many.
const LOOK: Duration = Duration::from_secs(10);
const WARM: usize = 5;
/// What fills up in the first hour, in MiB: the ledger's cache, and how long calls took in each of the last sixty minutes. So much
/// is no leak, however short the run.
const FILLING: f64 = 2.0;
/// What memory may grow by, in MiB an hour, and what descriptors and threads may, from the first half to the second.
const SLOPE: f64 = 4.0;
const MORE: f64 = 4.0;
/// Once in how many turns of the mischief what happens.
const TURN: Duration = Duration::from_millis(500);

/// What a call may end with when the provider is made to fail.
const EXPECTED: [&str; 9] = [
    "UPSTREAM",
    "CIRCUIT_OPEN",
    "DEADLINE_EXCEEDED",
    "PACE_EXCEEDED",
    "UNAVAILABLE",
    "OUTCOME_UNKNOWN",
    "IN_DOUBT",
    "INSUFFICIENT",
    "RATE",
];

struct Look {
    at: Duration,
    memory: f64,
    /// What of it is no page of the program itself, which are read when they are first needed.
    anonymous: f64,
    descriptors: f64,
    threads: f64,
}

fn look(process: &Process, begun: Instant) -> Look {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/{}/{what}", process.id())).map_or(0, Iterator::count) as f64
    };
    Look {
        at: begun.elapsed(),
        memory: memory(process.id(), "VmRSS"),
        anonymous: memory(process.id(), "RssAnon"),
        descriptors: count("fd"),
        threads: count("task"),
    }
}

/// The slope of a figure an hour, by least squares.
fn slope(looks: &[Look], figure: impl Fn(&Look) -> f64) -> f64 {
    let many = looks.len() as f64;
    let hours = |look: &Look| look.at.as_secs_f64() / 3600.0;
    let (x, y) = (looks.iter().map(hours).sum::<f64>() / many, looks.iter().map(&figure).sum::<f64>() / many);
    let over: f64 = looks.iter().map(|look| (hours(look) - x) * (figure(look) - y)).sum();
    over / looks.iter().map(|look| (hours(look) - x).powi(2)).sum::<f64>()
}

/// What a later half has more than the earlier one, on average.
fn growth(looks: &[Look], figure: impl Fn(&Look) -> f64) -> f64 {
    let mean = |looks: &[Look]| looks.iter().map(&figure).sum::<f64>() / looks.len() as f64;
    let (early, late) = looks.split_at(looks.len() / 2);
    mean(late) - mean(early)
}

/// Everything that goes wrong or changes, one after the other, until it is over.
fn mischief(
    target: &Target,
    control: &str,
    settings: &str,
    seen: &Seen,
    over: &AtomicBool,
    process: rustix::process::Pid,
) {
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let order = |body: serde_json::Value| {
        let sent = http.post(format!("{control}/faults")).body(body.to_string()).send();
        client.block_on(sent).expect("the control socket answers");
    };
    let original = std::fs::read_to_string(settings).expect("the settings");
    // What the environment says comes before a file, so this is a setting that it says nothing of.
    let change = |quick: &str| {
        std::fs::write(settings, format!("{original}\n[watch]\nquick = \"{quick}\"\n")).expect("written");
    };
    let faults = ["error500", "html", "truncate", "close_before", "rate_limited"];
    for turn in 0_usize.. {
        if over.load(Relaxed) {
            break;
        }
        match turn % 20 {
            0 | 5 | 10 | 15 => {
                order(json!({"kind": faults[turn / 5 % faults.len()], "times": 2, "action": "balance"}))
            }
            2 => {
                let key = format!("idempotency-key: soak-{turn}\r\n");
                let mut plain = Plain::new(target.clone(), true);
                let order = json!({"billing_cycle": "monthly"});
                let failure = match plain.call("POST", "/vps/1/renew", Some(&order), &key, seen) {
                    Ok((200..300, _)) => None,
                    Ok((_, text)) => Some(text),
                    Err(why) => Some(why),
                };
                seen.failures.lock().unwrap().extend(failure.map(|why| format!("purchase: {why}")));
            }
            7 => change(&format!("{}ms", 1000 + turn % 1000)),
            12 => rustix::process::kill_process(process, rustix::process::Signal::HUP).expect("it is there"),
            17 => change("often"),
            // Connections that come, say nothing or half of something, and go.
            _ => {
                use std::io::Write as _;
                for said in [&b""[..], b"GET /wal", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
                    let stream = std::net::TcpStream::connect(target.api);
                    let _said = stream.and_then(|mut stream| stream.write_all(said));
                }
            }
        }
        if turn % 100 == 0 {
            // The provider remembers what it was sent.
            let _forgotten = client.block_on(http.delete(format!("{control}/requests")).send());
        }
        std::thread::sleep(TURN);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes hours"]
async fn nothing_grows_in_hours_of_everything_at_once() {
    let _chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let written = std::env::var("SOAK").unwrap_or_else(|_| "2h".to_owned());
    let length = gizad::settings::duration(&written).expect("a duration such as 2h or 20m");
    let provider = Sandbox::start();
    let holder = Holder::new();
    let environment = [
        ("GIZAD_UPSTREAM_URL", provider.url.as_str()),
        ("GIZAD_LOG_LEVEL", "error,gizad::boot=info"),
        ("GIZAD_RETRY_ATTEMPTS", "3"),
        ("GIZAD_CACHE_TTL", "1s"),
    ];
    let process = holder.start_all(&environment);
    let target = Target { api: holder.api, socket: holder.socket.clone(), bearer: holder.bearer.clone() };
    let (begun, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let crowd = Crowd::start(&target, REST);
    let trouble = {
        let (control, settings, seen, over) =
            (provider.control.clone(), holder.settings().to_owned(), crowd.seen.clone(), over.clone());
        let id =
            rustix::process::Pid::from_raw(i32::try_from(process.id()).expect("a number")).expect("a number");
        let target = target.clone();
        std::thread::spawn(move || mischief(&target, &control, &settings, &seen, &over, id))
    };
    let mut looks = Vec::new();
    println!("minutes\tMiB\tanonymous\tdescriptors\tthreads\tcalls\tp50\tp99");
    while begun.elapsed() < length {
        tokio::time::sleep(LOOK.min(length / 20)).await;
        let now = look(&process, begun);
        let mut times = std::mem::take(&mut *crowd.seen.times.lock().unwrap());
        times.sort_unstable();
        let part = |of: f64| {
            times.get((times.len().saturating_sub(1) as f64 * of) as usize).copied().unwrap_or_default()
        };
        println!(
            "{:.1}\t{:.1}\t{:.1}\t{}\t{}\t{}\t{:?}\t{:?}",
            now.at.as_secs_f64() / 60.0,
            now.memory,
            now.anonymous,
            now.descriptors,
            now.threads,
            times.len(),
            part(0.5),
            part(0.99)
        );
        assert!(!trouble.is_finished(), "nobody makes trouble any more");
        assert!(now.memory.is_finite(), "it is gone: {}", process.log());
        looks.push(now);
    }
    over.store(true, Relaxed);
    tokio::task::block_in_place(|| trouble.join()).expect("no panic");
    let seen = crowd.stop().await;
    let failures = seen.failures.lock().unwrap().clone();
    let mut kinds: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for failure in &failures {
        let reason = EXPECTED
            .iter()
            .find(|reason| failure.contains(**reason))
            .map_or(failure.as_str(), |reason| *reason);
        *kinds.entry(reason.to_owned()).or_default() += 1;
    }
    let warm = &looks[looks.len() / WARM..];
    let (memory, anonymous) = (slope(warm, |look| look.memory), slope(warm, |look| look.anonymous));
    let (descriptors, threads) = (growth(warm, |look| look.descriptors), growth(warm, |look| look.threads));
    println!(
        "{written}: memory {memory:+.2} MiB an hour, {anonymous:+.2} of it anonymous, descriptors {descriptors:+.1}, threads {threads:+.1} from the first half to the \
         second; {} connections of HTTP/1 closed under a call; errors: {kinds:?}",
        seen.stale.lock().unwrap()
    );
    let log = process.log();
    assert!(
        log.contains("settings taken over") && log.contains("everything stays as it was"),
        "it was read again"
    );
    assert!(!log.contains("a mistake in gizad"), "{log}");
    let most = SLOPE.max(FILLING / (length.as_secs_f64() / 3600.0));
    assert!(anonymous < most, "memory grows by {anonymous:.2} MiB an hour");
    assert!(descriptors < MORE && threads < MORE, "{descriptors:+.1} descriptors, {threads:+.1} threads");
    let unexpected: Vec<_> = kinds.keys().filter(|kind| !EXPECTED.contains(&kind.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}
