//! The account: a wallet, services, invoices, tickets, and a ledger of everything that was ever done for money.
//!
//! The ledger is only ever appended to and never recognises a repetition: two purchases are two lines, which is
//! what makes a double purchase visible.

use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::payload::{Kind, Refusal};
use crate::ambient;

/// Milliseconds in a day.
pub(super) const DAY: i64 = 86_400_000;

/// A service with an end: VPS, hosting or email.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Service {
    pub(super) id: i64,
    pub(super) kind: ServiceKind,
    /// Hostname or domain.
    pub(super) name: String,
    pub(super) plan: i64,
    pub(super) cycle: String,
    /// Đồng a cycle.
    pub(super) price: i64,
    pub(super) os: String,
    #[serde(skip)]
    pub(super) password: String,
    pub(super) ip: String,
    pub(super) running: bool,
    /// Until when it is being installed.
    pub(super) ready_at: i64,
    /// Until when it starts, stops or reboots, and whether it is seen to run meanwhile.
    pub(super) switching: (i64, bool),
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) reboots: u32,
    pub(super) reinstalls: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ServiceKind {
    Vps,
    Hosting,
    Email,
}

impl Service {
    /// Whether it is seen to run.
    pub(super) fn is_on(&self, now: i64) -> bool {
        let (until, meanwhile) = self.switching;
        self.ready_at <= now && if now < until { meanwhile } else { self.running }
    }
}

impl ServiceKind {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "vps" => Some(Self::Vps),
            "hosting" => Some(Self::Hosting),
            "email" => Some(Self::Email),
            _ => None,
        }
    }
}

/// A movement of the wallet.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Transaction {
    pub(super) id: i64,
    /// Negative for a debit.
    pub(super) amount: i64,
    pub(super) kind: &'static str,
    pub(super) description: String,
    pub(super) balance_after: i64,
    pub(super) at: i64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Invoice {
    pub(super) id: i64,
    pub(super) total: i64,
    pub(super) description: String,
    pub(super) created_at: i64,
    pub(super) due_at: i64,
    pub(super) paid_at: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Deposit {
    pub(super) code: String,
    pub(super) amount: i64,
    pub(super) created_at: i64,
    /// When the money arrives.
    pub(super) arrives_at: i64,
    pub(super) paid: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) subject: String,
    pub(super) message: String,
    pub(super) created_at: i64,
    pub(super) replies: Vec<Reply>,
    /// When support answers, if it has not yet.
    pub(super) answer_at: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Reply {
    pub(super) id: i64,
    pub(super) author: &'static str,
    pub(super) message: String,
    pub(super) attachments: Vec<String>,
    pub(super) at: i64,
}

/// A key, proxy or licence that was sold.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) product: String,
    /// Đồng for a renewal.
    pub(super) price: i64,
    pub(super) goods: String,
    pub(super) expires_at: i64,
}

/// A line of the ledger: something that was done for money.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Execution {
    pub(super) sequence: usize,
    pub(super) at: i64,
    pub(super) action: String,
    pub(super) amount: i64,
    pub(super) description: String,
    pub(super) balance_after: i64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Profile {
    pub(super) fullname: String,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) company: String,
    pub(super) address: String,
}

/// The whole account.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Account {
    pub(super) balance: i64,
    pub(super) services: Vec<Service>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) invoices: Vec<Invoice>,
    pub(super) deposits: Vec<Deposit>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) keys: Vec<Key>,
    pub(super) ledger: Vec<Execution>,
    pub(super) profile: Profile,
    next_id: i64,
    /// How far the account's clock is ahead, in milliseconds.
    ahead: i64,
    #[serde(skip)]
    install_time: Duration,
    #[serde(skip)]
    power_time: Duration,
    #[serde(skip)]
    deposit_time: Duration,
}

impl Account {
    /// An account with some money, one VPS, one hosting, one email service and an unpaid invoice.
    pub(super) fn new(options: &Options) -> Self {
        let now = ambient::unix_millis();
        let mut account = Self {
            balance: options.balance_vnd,
            services: Vec::new(),
            transactions: Vec::new(),
            invoices: Vec::new(),
            deposits: Vec::new(),
            tickets: Vec::new(),
            keys: Vec::new(),
            ledger: Vec::new(),
            profile: Profile {
                fullname: "Nguyễn Văn An".into(),
                email: "an.nguyen@example.vn".into(),
                phone: "0901234567".into(),
                company: "Công ty TNHH Ví Dụ".into(),
                address: "12 Lê Lợi, Quận 1, TP. Hồ Chí Minh".into(),
            },
            next_id: 0,
            ahead: 0,
            install_time: options.install_time,
            power_time: options.power_time,
            deposit_time: options.deposit_time,
        };
        for (kind, name, plan, price, os) in [
            (ServiceKind::Vps, "web-01", 26, 149_000, "ubuntu-22.04"),
            (ServiceKind::Vps, "db-01", 27, 279_000, "debian-12"),
            (ServiceKind::Hosting, "vidu.vn", 12, 79_000, ""),
            (ServiceKind::Email, "vidu.vn", 41, 49_000, ""),
        ] {
            let service = account.service(kind, name, plan, "monthly", price);
            service.os = os.to_owned();
            service.ready_at = now;
        }
        let id = account.id();
        account.invoices.push(Invoice {
            id,
            total: 149_000,
            description: "Gia hạn VPS SSD 2".into(),
            created_at: now - 2 * DAY,
            due_at: now + 5 * DAY,
            paid_at: None,
        });
        account
    }

    /// The account's time, in milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        ambient::unix_millis() + self.ahead
    }

    /// Moves the account's clock.
    pub(super) fn advance(&mut self, millis: i64) {
        self.ahead = self.ahead.saturating_add(millis);
        self.settle();
    }

    /// Everything that time brings: deposits that arrive, tickets that are answered.
    pub(super) fn settle(&mut self) {
        let now = self.now();
        let arrived: Vec<(String, i64)> = self
            .deposits
            .iter_mut()
            .filter(|deposit| !deposit.paid && deposit.arrives_at <= now)
            .map(|deposit| {
                deposit.paid = true;
                (deposit.code.clone(), deposit.amount)
            })
            .collect();
        for (code, amount) in arrived {
            self.post(amount, "deposit", format!("Nạp tiền Sepay {code}"));
        }
        for ticket in &mut self.tickets {
            if ticket.answer_at.is_some_and(|at| at <= now) {
                ticket.answer_at = None;
                let id = ticket.id * 100 + i64::try_from(ticket.replies.len()).unwrap_or_default();
                let message = "Chào bạn, chúng tôi đã nhận được yêu cầu và đang kiểm tra.".to_owned();
                ticket.replies.push(Reply {
                    id,
                    author: "Hỗ trợ",
                    message,
                    attachments: Vec::new(),
                    at: now,
                });
            }
        }
    }

    /// A new identifier.
    pub(super) fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// Moves money.
    pub(super) fn post(&mut self, amount: i64, kind: &'static str, description: String) {
        self.balance += amount;
        let (id, at, balance_after) = (self.id(), self.now(), self.balance);
        self.transactions.push(Transaction { id, amount, kind, description, balance_after, at });
    }

    /// Takes money for something and writes it down, or refuses and changes nothing.
    pub(super) fn charge(&mut self, action: &str, amount: i64, description: &str) -> Result<i64, Refusal> {
        if amount > self.balance {
            return Err(Refusal::new(Kind::Balance, "Số dư không đủ, vui lòng nạp thêm tiền"));
        }
        self.post(-amount, "payment", description.to_owned());
        let at = self.now();
        self.ledger.push(Execution {
            sequence: self.ledger.len() + 1,
            at,
            action: action.to_owned(),
            amount,
            description: description.to_owned(),
            balance_after: self.balance,
        });
        let id = self.id();
        let paid_at = Some(at);
        self.invoices.push(Invoice {
            id,
            total: amount,
            description: description.to_owned(),
            created_at: at,
            due_at: at,
            paid_at,
        });
        Ok(id)
    }

    /// A new service that is being installed.
    pub(super) fn service(
        &mut self,
        kind: ServiceKind,
        name: &str,
        plan: i64,
        cycle: &str,
        price: i64,
    ) -> &mut Service {
        let (id, now) = (self.id(), self.now());
        let install = i64::try_from(self.install_time.as_millis()).unwrap_or(i64::MAX);
        let months =
            super::catalog::CYCLES.iter().find(|(name, _)| *name == cycle).map_or(1, |(_, months)| *months);
        let index = self.services.len();
        self.services.push(Service {
            id,
            kind,
            name: name.to_owned(),
            plan,
            cycle: cycle.to_owned(),
            price,
            os: String::new(),
            password: String::new(),
            ip: format!("203.0.113.{}", id % 250 + 1),
            running: true,
            switching: (now, true),
            ready_at: now.saturating_add(install),
            created_at: now,
            expires_at: now + months * 30 * DAY,
            reboots: 0,
            reinstalls: 0,
        });
        #[expect(clippy::indexing_slicing, reason = "pushed just above")]
        &mut self.services[index]
    }

    /// Begins an installation over again.
    pub(super) fn install_until(&self) -> i64 {
        self.now().saturating_add(i64::try_from(self.install_time.as_millis()).unwrap_or(i64::MAX))
    }

    /// When a VPS has started or stopped that begins to now: at once, if it takes no more than the shortest time there is.
    pub(super) fn power_until(&self) -> i64 {
        let time = i64::try_from(self.power_time.as_millis()).unwrap_or(i64::MAX);
        self.now().saturating_add(time.saturating_sub(1))
    }

    /// When a deposit that is opened now arrives.
    pub(super) fn deposit_until(&self) -> i64 {
        self.now().saturating_add(i64::try_from(self.deposit_time.as_millis()).unwrap_or(i64::MAX))
    }

    /// A service of a kind.
    pub(super) fn find(&mut self, kind: ServiceKind, id: i64) -> Result<&mut Service, Refusal> {
        self.services
            .iter_mut()
            .find(|service| service.kind == kind && service.id == id)
            .ok_or_else(|| Refusal::new(Kind::Missing, format!("Không tìm thấy dịch vụ {id}")))
    }
}
