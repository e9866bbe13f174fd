//! A push service that refuses: one device, for a while, or everybody.

use std::time::{Duration, SystemTime};

use peers::apns::{Answer, ReceivedPush};
use proto::v1::{EndReason, SessionState};

use super::harness::Phone;
use super::{PATIENCE, Scene, documented};

/// A phone that is watched, and what its device token is answered.
async fn watched(scene: &Scene, name: &str, answer: Answer) -> Phone {
    let mut phone = scene.phone(name);
    scene.world.apns.answer(&phone.push_token(), answer);
    phone.register().await.unwrap();
    phone.is_watched().await;
    phone
}

async fn pushes(scene: &Scene, phone: &Phone, count: usize) -> Vec<ReceivedPush> {
    let token = phone.push_token();
    let pushes = scene.world.apns.wait_for_count(PATIENCE, count, |push| push.token == token).await;
    pushes.unwrap_or_else(|| panic!("no {count} pushes to {token}: {}", scene.server.log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_device_token_ends_its_session() {
    let scene = Scene::new(&[], "").await;
    let gone: fn(SystemTime) -> Answer = |since| Answer::Gone { since };
    let expired: fn(SystemTime) -> Answer = |since| Answer::ExpiredToken { since };
    for (name, answer) in [("gone", gone), ("expired token", expired)] {
        let phone = watched(&scene, name, Answer::Accept).await;
        // Since now, which is after it registered, however long that took: a token that was dead before is another's.
        scene.world.apns.answer(&phone.push_token(), answer(SystemTime::now()));
        scene.mail.deliver(name).await.unwrap();
        let ended = phone.becomes_state(SessionState::Ended).await;
        assert_eq!(ended.end_reason(), EndReason::PushTargetGone);
        assert!(ended.push_token_rejected);
        documented("END_REASON_PUSH_TARGET_GONE");
        // More mail is nobody's business any more.
        scene.mail.deliver(name).await.unwrap();
        scene.unharmed().await;
        assert_eq!(scene.world.apns.pushes_to(&phone.push_token()).len(), 1);
    }
    // What was so before the device registered is of another installation; and a proxy's 410 is not Apple's.
    let long_ago = Answer::Gone { since: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000) };
    let proxy = Answer::NotApple { status: 410, body: "<html>Gone</html>".to_owned() };
    for (name, answer) in [("once", long_ago), ("behind a proxy", proxy)] {
        let phone = watched(&scene, name, answer).await;
        scene.mail.deliver(name).await.unwrap();
        pushes(&scene, &phone, 1).await;
        scene.unharmed().await;
        assert_eq!(phone.status().await.unwrap().state(), SessionState::Holding, "{name}");
    }
    scene.ends_well(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_push_service_is_asked_again() {
    let scene = Scene::new(&[], "").await;
    let answers = [
        Answer::TooManyRequests,
        Answer::InternalServerError,
        Answer::ServiceUnavailable { retry_after: None },
        Answer::ServiceUnavailable { retry_after: Some(Duration::from_secs(1)) },
        Answer::Shutdown,
        Answer::NotApple { status: 502, body: "<html>Bad gateway</html>".to_owned() },
        Answer::Reset,
        Answer::Disconnect,
    ];
    let mut phones = Vec::new();
    for answer in answers {
        let name = format!("{answer:?}");
        phones.push((watched(&scene, &name, answer).await, name));
    }
    for (_, name) in &phones {
        scene.mail.deliver(name).await.unwrap();
    }
    for (phone, name) in &phones {
        let tries = pushes(&scene, phone, 2).await;
        assert!(tries.iter().all(|push| !push.accepted()), "{name}");
        scene.world.apns.answer(&phone.push_token(), Answer::Accept);
    }
    for (phone, name) in &phones {
        let token = phone.push_token();
        let accepted = scene.world.apns.wait_for(PATIENCE, |push| push.token == token && push.accepted()).await;
        let accepted = accepted.unwrap_or_else(|| panic!("{name} was given up"));
        // It looks like one push, however often it was tried.
        let tries = scene.world.apns.pushes_to(&token);
        assert!(tries.iter().all(|push| push.apns_id == accepted.apns_id), "{name}");
        assert_eq!(phone.status().await.unwrap().state(), SessionState::Holding, "{name}");
    }
    scene.ends_well(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_is_that_push_alone() {
    let scene = Scene::new(&[], "").await;
    let phone = watched(&scene, "bad token", Answer::BadDeviceToken).await;
    scene.mail.deliver("bad token").await.unwrap();
    pushes(&scene, &phone, 1).await;
    scene.unharmed().await;
    let holding = phone.status().await.unwrap();
    assert_eq!(holding.state(), SessionState::Holding);
    assert!(!holding.push_token_rejected);
    // It is not tried again, and the next one is.
    scene.world.apns.answer(&phone.push_token(), Answer::Accept);
    phone.defer(0).await.unwrap();
    scene.mail.deliver("bad token").await.unwrap();
    let both = pushes(&scene, &phone, 2).await;
    assert!(!both[0].accepted() && both[1].accepted());
    assert_ne!(both[0].apns_id, both[1].apns_id);
    scene.ends_well(&[]).await;
}

/// Our key is wrong, say: nobody's device is to blame, and when it is mended, all pushes go out.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_fault_costs_nobody_their_session() {
    const PHONES: usize = 12;
    let scene = Scene::new(&[], "push_fault_pause_seconds = 1").await;
    let mut phones = Vec::new();
    for number in 0..PHONES {
        let name = format!("phone {number}");
        let mut phone = scene.phone(&name);
        phone.register().await.unwrap();
        phone.is_watched().await;
        phones.push((phone, name));
    }
    scene.world.apns.answer_all(Answer::InvalidProviderToken);
    for (_, name) in &phones {
        scene.mail.deliver(name).await.unwrap();
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !scene.server.log().contains("nothing is pushed until this is mended") {
        assert!(tokio::time::Instant::now() < deadline, "the breaker did not open: {}", scene.server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (phone, _) in &phones {
        phone.becomes_state(SessionState::Holding).await;
    }
    // While it is open, one push at a time tries it.
    let so_far = scene.world.apns.pushes().len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let probes = scene.world.apns.pushes().len() - so_far;
    assert!((1..=4).contains(&probes), "{probes} probes in 2 s");

    scene.world.apns.accept_all();
    for (phone, name) in &phones {
        let token = phone.push_token();
        let pushed = scene.world.apns.wait_for(PATIENCE, |push| push.token == token && push.accepted()).await;
        assert!(pushed.is_some(), "{name} was forgotten: {}", scene.server.log());
        let session = phone.status().await.unwrap();
        assert_eq!((session.state(), session.push_token_rejected), (SessionState::Holding, false));
    }
    assert!(scene.server.log().contains("pushes are accepted again"));
    scene.ends_well(&[]).await;
}
