//! No mail is missed and none is lost, whoever is killed and whenever.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that panics has failed, and its figures are for whoever reads them"
)]

#[path = "harness/mod.rs"]
mod harness;
#[path = "kill/split.rs"]
mod split;
#[path = "kill/storm.rs"]
mod storm;

use harness::{Account, PATIENCE, Phone, World};
use peers::apns::{Answer, ReceivedPush};
use peers::dovecot::{Dovecot, DovecotOptions};
use proto::v1::SessionState;

/// A kill while Apple thinks: the push is sent again, as the same one. That the mail server is gone by then is no reason
/// to wait: the push is in the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_in_flight_is_sent_again_under_the_same_ids() {
    let world = World::new().await;
    let options = DovecotOptions { authority: Some(world.authority.clone()), ..DovecotOptions::default() };
    let mut dovecot = Dovecot::start(options).await.unwrap();
    world.configure(&[dovecot.imaps_address().port()], "hold_seconds = 1", "");
    let mut server = world.serve().await;
    let account = Account::imaps(dovecot.imaps_address(), "alice", "alice's password");
    let mut phone = Phone::new(&server, &account).await;
    phone.register().await.unwrap();
    phone.is_watched().await;

    world.apns.answer_next(1, Answer::Hang);
    dovecot.deliver("alice", "the mail").await.unwrap();
    let first = world.apns.wait_for(PATIENCE, |_| true).await.expect("no push");
    assert_eq!(first.status, None, "it is in flight");
    server.kill();
    dovecot.stop();
    let mut server = world.serve().await;
    let again = world.apns.wait_for(PATIENCE, ReceivedPush::accepted).await.expect("the push is not sent again");
    assert_eq!((&again.apns_id, &again.collapse_id), (&first.apns_id, &first.collapse_id));
    assert_eq!((&again.token, &again.payload), (&first.token, &first.payload));
    phone.becomes_state(SessionState::Retrying).await;

    // Now it is done, and written down: another kill repeats nothing, and the next mail is another push.
    let deadline = std::time::Instant::now() + PATIENCE;
    while !server.log().contains("push done") {
        assert!(std::time::Instant::now() < deadline, "it is never written down");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    dovecot.restart().await.unwrap();
    server.kill();
    dovecot.deliver("alice", "another mail").await.unwrap();
    let server = world.serve().await;
    let other =
        world.apns.wait_for(PATIENCE, |push| push.apns_id != first.apns_id).await.expect("no push of the next mail");
    assert_eq!(other.collapse_id, first.collapse_id);
    phone.becomes(|session| session.baseline.is_some_and(|baseline| baseline.uid_next == 3)).await;
    assert_eq!(world.apns.pushes().len(), 3);
    assert!(server.terminate().await.success());
}
