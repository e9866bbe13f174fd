//! The outbox's sender, and one module a channel.

pub mod apns;
pub mod breaker;
mod sender;

use std::future::Future;
use std::pin::Pin;

use domain::{Delivery, PushOutcome, Timestamp};

pub(crate) use sender::Sender;

/// One way to a device: a push service.
pub trait Channel: Send + Sync {
    /// Makes one attempt to send `delivery` at `now`. It does not retry, and returns within a minute.
    fn send<'a>(
        &'a self,
        delivery: &'a Delivery,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = PushOutcome> + Send + 'a>>;
}
