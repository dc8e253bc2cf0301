//! Servers that must not be disturbed are spared, and what destroys a disk needs the server's name.
//!
//! A number is easily mistyped, and the wrong disk is gone for ever. Actions that only the settings know are not looked at.

use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tower::{Service, ServiceExt as _};

use super::{Answering, Inner};
use crate::call::{Call, Reply};
use crate::contract::{Contract, Term};
use crate::fault::{Fault, Reason, Sent};

/// The operation that reads one server, and its fields.
const SERVER: (&str, &str, &str) = ("VpsService.GetVps", "vps_id", "hostname");
/// How long that may take.
const LOOK: Duration = Duration::from_secs(20);

/// The servers that are spared, by number or by hostname.
#[derive(Debug, Default)]
pub(super) struct Spared(RwLock<Arc<Vec<String>>>);

impl Spared {
    pub(super) fn new(servers: &[String]) -> Self {
        let spared = Self::default();
        spared.change(servers);
        spared
    }

    pub(super) fn change(&self, servers: &[String]) {
        let servers = servers.iter().map(|server| server.trim().to_lowercase()).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(servers);
    }

    fn list(&self) -> Arc<Vec<String>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Spares them.
#[derive(Clone)]
pub(super) struct Guard<S> {
    contract: &'static Contract,
    spared: Arc<Spared>,
    inner: S,
}

impl<S: Inner> Guard<S> {
    pub(super) fn new(contract: &'static Contract, spared: Arc<Spared>, inner: S) -> Self {
        Self { contract, spared, inner }
    }

    /// Whether the call may go on.
    async fn look(&self, call: &Call, name: &str) -> Result<(), Fault> {
        let number = call.request.get_field_by_name(name).and_then(|value| value.as_i64()).unwrap_or(0);
        let spared = self.spared.list();
        let protected = |what: &str| {
            let detail =
                format!("the settings protect server {what}: it is not stopped, rebooted or reinstalled");
            Err(Fault::new(Reason::ServerProtected, detail))
        };
        if spared.iter().any(|server| *server == number.to_string()) {
            return protected(&number.to_string());
        }
        let confirm = call.operation.term(Term::Confirm).map(|field| {
            let value = call.request.get_field(&field.descriptor);
            value.as_str().unwrap_or_default().trim().to_lowercase()
        });
        // Only a name has to be looked up.
        if confirm.is_none() && spared.iter().all(|server| server.parse::<i64>().is_ok()) {
            return Ok(());
        }
        let hostname = self.hostname(call, number).await?;
        if spared.contains(&hostname) {
            return protected(&hostname);
        }
        match confirm {
            Some(confirm) if hostname.is_empty() || confirm != hostname => {
                let detail =
                    format!("`confirm_hostname` is not the hostname that the provider gives for {number}");
                Err(Fault::new(Reason::HostnameMismatch, detail))
            }
            _ => Ok(()),
        }
    }

    async fn hostname(&self, call: &Call, number: i64) -> Result<String, Fault> {
        let (name, id, hostname) = SERVER;
        let Some(operation) = self.contract.operation(name) else {
            return Err(Fault::new(Reason::Internal, "there is no operation that reads a server"));
        };
        let mut request = DynamicMessage::new(operation.input.descriptor.clone());
        let _set = request.try_set_field_by_name(id, prost_reflect::Value::I64(number));
        let time = LOOK.min(call.deadline.left());
        let asked = Call { urgent: true, ..Call::own(operation, request, time) };
        let reply = self.inner.clone().oneshot(asked).await;
        // A read that failed has done nothing to the server.
        let reply = reply.map_err(|fault| Fault { sent: Sent::Never, ..fault })?;
        let told = reply.content.message().get_field_by_name(hostname);
        Ok(told.and_then(|name| name.as_str().map(|name| name.trim().to_lowercase())).unwrap_or_default())
    }
}

impl<S: Inner> Service<Call> for Guard<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Some(name) = call.operation.disrupts.as_deref() else { return self.inner.call(call) };
        let guard = self.clone();
        Box::pin(async move {
            guard.look(&call, name).await?;
            guard.inner.oneshot(call).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::play::{self, call};

    #[tokio::test(start_paused = true)]
    async fn a_spared_server_is_not_touched_and_others_are_not_looked_up() {
        let provider = play::Provider::fine();
        let contract = Contract::embedded().expect("sound");
        let spared = Arc::new(Spared::new(&["7".to_owned()]));
        let guard = Guard::new(contract, spared.clone(), provider.clone());
        let stop = |number: i64| {
            let mut stop = call("VpsService.StopVps");
            stop.request.set_field_by_name("vps_id", prost_reflect::Value::I64(number));
            guard.clone().oneshot(stop)
        };
        assert_eq!(stop(7).await.expect_err("spared").reason, Reason::ServerProtected);
        assert_eq!(provider.seen(), 0);
        assert!(stop(8).await.is_ok());
        assert_eq!(provider.seen(), 1, "nothing but the stop itself");
        spared.change(&["8".to_owned()]);
        assert_eq!(stop(8).await.expect_err("spared now").reason, Reason::ServerProtected);
        assert!(stop(7).await.is_ok());
    }
}
