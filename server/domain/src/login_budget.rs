//! How many refused log-ins an account and a host can bear.
//!
//! A session gives up after two refusals, but an account may have many sessions, and a host many accounts. Providers lock
//! accounts and ban addresses by what they see, which is the sum. So the sum has a budget: whoever finds it used up does not
//! log in, and waits until refusals are long enough ago or a new credential came.

use std::collections::HashMap;
use std::time::Duration;

use crate::{HostName, Timestamp};

/// How many refusals are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRules {
    /// Refusals of one account, for one credential, within [`account_window`](Self::account_window).
    pub per_account: usize,
    /// The same, however often the credential was changed: an app that registers the same wrong password again and again
    /// must not get on by that.
    pub per_account_in_all: usize,
    /// How long a refusal counts against its account.
    pub account_window: Duration,
    /// Refusals at one host with no log-in between them that was accepted, within [`host_window`](Self::host_window).
    pub per_host: usize,
    /// How long a refusal counts against its host.
    pub host_window: Duration,
    /// How long after a server asked for patience its plain “no” may still mean that.
    pub patience: Duration,
}

impl Default for LoginRules {
    fn default() -> Self {
        Self {
            per_account: 4,
            per_account_in_all: 12,
            account_window: Duration::from_secs(60 * 60),
            per_host: 50,
            host_window: Duration::from_secs(10 * 60),
            patience: Duration::from_secs(15 * 60),
        }
    }
}

/// A mail account, across all its sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountKey {
    /// The mail server.
    pub host: HostName,
    /// The keyed hash of the account's name.
    pub address_hash: String,
}

/// Whether a log-in may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may; [`LoginBudget::end`] must be told how it went.
    Go,
    /// So many others are under way that all of them together might be too many: ask again when they are done.
    Busy,
    /// Too many were refused.
    Spent {
        /// From when on the next one may be tried.
        until: Timestamp,
        /// Whether it is the host's budget that is spent, and not the account's.
        host: bool,
    },
}

/// How a log-in went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The server let us in.
    Accepted,
    /// The server refused the credential, or holds the account back.
    Refused,
    /// The server asked for patience.
    Throttled,
    /// It did not come to an answer.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: Timestamp,
    /// A new credential came after it.
    forgiven: bool,
}

#[derive(Debug, Default)]
struct OfAccount {
    refusals: Vec<Refusal>,
    /// Log-ins under way.
    trying: usize,
    throttled_at: Option<Timestamp>,
}

/// The budget of all accounts and hosts. What is long ago is forgotten.
#[derive(Debug)]
pub struct LoginBudget {
    rules: LoginRules,
    accounts: HashMap<AccountKey, OfAccount>,
    hosts: HashMap<HostName, Vec<Timestamp>>,
    /// When to look for what can be forgotten: at this many entries.
    sweep_at: usize,
}

/// So few entries are not worth looking through.
const SWEEP_MIN: usize = 256;

impl LoginBudget {
    /// A budget that nothing was taken from.
    pub fn new(rules: LoginRules) -> Self {
        Self { rules, accounts: HashMap::new(), hosts: HashMap::new(), sweep_at: SWEEP_MIN }
    }

    /// Whether a log-in may be tried now.
    pub fn begin(&mut self, now: Timestamp, account: &AccountKey) -> Admission {
        self.sweep(now);
        let rules = self.rules;
        if let Some(refusals) = self.hosts.get_mut(&account.host) {
            refusals.retain(|at| now.since(*at) < rules.host_window);
            if let Some(until) = until_below(refusals.iter().copied(), rules.per_host, rules.host_window) {
                return Admission::Spent { until, host: true };
            }
        }
        let entry = self.accounts.entry(account.clone()).or_default();
        entry.forget(now, &rules);
        let counted = || entry.refusals.iter().filter(|refusal| !refusal.forgiven).map(|refusal| refusal.at);
        let all = || entry.refusals.iter().map(|refusal| refusal.at);
        let spent = until_below(counted(), rules.per_account, rules.account_window).max(until_below(
            all(),
            rules.per_account_in_all,
            rules.account_window,
        ));
        if let Some(until) = spent {
            return Admission::Spent { until, host: false };
        }
        if counted().count() + entry.trying >= rules.per_account
            || all().count() + entry.trying >= rules.per_account_in_all
        {
            return Admission::Busy;
        }
        entry.trying += 1;
        Admission::Go
    }

    /// Takes down how a log-in went that was let go.
    pub fn end(&mut self, now: Timestamp, account: &AccountKey, outcome: LoginOutcome) {
        let entry = self.accounts.entry(account.clone()).or_default();
        entry.trying = entry.trying.saturating_sub(1);
        match outcome {
            LoginOutcome::Accepted => {
                self.hosts.remove(&account.host);
            }
            LoginOutcome::Refused => {
                entry.refusals.push(Refusal { at: now, forgiven: false });
                let of_host = self.hosts.entry(account.host.clone()).or_default();
                if of_host.len() < self.rules.per_host {
                    of_host.push(now);
                }
            }
            LoginOutcome::Throttled => entry.throttled_at = Some(now),
            LoginOutcome::Unknown => {}
        }
        if entry.is_idle() {
            self.accounts.remove(account);
        }
    }

    /// A new credential came for an account: what was refused before counts no longer against it, though it counts still
    /// against the account as a whole.
    pub fn renew(&mut self, account: &AccountKey) {
        if let Some(entry) = self.accounts.get_mut(account) {
            entry.refusals.iter_mut().for_each(|refusal| refusal.forgiven = true);
        }
    }

    /// Whether the server asked for patience with this account of late, so that a “no” without a reason may mean that.
    pub fn is_throttled(&self, now: Timestamp, account: &AccountKey) -> bool {
        let throttled_at = self.accounts.get(account).and_then(|entry| entry.throttled_at);
        throttled_at.is_some_and(|at| now.since(at) < self.rules.patience)
    }

    /// How many accounts it remembers.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether it remembers no account.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.accounts.len() + self.hosts.len() < self.sweep_at {
            return;
        }
        let rules = self.rules;
        self.accounts.retain(|_, entry| {
            entry.forget(now, &rules);
            !entry.is_idle()
        });
        self.hosts.retain(|_, refusals| refusals.iter().any(|at| now.since(*at) < rules.host_window));
        self.sweep_at = SWEEP_MIN.max(2 * (self.accounts.len() + self.hosts.len()));
    }
}

impl OfAccount {
    fn forget(&mut self, now: Timestamp, rules: &LoginRules) {
        self.refusals.retain(|refusal| now.since(refusal.at) < rules.account_window);
        self.throttled_at = self.throttled_at.filter(|at| now.since(*at) < rules.patience);
    }

    fn is_idle(&self) -> bool {
        self.trying == 0 && self.refusals.is_empty() && self.throttled_at.is_none()
    }
}

/// When fewer than `limit` of these are within `window`; none if that is so already.
fn until_below(times: impl Iterator<Item = Timestamp>, limit: usize, window: Duration) -> Option<Timestamp> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let oldest = times.len().checked_sub(limit)?;
    times.get(oldest).map(|at| at.after(window))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn account(name: &str) -> AccountKey {
        AccountKey { host: HostName::parse("imap.example.org").unwrap(), address_hash: name.to_owned() }
    }

    #[track_caller]
    fn refuse(budget: &mut LoginBudget, now: Timestamp, account: &AccountKey) {
        assert_eq!(budget.begin(now, account), Admission::Go);
        budget.end(now, account, LoginOutcome::Refused);
    }

    #[test]
    fn an_account_is_left_alone_until_a_credential_comes_or_the_window_ends() {
        let rules = LoginRules::default();
        let mut budget = LoginBudget::new(rules);
        let (ours, other) = (account("a"), account("b"));
        for _ in 0..rules.per_account {
            refuse(&mut budget, NOW, &ours);
        }
        let until = NOW.after(rules.account_window);
        assert_eq!(budget.begin(NOW, &ours), Admission::Spent { until, host: false });
        assert_eq!(budget.begin(NOW, &other), Admission::Go, "another account is another matter");
        budget.renew(&ours);
        refuse(&mut budget, NOW, &ours);
        budget.end(NOW, &other, LoginOutcome::Unknown);
        assert_eq!(budget.begin(until, &ours), Admission::Go);
        budget.end(until, &ours, LoginOutcome::Accepted);
        assert!(budget.is_empty());
    }

    #[test]
    fn those_under_way_count() {
        let rules = LoginRules::default();
        let mut budget = LoginBudget::new(rules);
        let ours = account("a");
        for _ in 0..rules.per_account {
            assert_eq!(budget.begin(NOW, &ours), Admission::Go);
        }
        assert_eq!(budget.begin(NOW, &ours), Admission::Busy);
        budget.end(NOW, &ours, LoginOutcome::Accepted);
        assert_eq!(budget.begin(NOW, &ours), Admission::Go);
    }

    #[test]
    fn a_host_that_refuses_everybody_is_left_alone() {
        let rules = LoginRules { per_host: 3, ..LoginRules::default() };
        let mut budget = LoginBudget::new(rules);
        for name in ["a", "b"] {
            refuse(&mut budget, NOW, &account(name));
        }
        assert_eq!(budget.begin(NOW, &account("c")), Admission::Go);
        budget.end(NOW, &account("c"), LoginOutcome::Accepted);
        for name in ["d", "e", "f"] {
            refuse(&mut budget, NOW, &account(name));
        }
        let until = NOW.after(rules.host_window);
        assert_eq!(budget.begin(NOW, &account("g")), Admission::Spent { until, host: true });
        assert_eq!(budget.begin(until, &account("g")), Admission::Go);
    }

    #[test]
    fn patience_is_remembered_for_a_while() {
        let rules = LoginRules::default();
        let mut budget = LoginBudget::new(rules);
        let ours = account("a");
        assert_eq!(budget.begin(NOW, &ours), Admission::Go);
        budget.end(NOW, &ours, LoginOutcome::Throttled);
        assert!(budget.is_throttled(NOW, &ours) && !budget.is_throttled(NOW, &account("b")));
        assert!(!budget.is_throttled(NOW.after(rules.patience), &ours));
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut budget = LoginBudget::new(LoginRules { per_host: usize::MAX, ..LoginRules::default() });
        for number in 0..10_000_i64 {
            let now = NOW.after(Duration::from_secs(60) * u32::try_from(number).unwrap());
            refuse(&mut budget, now, &account(&number.to_string()));
        }
        assert!(budget.len() <= SWEEP_MIN, "{}", budget.len());
    }

    /// What happens: time goes by, a log-in begins, one ends, a credential comes.
    #[derive(Clone, Debug)]
    enum Step {
        Pass(u64),
        Begin,
        End(LoginOutcome),
        Renew,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..1_000_000).prop_map(Step::Pass),
            Just(Step::Begin),
            Just(Step::Begin),
            Just(Step::End(LoginOutcome::Refused)),
            Just(Step::End(LoginOutcome::Refused)),
            Just(Step::End(LoginOutcome::Accepted)),
            Just(Step::End(LoginOutcome::Throttled)),
            Just(Step::End(LoginOutcome::Unknown)),
            Just(Step::Renew),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: no account gets more refusals in any window than its budget has, with all
        /// those that are under way.
        #[test]
        fn no_window_has_too_many(steps in proptest::collection::vec(step(), 0..400)) {
            let rules = LoginRules::default();
            let mut budget = LoginBudget::new(rules);
            let ours = account("a");
            let (mut now, mut trying) = (NOW, 0);
            let mut refused: Vec<Timestamp> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(millis) => now = now.after(Duration::from_millis(millis)),
                    Step::Begin => match budget.begin(now, &ours) {
                        Admission::Go => trying += 1,
                        Admission::Busy => prop_assert!(trying > 0, "waits for nobody"),
                        Admission::Spent { until, .. } => prop_assert!(until > now),
                    },
                    Step::End(outcome) if trying > 0 => {
                        trying -= 1;
                        budget.end(now, &ours, outcome);
                        refused.extend((outcome == LoginOutcome::Refused).then_some(now));
                    }
                    Step::End(_) => {}
                    Step::Renew => budget.renew(&ours),
                }
                let counted = refused.iter().filter(|at| now.since(**at) < rules.account_window).count();
                prop_assert!(counted + trying <= rules.per_account_in_all, "{counted} and {trying}");
            }
        }

        /// With one credential, the smaller budget holds.
        #[test]
        fn one_credential_has_its_own_budget(steps in proptest::collection::vec(step(), 0..400)) {
            let rules = LoginRules::default();
            let mut budget = LoginBudget::new(rules);
            let ours = account("a");
            let (mut now, mut trying) = (NOW, 0);
            let mut refused: Vec<Timestamp> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(millis) => now = now.after(Duration::from_millis(millis)),
                    Step::Begin if budget.begin(now, &ours) == Admission::Go => trying += 1,
                    Step::End(outcome) if trying > 0 => {
                        trying -= 1;
                        budget.end(now, &ours, outcome);
                        refused.extend((outcome == LoginOutcome::Refused).then_some(now));
                    }
                    Step::Begin | Step::End(_) | Step::Renew => {}
                }
                let counted = refused.iter().filter(|at| now.since(**at) < rules.account_window).count();
                prop_assert!(counted + trying <= rules.per_account, "{counted} and {trying}");
            }
        }
    }
}
