//! Restarts while everybody calls, the sockets held by somebody else: nobody's call fails.
//!
//! `RESTARTS=1000 cargo nextest run --no-capture -E 'test(life::restarts)'` makes a thousand, and prints what they cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::callers::{Crowd, Plain, Seen, Target};
use super::process::Holder;
use crate::rig::Sandbox;

/// How long each rests between its calls.
const REST: Duration = Duration::from_millis(10);
/// How long gizad is left alone between two restarts: from nothing to this, so that its connections are at everything.
const UP: u64 = 60;
/// How many purchases are made meanwhile: as many as the sandbox's wallet pays for.
const PURCHASES: usize = 20;

fn part(times: &[Duration], of: f64) -> Duration {
    times[((times.len() - 1) as f64 * of) as usize]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_gizad_is_restarted() {
    let restarts: usize = std::env::var("RESTARTS").map_or(20, |text| text.parse().expect("a number"));
    let provider = Sandbox::start();
    let holder = Holder::new();
    let environment =
        [("GIZAD_UPSTREAM_URL", provider.url.as_str()), ("GIZAD_LOG_LEVEL", "warn,gizad::boot=info")];
    let target = Target { api: holder.api, socket: holder.socket.clone(), bearer: holder.bearer.clone() };
    let mut gizad = holder.start_all(&environment);
    let crowd = Crowd::start(&target, REST);
    let (mut cycles, mut bought, mut buying) = (Vec::new(), 0, Vec::new());
    let own = Arc::new(Seen::default());
    for number in 0..restarts {
        if number % restarts.div_ceil(PURCHASES) == 0 {
            let (target, own) = (target.clone(), own.clone());
            buying.push(tokio::task::spawn_blocking(move || {
                let key = format!("idempotency-key: restart-{number}\r\n");
                let mut plain = Plain::new(target, true);
                plain.call("POST", "/vps/1/renew", Some(&json!({})), &key, &own)
            }));
        }
        let begun = Instant::now();
        gizad.signal(Signal::TERM);
        let code = tokio::task::block_in_place(|| gizad.ended());
        assert_eq!(code, 0, "restart {number}: {}", gizad.log());
        gizad = tokio::task::block_in_place(|| holder.start_all(&environment));
        cycles.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(number as u64 * 7 % UP)).await;
    }
    for purchase in buying {
        let (status, body) = purchase.await.expect("no panic").expect("an answer");
        assert!((200..300).contains(&status), "{status} {body}");
        bought += 1;
    }
    let seen = crowd.stop().await;
    let doubts = Plain::new(target, true).call("GET", "/operations", None, "", &own).expect("an answer");
    let mut times = seen.times.lock().unwrap().clone();
    let failures = seen.failures.lock().unwrap().clone();
    times.sort_unstable();
    cycles.sort_unstable();
    println!(
        "{restarts} restarts, each {:?} (p50) to {:?}; {} calls, {} failed; {} times a connection of HTTP/1 was closed under a call, \
         which was made again on another; p50 {:?}, p99 {:?}, longest {:?}; {bought} purchases",
        part(&cycles, 0.5),
        part(&cycles, 1.0),
        times.len(),
        failures.len(),
        seen.stale.lock().unwrap(),
        part(&times, 0.5),
        part(&times, 0.99),
        part(&times, 1.0),
    );
    assert!(failures.is_empty(), "{} failed: {:#?}", failures.len(), &failures[..failures.len().min(20)]);
    assert!(times.len() > restarts, "somebody called");
    assert!(doubts.0 == 200 && doubts.1.matches("SUCCEEDED").count() >= bought, "{doubts:?}");
}
