//! Who calls, and whether it may: a call gets the name and the scopes that belong to its token or else to its connection, and
//! goes on if they are enough.
//!
//! Neither a token nor an identity that is not known is ever taken for none, so that nobody who means to be somebody is
//! somebody else: idempotency keys, budgets and operations belong to names. Absent here: the tokens, of which only digests
//! are known.

mod claims;
mod still;

#[cfg(test)]
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use subtle::{Choice, ConstantTimeEq as _};
use tower::Service;

use super::{Answering, Inner};
use crate::ambient;
use crate::call::{Barred, Call, Caller, Peer, Presented, Reply, Scope, Scopes, Token};
use crate::contract::Effect;
use crate::fault::{Fault, Lacking, Reason};

pub use claims::Claims;

/// The settings of access.
#[derive(Clone, Debug)]
pub struct Options {
    /// The callers that are known, by name.
    pub callers: BTreeMap<String, Grant>,
    /// What everybody else may do.
    pub anonymous: Anonymous,
}

/// What a caller has.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// The digests of its tokens: one, two while one takes the place of the other, or none.
    pub tokens: Vec<[u8; 32]>,
    /// What it may do.
    pub scopes: Scopes,
    /// What it is known by without a token.
    pub claims: Claims,
    /// The only operations that it may call, if there is such a list. The catalog is for everyone.
    pub operations: Option<BTreeSet<String>>,
    /// From when on it may do nothing any more, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
}

/// What may be done by those of whom nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// Everything, because nothing is real.
    Everything,
    /// This.
    Only(Scopes),
}

/// Compared with where there is nothing to compare with, so that it takes as long. The digest of nothing that is known.
const NOBODY: &[[u8; 32]] = &[[0; 32]];

/// The callers.
#[derive(Debug)]
pub(super) struct Register(RwLock<Arc<Known>>);

#[derive(Debug)]
struct Known {
    callers: BTreeMap<Arc<str>, Grant>,
    anonymous: Anonymous,
}

impl Known {
    fn new(options: &Options) -> Self {
        let callers = options.callers.iter().map(|(name, grant)| (name.as_str().into(), grant.clone()));
        Self { callers: callers.collect(), anonymous: options.anonymous }
    }

    /// Who it is. Whoever shows a token means to be the one it names.
    fn caller(&self, presented: &Presented) -> Result<Who<'_>, Barred> {
        match &presented.token {
            Some(token) => self.holder(token),
            None => self.connected(&presented.peer),
        }
    }

    /// Whose token it is.
    fn holder(&self, token: &Token) -> Result<Who<'_>, Barred> {
        let named = token.caller();
        let found = named.and_then(|name| self.callers.get_key_value(name));
        let sum = token.sha256();
        let sums = found.map(|(_, grant)| &grant.tokens).filter(|sums| !sums.is_empty());
        let sums = sums.map_or(NOBODY, Vec::as_slice);
        let fits = sums.iter().fold(Choice::from(0), |fits, kept| fits | kept.ct_eq(&sum));
        match (found, named) {
            // Only who has the token is told that its time is over.
            (Some((name, grant)), _) if fits.into() => Who::granted(name, grant),
            (_, Some(name)) => Err(Barred::Unknown(name.into())),
            (_, None) => Err(Barred::NoToken),
        }
    }

    /// The call of who really calls. Nobody needs to know how that was found any more.
    fn name(&self, call: Call) -> Call {
        let presented = Presented::default();
        match self.caller(&call.presented) {
            Ok(Who { caller, scopes, operations }) => {
                let listed = call.effect == Effect::Public
                    || operations.is_none_or(|list| list.contains(&call.operation.name));
                let barred = (!listed).then_some(Barred::NotListed);
                Call { presented, caller, scopes, barred, ..call }
            }
            Err(barred) => Call { presented, scopes: Scopes::NONE, barred: Some(barred), ..call },
        }
    }

    /// Whose connection it is.
    fn connected(&self, peer: &Peer) -> Result<Who<'_>, Barred> {
        if let Some((name, grant)) = claims::claimant(&self.callers, peer) {
            return Who::granted(name, grant);
        }
        let of = |caller, scopes| Ok(Who { caller, scopes, operations: None });
        let stranger = match peer {
            Peer::Process(process) if process.is_own => return of(Caller::Owner, Scopes::all()),
            Peer::Process(process) => format!("{process} is no caller: callers.NAME.uid says who is"),
            Peer::Certificate(certificate) => {
                format!("{certificate} is of no caller: callers.NAME.spiffe and .subject say who is")
            }
            Peer::Unproven => String::new(),
        };
        match self.anonymous {
            Anonymous::Everything => of(Caller::Anonymous, Scopes::all()),
            Anonymous::Only(scopes) if *peer == Peer::Unproven => of(Caller::Anonymous, scopes),
            Anonymous::Only(_) => Err(Barred::Stranger(stranger.into())),
        }
    }
}

/// Somebody who is known, or of whom nothing is.
struct Who<'a> {
    caller: Caller,
    scopes: Scopes,
    operations: Option<&'a BTreeSet<String>>,
}

impl<'a> Who<'a> {
    /// A caller, while its time is not over.
    fn granted(name: &Arc<str>, grant: &'a Grant) -> Result<Self, Barred> {
        let over = grant.expires_ms.filter(|end| ambient::unix_millis() >= *end);
        let caller = || Caller::Named(name.clone());
        over.map_or_else(
            || Ok(Self { caller: caller(), scopes: grant.scopes, operations: grant.operations.as_ref() }),
            |end| Err(Barred::Expired(name.clone(), end)),
        )
    }
}

impl Register {
    pub(super) fn new(options: &Options) -> Self {
        Self(RwLock::new(Arc::new(Known::new(options))))
    }

    /// Takes new callers over.
    pub(super) fn change(&self, options: &Options) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Known::new(options));
    }

    /// Everybody who may call by a name, and those who have none.
    pub(super) fn names(&self) -> Vec<Caller> {
        let named = self.known().callers.keys().cloned().map(Caller::Named).collect::<Vec<_>>();
        named.into_iter().chain([Caller::Owner, Caller::Anonymous]).collect()
    }

    /// Everyone who is known, and what each has.
    pub(super) fn callers(&self) -> Vec<(Caller, Grant)> {
        let known = self.known();
        known.callers.iter().map(|(name, grant)| (Caller::Named(name.clone()), grant.clone())).collect()
    }

    /// What may be done by those of whom nothing is known.
    pub(super) fn anonymous(&self) -> Scopes {
        match self.known().anonymous {
            Anonymous::Everything => Scopes::all(),
            Anonymous::Only(scopes) => scopes,
        }
    }

    fn known(&self) -> Arc<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a call needs: one of these, or nothing.
fn needed(call: &Call) -> &'static [Scope] {
    match call.effect {
        Effect::Public => &[],
        Effect::Read => &[Scope::Read],
        Effect::Secret => &[Scope::Sensitive],
        // Gizad's own record asks more of some, and knows whose operation it is.
        Effect::Converge | Effect::Once if call.operation.local => {
            &[Scope::Admin, Scope::Write, Scope::Spend]
        }
        Effect::Converge | Effect::Once => &[Scope::Write],
        Effect::Spend => &[Scope::Spend],
    }
}

/// Finds out who calls, and refuses nobody.
#[derive(Clone)]
pub(super) struct Identify<S> {
    register: Arc<Register>,
    inner: S,
}

impl<S> Identify<S> {
    pub(super) fn new(register: Arc<Register>, inner: S) -> Self {
        Self { register, inner }
    }
}

impl<S: Inner> Service<Call> for Identify<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let asked = call.operation.watch.is_some().then(|| call.clone());
        let answering = self.inner.call(self.register.known().name(call));
        match asked {
            None => answering,
            Some(asked) => still::allowed(self.register.clone(), asked, answering),
        }
    }
}

/// What is told of every refusal.
pub(super) type Refused = Arc<dyn Fn(&Call, &Fault) + Send + Sync>;

/// Lets through who may.
#[derive(Clone)]
pub(super) struct Access<S> {
    refused: Refused,
    inner: S,
}

impl<S> Access<S> {
    pub(super) fn new(refused: Refused, inner: S) -> Self {
        Self { refused, inner }
    }
}

/// What stands against a call.
fn objection(call: &Call) -> Option<Fault> {
    if let Some(barred) = &call.barred {
        return Some(refusal(barred, call));
    }
    if !call.presented.is_nothing() {
        return Some(Fault::new(Reason::Internal, "nobody has looked at who calls"));
    }
    let needed = needed(call);
    let lacking = *needed.first()?;
    let enough = needed.iter().any(|scope| call.scopes.has(*scope));
    (!enough).then(|| match call.caller {
        Caller::Anonymous => {
            let detail = format!(
                "this needs the scope {}, and nothing says who asks: send a token (`gizad token new NAME` makes \
                 one), or come over the Unix socket (listen.socket)",
                lacking.as_str()
            );
            Fault::unknown(Lacking::Name, detail)
        }
        Caller::Gizad | Caller::Metrics | Caller::Watch | Caller::Owner | Caller::Named(_) => {
            Fault::lacking(lacking)
        }
    })
}

fn refusal(barred: &Barred, call: &Call) -> Fault {
    match barred {
        Barred::NoToken => Fault::unknown(
            Lacking::Token,
            "what came in Authorization is no token: expected Bearer and gzd_…, whole and unchanged",
        ),
        Barred::Unknown(name) => Fault::unknown(Lacking::Token, "this token is not known, or not any more")
            .with_private(format!("it names the caller {name}")),
        Barred::Expired(name, _) => {
            let detail =
                "the time of this caller is over: it may do nothing any more, and its token has expired";
            Fault::unknown(Lacking::Token, detail).with_private(format!("it is {name}"))
        }
        Barred::Stranger(detail) => Fault::unknown(Lacking::Name, &**detail),
        Barred::NotListed => {
            let (caller, operation) = (call.caller.as_str(), &call.operation.name);
            let detail = format!("{operation} is none of the operations that the caller {caller} may call");
            Fault::new(Reason::OperationNotGranted, detail)
        }
    }
}

impl<S: Inner> Service<Call> for Access<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match objection(&call) {
            None => self.inner.call(call),
            Some(fault) => {
                (self.refused)(&call, &fault);
                Box::pin(std::future::ready(Err(fault)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Process;
    use crate::policy::play;

    const OF: [(Effect, Option<Scope>); 6] = [
        (Effect::Public, None),
        (Effect::Read, Some(Scope::Read)),
        (Effect::Secret, Some(Scope::Sensitive)),
        (Effect::Converge, Some(Scope::Write)),
        (Effect::Once, Some(Scope::Write)),
        (Effect::Spend, Some(Scope::Spend)),
    ];

    const NOTHING: Anonymous = Anonymous::Only(Scopes::NONE);

    /// A call of the provider; gizad's own operations are another matter.
    fn of_effect(effect: Effect) -> Call {
        match effect {
            Effect::Converge => play::call("VpsService.StopVps"),
            other => play::of_effect(other),
        }
    }

    fn scopes(scopes: &[Scope]) -> Scopes {
        scopes.iter().copied().collect()
    }

    fn options(callers: &[(&str, &Token, &[Scope])], anonymous: Anonymous) -> Options {
        let callers =
            callers.iter().map(|(name, token, granted)| ((*name).to_owned(), grant(&[token], granted)));
        Options { callers: callers.collect(), anonymous }
    }

    fn grant(tokens: &[&Token], granted: &[Scope]) -> Grant {
        let tokens = tokens.iter().map(|token| token.sha256()).collect();
        Grant { tokens, scopes: scopes(granted), ..Grant::default() }
    }

    fn shown(token: &Token) -> Presented {
        Presented { token: Some(token.clone()), peer: Peer::Unproven }
    }

    fn token(name: &str) -> Token {
        Token::new(name).expect("randomness").0
    }

    type Door = Identify<Access<play::Provider>>;

    fn access(options: &Options) -> Door {
        Identify::new(
            Arc::new(Register::new(options)),
            Access::new(Arc::new(|_, _| ()), play::Provider::fine()),
        )
    }

    impl Door {
        fn admit(&self, call: Call) -> Result<Call, Fault> {
            let call = self.register.known().name(call);
            objection(&call).map_or(Ok(call), Err)
        }
    }

    fn outcome(access: &Door, effect: Effect, token: Option<&Token>) -> Result<Caller, Reason> {
        let presented = token.map(shown).unwrap_or_default();
        let call = Call { presented, ..of_effect(effect) };
        access.admit(call).map(|call| call.caller).map_err(|fault| fault.reason)
    }

    #[test]
    fn each_effect_needs_its_scope_and_no_other_will_do() {
        for granted in Scope::ALL {
            let ci = token("ci");
            let access = access(&options(&[("ci", &ci, &[granted])], NOTHING));
            for (effect, needed) in OF {
                let expected = match needed {
                    Some(needed) if needed != granted => Err(Reason::ScopeMissing),
                    _ => Ok(Caller::named("ci")),
                };
                assert_eq!(outcome(&access, effect, Some(&ci)), expected, "{granted:?} {effect}");
                if let Err(fault) = access.admit(Call { presented: shown(&ci), ..of_effect(effect) }) {
                    assert!(fault.detail.ends_with(needed.expect("one").as_str()), "{}", fault.detail);
                }
            }
        }
    }

    #[test]
    fn whoever_only_reads_decides_nothing_in_gizads_own_record() {
        for granted in Scope::ALL {
            let ci = token("ci");
            let access = access(&options(&[("ci", &ci, &[granted])], NOTHING));
            let resolve = play::call("OperationService.ResolveOperation");
            let admitted = access.admit(Call { presented: shown(&ci), ..resolve });
            let enough = matches!(granted, Scope::Admin | Scope::Write | Scope::Spend);
            assert_eq!(admitted.is_ok(), enough, "{granted:?}");
        }
    }

    #[test]
    fn who_comes_without_a_token_gets_what_the_settings_say() {
        let ci = token("ci");
        let none: &[(&str, &Token, &[Scope])] = &[];
        let one: &[(&str, &Token, &[Scope])] = &[("ci", &ci, &[Scope::Read])];
        let read = Anonymous::Only(scopes(&[Scope::Read]));
        for (callers, anonymous, reads, spends) in [
            (none, NOTHING, false, false),
            (one, NOTHING, false, false),
            (one, Anonymous::Everything, true, true),
            (none, read, true, false),
            (one, read, true, false),
        ] {
            let access = access(&options(callers, anonymous));
            for (effect, may) in [(Effect::Public, true), (Effect::Read, reads), (Effect::Spend, spends)] {
                let expected = if may { Ok(Caller::Anonymous) } else { Err(Reason::Unauthenticated) };
                assert_eq!(outcome(&access, effect, None), expected, "{anonymous:?} {effect}");
            }
        }
    }

    #[test]
    fn a_token_that_is_not_known_is_refused_whatever_is_asked() {
        let (ci, other) = (token("ci"), token("ci"));
        let with_one = access(&options(&[("ci", &ci, &Scope::ALL)], Anonymous::Everything));
        let with_none = access(&options(&[], NOTHING));
        for (effect, _) in OF {
            for unknown in [&other, &token("nobody"), &Token::presented("x"), &Token::presented("")] {
                assert_eq!(outcome(&with_one, effect, Some(unknown)), Err(Reason::Unauthenticated));
            }
            assert_eq!(outcome(&with_none, effect, Some(&ci)), Err(Reason::Unauthenticated));
        }
    }

    #[test]
    fn a_digest_of_zeroes_lets_nobody_in() {
        let access = access(&options(&[], Anonymous::Only(Scopes::NONE)));
        assert_eq!(outcome(&access, Effect::Read, Some(&token("nobody"))), Err(Reason::Unauthenticated));
    }

    #[test]
    fn callers_come_and_go() {
        let (ci, next) = (token("ci"), token("ci"));
        let access = access(&options(&[], NOTHING));
        assert_eq!(outcome(&access, Effect::Spend, Some(&ci)), Err(Reason::Unauthenticated));
        access.register.change(&options(&[("ci", &ci, &Scope::ALL)], NOTHING));
        assert_eq!(outcome(&access, Effect::Spend, None), Err(Reason::Unauthenticated));
        assert_eq!(outcome(&access, Effect::Spend, Some(&ci)), Ok(Caller::named("ci")));

        let callers = BTreeMap::from([("ci".to_owned(), grant(&[&ci, &next], &Scope::ALL))]);
        access.register.change(&Options { callers, anonymous: NOTHING });
        for fits in [&ci, &next] {
            assert_eq!(outcome(&access, Effect::Spend, Some(fits)), Ok(Caller::named("ci")));
        }

        access.register.change(&options(&[], NOTHING));
        assert_eq!(outcome(&access, Effect::Spend, Some(&ci)), Err(Reason::Unauthenticated));
        assert_eq!(outcome(&access, Effect::Read, None), Err(Reason::Unauthenticated));
    }

    #[test]
    fn a_connection_that_proves_who_it_is_of_is_taken_for_nobody_else() {
        let (ci, foreign) = (token("ci"), token("ci"));
        let mut options = options(&[("ci", &ci, &[Scope::Read])], Anonymous::Only(scopes(&[Scope::Read])));
        options.callers.insert(
            "cron".to_owned(),
            Grant { claims: Claims { uids: vec![7], ..Claims::default() }, ..grant(&[], &[Scope::Spend]) },
        );
        let came = |options: &Options, uid, is_own, token: Option<&Token>, effect| {
            let peer = Peer::Process(Process { uid, gid: 0, is_own });
            let call = Call { presented: Presented { token: token.cloned(), peer }, ..of_effect(effect) };
            access(options).admit(call).map(|call| call.caller).map_err(|fault| fault.reason)
        };
        let (named, owner) = (|name| Ok(Caller::named(name)), Ok(Caller::Owner));
        let unknown = Err(Reason::Unauthenticated);
        for (uid, is_own, token, effect, expected) in [
            (7, false, None, Effect::Spend, named("cron")),
            (7, false, None, Effect::Read, Err(Reason::ScopeMissing)),
            (7, true, None, Effect::Read, Err(Reason::ScopeMissing)),
            (9, true, None, Effect::Spend, owner),
            (9, false, None, Effect::Read, unknown.clone()),
            (9, false, None, Effect::Public, unknown.clone()),
            (0, false, None, Effect::Public, unknown.clone()),
            (7, false, Some(&ci), Effect::Read, named("ci")),
            (7, false, Some(&ci), Effect::Spend, Err(Reason::ScopeMissing)),
            (9, true, Some(&foreign), Effect::Read, unknown.clone()),
            (7, false, Some(&foreign), Effect::Public, unknown.clone()),
            (7, false, Some(&token("cron")), Effect::Public, unknown.clone()),
        ] {
            assert_eq!(came(&options, uid, is_own, token, effect), expected, "{uid} {effect}");
        }
        options.anonymous = Anonymous::Everything;
        assert_eq!(came(&options, 9, false, None, Effect::Spend), Ok(Caller::Anonymous));
        assert_eq!(came(&options, 7, false, None, Effect::Spend), named("cron"));
    }

    #[tokio::test]
    async fn what_is_refused_goes_nowhere_and_what_goes_on_carries_no_token() {
        let ci = token("ci");
        let mut access = access(&options(&[("ci", &ci, &[Scope::Read])], NOTHING));
        let provider = access.inner.inner.clone();
        assert!(access.call(of_effect(Effect::Read)).await.is_err());
        assert_eq!(provider.seen(), 0);
        let admitted =
            access.admit(Call { presented: shown(&ci), ..of_effect(Effect::Read) }).expect("known");
        assert!(admitted.presented.token.is_none() && admitted.scopes == scopes(&[Scope::Read]));
        assert!(access.call(admitted).await.is_err(), "and nothing is left to come in with again");
    }

    #[test]
    fn whose_time_is_over_is_told_so_and_nobody_else_is() {
        let (ci, other) = (token("ci"), token("ci"));
        let with = |expires_ms| {
            let mut options = options(&[("ci", &ci, &Scope::ALL)], NOTHING);
            options.callers.get_mut("ci").expect("there").expires_ms = Some(expires_ms);
            access(&options)
        };
        let (past, future) = (with(ambient::unix_millis()), with(ambient::unix_millis() + 60_000));
        for (effect, _) in OF {
            assert_eq!(outcome(&future, effect, Some(&ci)), Ok(Caller::named("ci")));
            assert_eq!(outcome(&past, effect, Some(&ci)), Err(Reason::Unauthenticated));
        }
        let told = |token: &Token| {
            let call = Call { presented: shown(token), ..of_effect(Effect::Read) };
            past.admit(call).expect_err("refused").detail
        };
        assert!(told(&ci).contains("expired") && !told(&other).contains("expired"));
    }

    #[test]
    fn a_list_of_operations_takes_and_gives_nothing() {
        let ci = token("ci");
        let mut options = options(&[("ci", &ci, &[Scope::Read])], NOTHING);
        let grant = options.callers.get_mut("ci").expect("there");
        grant.operations = Some(["WalletService.GetWallet", "VpsService.StopVps"].map(str::to_owned).into());
        let access = access(&options);
        let outcome = |operation: &str| {
            let call = Call { presented: shown(&ci), ..play::call(operation) };
            access.admit(call).map(|call| call.caller).map_err(|fault| fault.reason)
        };
        assert_eq!(outcome("WalletService.GetWallet"), Ok(Caller::named("ci")));
        assert_eq!(outcome("VpsService.ListVps"), Err(Reason::OperationNotGranted));
        assert_eq!(outcome("VpsService.StopVps"), Err(Reason::ScopeMissing), "listed, and not granted");
        assert_eq!(outcome("CatalogService.ListVpsPlans"), Ok(Caller::named("ci")), "for everyone");
    }

    #[test]
    fn a_token_that_nobody_has_looked_at_is_not_taken_for_none() {
        let call = Call { presented: shown(&token("ci")), ..of_effect(Effect::Public) };
        assert_eq!(objection(&call).map(|fault| fault.reason), Some(Reason::Internal));
    }
}
