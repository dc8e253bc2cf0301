//! A client of gizad over gRPC: what a service in Rust would copy.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{error, fmt, fs, io};

use tokio::time::{Instant, sleep};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{FieldViolation, StatusExt as _};

/// The stubs, made by `build.rs`.
pub mod gizad {
    tonic::include_proto!("gizad.v1");
}

use gizad::operation::State;
use gizad::operation_service_client::OperationServiceClient;
use gizad::vps_service_client::VpsServiceClient;
use gizad::wallet_service_client::WalletServiceClient;
use gizad::{
    CreateVpsRequest, GetOperationRequest, GetWalletRequest, ListOperationsRequest, Operation,
    WatchOperationsRequest,
};

/// How long one attempt may take: it becomes the deadline of the call.
const READ: Duration = Duration::from_secs(10);
/// A purchase has the provider's time beside gizad's own.
const BUY: Duration = Duration::from_secs(65);

/// A call that did not succeed, with what gizad says about it.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub reason: String,
    pub detail: String,
    pub metadata: HashMap<String, String>,
    pub violations: Vec<FieldViolation>,
    /// When it makes sense to ask again, if gizad knows.
    pub retry_after: Option<Duration>,
    pub request_id: String,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let code = match status.code() {
            // What is not gizad's own has no ErrorInfo. tonic's words for a time that is over, and for a connection that broke.
            Code::Cancelled if info.is_none() => Code::DeadlineExceeded,
            Code::Unknown | Code::Internal if info.is_none() => Code::Unavailable,
            code => code,
        };
        Self {
            code,
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            detail: status.message().to_owned(),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            violations: details.bad_request().map(|wrong| wrong.field_violations.clone()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            request_id: details.request_info().map(|request| request.request_id.clone()).unwrap_or_default(),
        }
    }
}

impl Failure {
    /// UNAVAILABLE, whatever was called, and a limit that says when. Nothing else gets better by asking again.
    pub fn may_repeat(&self) -> bool {
        self.code == Code::Unavailable || self.code == Code::ResourceExhausted && self.retry_after.is_some()
    }

    /// The call may have been carried out: gizad does not know yet, or its answer did not come in time.
    pub fn is_undecided(&self) -> bool {
        self.reason == "OUTCOME_UNKNOWN" || self.code == Code::DeadlineExceeded
    }

    fn name(&self) -> String {
        format!("{} {}", code_name(self.code), self.reason).trim_end().to_owned()
    }

    fn pause(&self, attempt: i32) -> Duration {
        self.retry_after.unwrap_or_default() + backoff(attempt)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.detail)
    }
}

impl error::Error for Failure {}

/// One for the whole program; a clone is cheap. Connections are made, shared and made anew behind it.
#[derive(Clone)]
pub struct Client {
    wallet: WalletServiceClient<Channel>,
    vps: VpsServiceClient<Channel>,
    operations: OperationServiceClient<Channel>,
    token: Option<PathBuf>,
}

impl Client {
    /// A client of the gizad at `localhost:7070` or `unix:/run/gizad/gizad.sock`, with the token in a file, if one is needed.
    pub fn new(target: &str, token: Option<PathBuf>) -> Result<Self, tonic::transport::Error> {
        // In the clear: for the Unix socket and this machine. Elsewhere gizad has TLS: https, and tonic's feature `tls-ring`.
        let uri = if target.starts_with("unix:") { target.to_owned() } else { format!("http://{target}") };
        let channel = Endpoint::from_shared(uri)?
            .connect_timeout(Duration::from_secs(5))
            // A stream may be silent for long: whether the other end is still there is asked after a minute.
            .http2_keep_alive_interval(Duration::from_secs(60))
            .keep_alive_timeout(Duration::from_secs(20))
            .connect_lazy();
        Ok(Self {
            wallet: WalletServiceClient::new(channel.clone()),
            vps: VpsServiceClient::new(channel.clone()),
            operations: OperationServiceClient::new(channel),
            token,
        })
    }

    /// What is in the wallet, in đồng, if the provider says so.
    pub async fn balance(&self) -> Result<Option<i64>, Failure> {
        let method = async |request| self.wallet.clone().get_wallet(request).await;
        let until = Instant::now() + Duration::from_secs(60);
        Ok(self.call(GetWalletRequest::default(), READ, until, method).await?.balance_vnd)
    }

    /// Buys a server, once, however often this is called with this key and this order.
    ///
    /// The operation says what became of it, and may be in doubt still when the time is over: then call this again, with the same
    /// key.
    pub async fn buy(
        &self,
        order: CreateVpsRequest,
        key: &str,
        within: Duration,
    ) -> Result<Operation, Failure> {
        let order = CreateVpsRequest { request_id: key.to_owned(), ..order };
        let until = Instant::now() + within;
        loop {
            let method = async |request| self.vps.clone().create_vps(request).await;
            let operation = match self.call(order.clone(), BUY, until, method).await {
                Ok(operation) => Some(operation),
                Err(failure) if failure.is_undecided() => {
                    // Whether it was bought is written down at gizad, under the key. To send the order again would tell nothing new.
                    eprintln!("{}: asking what became of {key}", failure.name());
                    let found = self.find(key).await?;
                    if found.is_none() && Instant::now() > until {
                        return Err(failure);
                    }
                    found
                }
                Err(failure) => return Err(failure),
            };
            match operation {
                Some(operation) if operation.state() != State::NotSent => {
                    return self.settled(operation, until).await;
                }
                Some(operation) if Instant::now() > until => return Ok(operation),
                // It never came to gizad, or it is proven that nothing was sent: the same call, with the same key.
                _ => sleep(backoff(3)).await,
            }
        }
    }

    /// The operation under a key of ours, if there is one.
    pub async fn find(&self, key: &str) -> Result<Option<Operation>, Failure> {
        let asked = ListOperationsRequest { request_id: key.to_owned(), ..Default::default() };
        let method = async |request| self.operations.clone().list_operations(request).await;
        let until = Instant::now() + Duration::from_secs(60);
        Ok(self.call(asked, READ, until, method).await?.operations.into_iter().next())
    }

    /// The same operation once nothing changes any more, a person has to decide, or the time is over.
    pub async fn settled(&self, mut operation: Operation, until: Instant) -> Result<Operation, Failure> {
        while !operation.done && !matches!(operation.state(), State::AwaitingApproval | State::NeedsOperator)
        {
            let wait = Duration::from_secs(30).min(until - Instant::now()).as_secs();
            if wait == 0 {
                break;
            }
            // Waits at gizad, which answers as soon as something has become of it.
            let asked = GetOperationRequest {
                operation_id: operation.operation_id.clone(),
                wait: format!("{wait}s"),
            };
            let method = async |request| self.operations.clone().get_operation(request).await;
            operation = self.call(asked, Duration::from_secs(wait) + READ, until + READ, method).await?;
        }
        Ok(operation)
    }

    /// Tells every operation as it changes, for as long as the program runs.
    pub async fn watch(&self, mut tell: impl FnMut(Operation)) -> Result<(), Failure> {
        let mut attempt = 0;
        loop {
            let told: Result<(), Status> = async {
                // No deadline: the stream is meant to last. What is under way or in doubt comes first, each time it is begun.
                let request = self.request(WatchOperationsRequest::default())?;
                let mut stream: Streaming<Operation> =
                    self.operations.clone().watch_operations(request).await?.into_inner();
                while let Some(operation) = stream.message().await? {
                    attempt = 0;
                    tell(operation);
                }
                Ok(())
            }
            .await;
            let pause = match told.map_err(Failure::from) {
                Ok(()) => backoff(attempt),
                Err(failure) if failure.may_repeat() => failure.pause(attempt),
                Err(failure) => return Err(failure),
            };
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// Calls until it is answered, or until then.
    async fn call<Q: Clone, A>(
        &self,
        request: Q,
        timeout: Duration,
        until: Instant,
        method: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let mut attempt = 0;
        loop {
            let mut request = self.request(request.clone())?;
            request.set_timeout(timeout.min(until - Instant::now()).max(Duration::from_millis(1)));
            let failure = match method(request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => Failure::from(status),
            };
            let pause = failure.pause(attempt);
            if !failure.may_repeat() || Instant::now() + pause > until {
                return Err(failure);
            }
            eprintln!("{}: again in {:.2} s", failure.name(), pause.as_secs_f64());
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// A request with the token, which is read anew for each call, so that a file that was replaced is followed without a restart.
    fn request<Q>(&self, message: Q) -> Result<Request<Q>, Status> {
        let mut request = Request::new(message);
        if let Some(file) = &self.token {
            let unread = |error: io::Error| Status::unauthenticated(format!("{}: {error}", file.display()));
            let text = fs::read_to_string(file).map_err(unread)?;
            let mut value = AsciiMetadataValue::try_from(format!("Bearer {}", text.trim()))
                .map_err(|_| Status::unauthenticated(format!("{}: no token is in it", file.display())))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// Up to 0.1, 0.2, 0.4 … 5 seconds, by chance, so that those who failed together do not come back together.
fn backoff(attempt: i32) -> Duration {
    Duration::from_secs_f64(fastrand::f64() * (0.1 * 2_f64.powi(attempt)).min(5.0))
}

/// `FailedPrecondition` as gRPC spells it.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_uppercase());
    }
    name
}

/// A key for one purchase that outlives this process: it is on the disk before the purchase is sent, and found there again.
pub fn kept_key(path: &Path) -> io::Result<String> {
    use io::Write as _;
    if !path.exists() {
        let new = path.with_added_extension("new");
        let mut file = fs::File::create(&new)?;
        write!(file, "{}", uuid::Uuid::new_v4())?;
        file.sync_all()?;
        fs::rename(new, path)?;
    }
    Ok(fs::read_to_string(path)?.trim().to_owned())
}
