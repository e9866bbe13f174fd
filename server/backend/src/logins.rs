//! The budget of refused log-ins, for all watches of this node.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{AccountKey, Admission, LoginBudget, LoginOutcome, LoginRules};

use crate::clock::Clock;

/// The budget, shared by all who log in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Logins {
    budget: Arc<Mutex<LoginBudget>>,
    clock: Clock,
}

impl Logins {
    pub(crate) fn new(rules: LoginRules, clock: Clock) -> Self {
        Self { budget: Arc::new(Mutex::new(LoginBudget::new(rules))), clock }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LoginBudget> {
        // A panic while it was held can have left one count wrong, which a window puts right.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to one log-in, or why there is none.
    pub(crate) fn begin(&self, account: AccountKey) -> Result<Attempt, Admission> {
        match self.lock().begin(self.clock.now(), &account) {
            Admission::Go => Ok(Attempt { logins: self.clone(), account: Some(account) }),
            refused => Err(refused),
        }
    }

    /// A new credential came for an account.
    pub(crate) fn renew(&self, account: &AccountKey) {
        self.lock().renew(account);
    }
}

/// One log-in under way. If it is dropped before its time, nothing is known of it.
pub(crate) struct Attempt {
    logins: Logins,
    account: Option<AccountKey>,
}

impl Attempt {
    /// Whether the server asked for patience with this account of late.
    pub(crate) fn is_throttled(&self) -> bool {
        let now = self.logins.clock.now();
        self.account.as_ref().is_some_and(|account| self.logins.lock().is_throttled(now, account))
    }

    /// Takes down how it went.
    pub(crate) fn end(mut self, outcome: LoginOutcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: LoginOutcome) {
        if let Some(account) = self.account.take() {
            self.logins.lock().end(self.logins.clock.now(), &account, outcome);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.finish(LoginOutcome::Unknown);
    }
}
