//! `gizad` stands between a company's own programs and the GizaData hosting API. It holds the account's API key and
//! turns the provider's one endpoint (`POST /api {"action": …, "identifier": …, "secret": …}`) into typed REST and
//! gRPC.
//!
//! This is the map. It has no logic.
//!
//! ```text
//!           proto/                                              deploy/gizad.toml
//!   what is true of an operation                             what this operator wants
//!             │                                                      │
//!             ▼                                                      ▼
//!       ┌───────────┐                                          ┌───────────┐
//!       │ contract  │  the rows; read by every room            │ settings  │──► boot: assembles,
//!       └───────────┘                                          └───────────┘    runs, drains
//!
//!             ┌──────────┐  Call   ┌──────────┐  Call   ┌──────────┐  {"action": …}
//!  caller ───►│   edge   │────────►│  policy  │────────►│ upstream │───────────────► provider
//!         ◄───│          │◄────────│          │◄────────│          │◄───────────────  (or sandbox)
//!             └──────────┘  Reply  └──────────┘  Reply  └──────────┘   whatever it says
//!               rest grpc  | Fault   detach      | Fault  encode
//!               problem              log  actions         credentials (added last)
//!               knows bytes,         access  audit        lanes  know: was it sent?
//!               decides nothing      guard                judge  knows: did it work?
//!                                    waiting ─► watch
//!                                    purchase ─► ledger
//!                                    cache  quota  pace   decode
//!                                    retry  breaker
//!                                    credentials  measure ─► metrics
//! ```
//!
//! # The rooms
//!
//! | room | what it is for | what is absent |
//! | --- | --- | --- |
//! | [`contract`] | the operations, read from `proto/` and resolved into rows | an HTTP server, a provider's spelling, a setting |
//! | [`call`] | what travels: a call, a reply | bytes, a status code |
//! | [`fault`] | why a call did not succeed, and whether it was sent | a status code |
//! | [`edge`] | bytes ⇄ calls, for REST and gRPC | a policy, a provider, a decision |
//! | [`policy`] | the stack of layers between them | bytes, status codes, JSON |
//! | [`upstream`] | calls ⇄ the provider's JSON; the only way to the provider, the only holder of the key | a caller's face, a policy |
//! | [`watch`] | what is looked at again and again, one look for all who want to know | a wire, a look for nobody |
//! | [`purchase`] | what becomes of a call that must not run twice: a record, its states, what proves an outcome | a clock, a disk, a socket |
//! | [`outward`] | whom gizad believes when it calls somebody, and how the errors of that read | who is called, and why |
//! | [`vietqr`] | what a banking app reads of a transfer, as text and as a picture | a bank that is guessed |
//! | [`database`] | how a database is spoken to, SQLite's and PostgreSQL's part of it | a table of anybody's |
//! | [`ledger`] | what must still be known after `kill -9` | how a call is made |
//! | [`shared`] | what replicas of one account share beside the ledger: who is there, the pace, what is watched, the catalog | what must not be lost; anything of the account in clear |
//! | [`records`] | the ledger as a person and a spreadsheet read it | a secret; anything that is written |
//! | [`audit`] | who did what, in lines that show when one is missing | what is worth a line; a secret |
//! | [`settings`] | what was written → what is used; the only reader of files and environment | anything that runs |
//! | [`state`] | files that may be lost | what is in them |
//! | [`telemetry`] | the log | what is logged |
//! | [`traces`] | which calls belong together, and where their time went; what sends that to a collector | what a call is; a word of a request or an answer |
//! | [`metrics`] | what is counted and measured, in one table | a word that a caller can choose |
//! | [`client`] | one call from outside, as the command line makes it | what it means; a second attempt |
//! | [`sandbox`] | a provider on a real socket | the gateway |
//! | [`boot`] | assembles, binds, spawns, drains | logic of its own |
//! | [`doctor`] | whether everything is right, and what to do if it is not | a secret; anything that is changed |
//! | [`plant`] | mistakes that tests plant, and the seeds of simulations | anything outside of tests |
//! | [`ambient`] | the door to clock and randomness | everything else |
//!
//! `tests/shape.rs` reads every `use crate::…` and holds these arrows.
//!
//! # Invariants
//!
//! - **The contract is a table.** An operation is declared once, in `proto/`. REST, gRPC, the provider's body, the
//!   effects, `gizad routes` and the OpenAPI document are readings of it. Adding an operation touches no line of `src/`.
//! - **A provider's spelling stands in `proto/`** (and in the sandbox, which is a provider). What `upstream` knows
//!   beyond it are the habits of such APIs: how they say yes and no, how they write money and dates.
//! - **A fault knows whether the provider may have acted.** Everything is [`fault::Sent::Maybe`] unless the opposite
//!   is proven, and for what must not run twice a *maybe* is always `OUTCOME_UNKNOWN`, never an error that invites a
//!   repeat.
//! - **What must not run twice** goes over a connection of its own, whose bytes are counted, in a task that no caller
//!   can cancel, and is sent once.
//! - **Money is written down first.** A purchase is in the ledger, and on the disk, before its first byte leaves; an outcome
//!   that nobody was told is a state of its own, which only evidence or a person ends, and never time alone.
//! - **One purchase at a time**, from the look before it to its end, so that what moves has one explanation.
//! - **Evidence is two pieces that agree**, asked of the provider and never of memory. What another operation could explain
//!   is no evidence.
//! - **Refusal before success.** No answer that carries a sign of refusal is a success, and none that fits no rule.
//! - **Lossless.** What the provider says and the contract has no field for is kept in `extra`.
//! - **No code for a transfer that should not be made.** A bank is known or there is no code, and what is paid or expired has none.
//! - **The key** is added last, leaves only to the provider, follows no redirect and no proxy, and is taken out of
//!   whatever comes back. It is not in the process's environment, memory that held it is wiped, and nobody reads the rest.
//! - **A new key** is used once the provider has accepted it and the ledger is sealed with it, and not before. While the
//!   provider refuses the key, nothing is sent but a harmless question now and then.
//! - **Nobody who is known to be somebody is taken for nobody.** Keys, budgets and operations belong to names. A token, a user
//!   on the Unix socket or a certificate that stands for no name is refused, whatever is asked.
//! - **What changes or reveals something leaves a trace**, before it is done; what must leave one is not done without.
//! - **A restart loses no call.** Sockets that somebody else holds stay open; what was sent before anybody could know of the stop is
//!   answered; what is cut off all the same is named.
//! - **Replicas are one account.** Whatever cannot be shared at the moment is used less, never more: a replica that is cut off keeps to
//!   its part of the rate, buys nothing, and shows nothing as fresh that another may have changed.
//! - **A figure has no word that a caller can choose**, and what is not known is absent and not 0.
//! - **The provider learns nothing of a trace.** A context comes in and ends here; what is sent to the provider is the same with
//!   and without one.
//! - **No page of another site is a caller.** A request names a host that is known and comes from no other site, whatever the
//!   address it reached. The pages that gizad serves itself may ask it, and nobody else.
//! - **What was seen once may be old.** Nothing that is waited for counts before two looks in a row agree, both of them from
//!   after it was begun. However many wait or watch, and through however many replicas, there is one look.
//! - **Whoever waits makes room.** Of connections at whose calls gizad does not work, one goes for a newcomer; what it works at is
//!   never given up, and what it needs itself is kept back.
//!
//! # Where this departs from the design it was built from
//!
//! - Requests are checked at the edge, not by a policy, so that unreadable fields and broken rules are reported
//!   together; a [`call::Call`] is valid by construction.
//! - JSON is read and written here and not by prost-reflect: every mistake of a body is found at once with its field,
//!   and a field the provider did not mention is shown as null instead of left out.
//! - There is no proxy setting: both lanes go straight to the provider.
//! - A purchase that is proven unsent is not given up: its state is `NOT_SENT`, and the same key tries again, because a client
//!   that is told 503 does just that.
//! - A refusal is confirmed by the whole look (wallet, movements, list) and not by the balance alone, which may lag.
//! - Absence takes a quiet time of 24 hours and not of minutes, for providers that carry things out late.
//! - When the ledger cannot say what is known of a key, the call is 503 with `sent: maybe`: it sent nothing itself, but one before
//!   it may have.
//! - With the audit log three writes of a purchase are synced and not two: who asks for it is on the disk before the record is.
//! - What is public and fresh in memory is answered past the layers, none of which would change it, unless a token, a user, a
//!   certificate or a wish has to be looked at.
//! - Spans are made here and not by `tracing`, and OTLP is written with the prost that is here: what is not recorded costs nothing, a
//!   span says only what it is told to, and OpenTelemetry's own crates would bring more than all of that.
//! - PostgreSQL carries all that replicas share, and not the ledger alone: one setting makes gizads replicas of each other.
//! - A replica's burst is a part of the account's, so there are no more replicas than `pace.burst`: those that cannot hear of each
//!   other may each send a call at the same moment, whatever they do.
//! - With replicas nothing of the account is kept in memory, no read of it is joined that has left for the provider, and no start or
//!   stop is spared: another replica may have changed it.
//! - The ledger's keys come from one random key, which is kept sealed with the API secret, so that a new secret loses nothing.

pub mod ambient;
pub mod audit;
pub mod boot;
pub mod call;
pub mod client;
pub mod contract;
pub mod database;
pub mod doctor;
pub mod edge;
pub mod fault;
pub mod ledger;
pub mod metrics;
pub mod outward;
pub mod plant;
pub mod policy;
pub mod purchase;
pub mod records;
pub mod sandbox;
pub mod settings;
pub mod shared;
pub mod state;
pub mod telemetry;
pub mod traces;
pub mod upstream;
pub mod vietqr;
pub mod watch;
