//! What the stand-in does wrong on order: for the next calls of an action, before or after it is carried out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Order {
    /// The action it is for; every one if it is not given.
    #[serde(default)]
    pub(super) action: Option<String>,
    /// For how many calls.
    #[serde(default = "once")]
    pub(super) times: u32,
    /// What is done.
    #[serde(flatten)]
    pub(super) fault: Fault,
}

fn once() -> u32 {
    1
}

/// What can be done wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Fault {
    /// Carries it out and answers, but late.
    Delay {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// Does not carry it out and answers this.
    Answer(Canned),
    /// Carries it out and answers this.
    AnswerAfter(Canned),
    /// Does not carry it out and answers 429.
    RateLimited {
        /// Seconds, if it says so.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Does not carry it out and answers 500 with nothing.
    Error500,
    /// Does not carry it out and answers a maintenance page with status 200.
    Html,
    /// Carries it out and sends half of the answer.
    Truncate,
    /// Closes the connection without carrying it out.
    CloseBefore,
    /// Carries it out and closes the connection without an answer.
    CloseAfter,
    /// Closes the connection now and carries it out later.
    ExecuteLate {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// Carries it out and never answers.
    Stall,
    /// Carries it out and answers something of another shape.
    WrongShape,
}

/// A whole answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Canned {
    #[serde(default = "ok")]
    pub(super) status: u16,
    /// Header names and values.
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    /// The body, byte for byte.
    #[serde(default)]
    pub(super) body: String,
    /// The body in hexadecimal, for bytes that are no text.
    #[serde(default)]
    pub(super) body_hex: Option<String>,
}

fn ok() -> u16 {
    200
}

impl Canned {
    pub(super) fn new(status: u16, headers: Vec<(String, String)>, body: &str) -> Self {
        Self { status, headers, body: body.to_owned(), body_hex: None }
    }

    /// The bytes of the body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let Some(hex) = &self.body_hex else { return self.body.clone().into_bytes() };
        let pairs = hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
        pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
    }
}

/// The orders that are not used up.
#[derive(Clone, Debug, Default)]
pub(super) struct Mischief {
    orders: Vec<Order>,
}

impl Mischief {
    pub(super) fn add(&mut self, order: Order) {
        self.orders.push(order);
    }

    pub(super) fn clear(&mut self) {
        self.orders.clear();
    }

    pub(super) fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// What to do wrong with this call, if anything. The oldest order that fits is used.
    pub(super) fn next(&mut self, action: &str) -> Option<Fault> {
        let fits =
            |order: &Order| order.times > 0 && order.action.as_deref().is_none_or(|wanted| wanted == action);
        let order = self.orders.iter_mut().find(|order| fits(order))?;
        order.times -= 1;
        let fault = order.fault.clone();
        self.orders.retain(|order| order.times > 0);
        Some(fault)
    }
}

/// Milliseconds as a duration, bounded so that no order outlives a test.
pub(super) fn wait(ms: u64) -> Duration {
    Duration::from_millis(ms.min(600_000))
}
