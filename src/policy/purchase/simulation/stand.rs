//! The world of one call in one process: the provider as it meets it, and the time as that process has it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::play::{Order, Process, Scene};
use super::provider::{Done, LAG_MS, LATE_MS, Wish};
use super::tally::Fault;
use crate::fault::Fault as Refusal;
use crate::policy::purchase::run::{Look, World};
use crate::purchase::{Ending, Failure, Record, Sight};

/// The world of one call, in one process.
pub(super) struct Stand {
    pub(super) scene: Arc<Scene>,
    pub(super) process: Arc<Process>,
    pub(super) order: Order,
    pub(super) id: String,
    /// When it looked at the account last, whatever its own clock said.
    looked_ms: Mutex<i64>,
}

impl Stand {
    pub(super) fn new(scene: &Arc<Scene>, process: &Arc<Process>, order: Order, id: String) -> Self {
        let (scene, process) = (scene.clone(), process.clone());
        Self { scene, process, order, id, looked_ms: Mutex::new(i64::MAX) }
    }
}

impl Scene {
    /// Looks at the account, as a clock that is wrong by so much tells the time.
    pub(super) async fn look(&self, wish: &Wish, skew_ms: i64) -> Sight {
        self.stage().moment(200).await;
        let now = self.stage().now_ms();
        for (place, fault) in [(0, Fault::LaggingBalance), (1, Fault::LaggingListing)] {
            // One of them lags at a time.
            let lags = self.provider().lock().lags.iter().any(|lag| now < lag.0);
            if !lags && self.tally().strikes(fault, 40) {
                let lag = self.stage().below(LAG_MS as u64) as i64;
                if let Some(place) = self.provider().lock().lags.get_mut(place) {
                    *place = (now + lag, lag);
                }
            }
        }
        let sight = self.provider().see(wish, now);
        Sight { at_ms: now + skew_ms, ..sight }
    }
}

impl Stand {
    fn strikes(&self, id: &str, fault: Fault, per_mille: u64) -> bool {
        let strikes = self.scene.tally().strikes(fault, per_mille);
        if strikes {
            self.scene.tally().lock().hit.insert(id.to_owned());
        }
        strikes
    }

    fn execute(&self, record: &Record, in_ms: i64) -> String {
        let (order, now) = (&self.order, self.scene.stage().now_ms());
        self.scene.provider().execute(Done {
            at_ms: now + in_ms,
            sent_ms: now,
            id: record.id.clone(),
            caller: order.caller.clone(),
            key: order.key.clone(),
            fingerprint: format!("{:?}", order.wish).into_bytes(),
            wish: order.wish.clone(),
            service: String::new(),
        })
    }
}

fn failure(reason: &str) -> Failure {
    Failure { reason: reason.to_owned(), ..Failure::default() }
}

impl World for Stand {
    fn now_ms(&self) -> i64 {
        self.scene.stage().now_ms() + self.process.skew_ms()
    }

    async fn pause(&self, time: Duration) {
        self.scene.stage().sleep(time.as_millis() as i64).await;
    }

    async fn look(&self) -> Result<Look, Refusal> {
        let sight = self.see().await?;
        Ok(Look { sight, price_vnd: Some(self.order.wish.price), source: String::new() })
    }

    async fn see(&self) -> Result<Sight, Refusal> {
        let looked_ms = self.scene.stage().now_ms();
        let sight = self.scene.look(&self.order.wish, self.process.skew_ms()).await;
        *self.looked_ms.lock().expect("sound") = looked_ms;
        Ok(sight)
    }

    async fn send(&self) -> Ending {
        let (stage, provider) = (self.scene.stage(), self.scene.provider());
        let stands = super::check::sending(&self.scene, &self.order.caller, &self.order.key, &self.id);
        stage.moment(100).await;
        if self.strikes(&stands.id, Fault::NotSent, 80) {
            return Ending::Unsent(failure("UPSTREAM_UNREACHABLE"));
        }
        super::check::arrives(&self.scene, &stands, stage.now_ms(), *self.looked_ms.lock().expect("sound"));
        stage.moment(300).await;
        let ending = if self.strikes(&stands.id, Fault::DiedBefore, 60) {
            Ending::Doubted(failure("OUTCOME_UNKNOWN"))
        } else if self.strikes(&stands.id, Fault::LateExecution, 60) {
            self.execute(&stands, 60_000 + stage.below(LATE_MS as u64) as i64);
            Ending::Doubted(failure("OUTCOME_UNKNOWN"))
        } else if self.strikes(&stands.id, Fault::Refusal, 60) {
            Ending::Refused(failure("UPSTREAM_REFUSED"))
        } else if self.strikes(&stands.id, Fault::LyingRefusal, 60) {
            self.execute(&stands, 0);
            Ending::Refused(failure("UPSTREAM_REFUSED"))
        } else if self.strikes(&stands.id, Fault::LostAnswer, 90) {
            self.execute(&stands, 0);
            Ending::Doubted(failure("OUTCOME_UNKNOWN"))
        } else {
            // What is answered twice is read once.
            let _twice = self.strikes(&stands.id, Fault::DuplicateAnswer, 50);
            let service = self.execute(&stands, 0);
            stage.moment(300).await;
            Ending::Succeeded {
                result: stands.id.clone().into_bytes(),
                rule: "success".to_owned(),
                cost_vnd: stage.per_mille(500).then_some(self.order.wish.price),
                services: if stage.per_mille(700) && !service.is_empty() {
                    vec![service]
                } else {
                    Vec::new()
                },
            }
        };
        let still = self.scene.shared().lock().rows.get(&stands.id).is_some_and(|kept| kept.row.sending);
        if still {
            provider.lock().last_end_ms = stage.now_ms();
        }
        ending
    }

    fn commit(&self) -> bool {
        // Sometimes nobody waits any more.
        !self.scene.stage().per_mille(20)
    }

    fn loses(&self, operation: &str) {
        self.process.lose(operation);
    }
}
