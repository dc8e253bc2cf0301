//! Asks a running gizad how much it logs, or has it log more or less.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::health::{Unwell, ask, reached};

/// What is wanted of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// To know what is logged.
    Shown,
    /// What the settings say.
    Usual,
    /// So much, and for how long if that is to end by itself, as it was written.
    Filter(String, Option<String>),
}

/// Says what is logged from now on.
///
/// # Errors
/// Why that is not known.
pub async fn log_level(listens: SocketAddr, wanted: Logged, time: Duration) -> Result<String, Unwell> {
    let address = reached(listens);
    let (method, body) = match wanted {
        Logged::Shown => (Method::GET, None),
        Logged::Usual => (Method::DELETE, None),
        Logged::Filter(filter, None) => (Method::PUT, Some(json!({"filter": filter}))),
        Logged::Filter(filter, Some(time)) => (Method::PUT, Some(json!({"filter": filter, "for": time}))),
    };
    let asked = ask(address, method, "/log-level", body.as_ref());
    let answered = timeout(time, asked).await.map_err(|_| Unwell::Late(address, time))?;
    let (status, body) = answered.map_err(|why| Unwell::Silent(address, why))?;
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| told.get(name).and_then(Value::as_str);
    match (status.is_success(), text("filter"), text("settings")) {
        (true, Some(filter), Some(settings)) => Ok(match told.get("left_s").and_then(Value::as_u64) {
            Some(left) => format!("{filter} (for {left} s, then {settings})"),
            None if filter == settings => filter.to_owned(),
            None => format!("{filter} (the settings say {settings})"),
        }),
        (true, ..) => Err(Unwell::Silent(address, "something else does".to_owned())),
        (false, ..) => Err(Unwell::Told(status, text("detail").unwrap_or("it does not say why").to_owned())),
    }
}
