//! What Apple's answers mean.

use super::*;

#[tokio::test]
async fn a_dead_token_is_dead_since() {
    let bench = Bench::new().await;
    let since = UNIX_EPOCH + Duration::from_millis(1_763_999_999_456);
    for (answer, word) in [(Answer::Gone { since }, "Unregistered"), (Answer::ExpiredToken { since }, "ExpiredToken")] {
        let expected =
            PushOutcome::Gone { reason: reason(word), since: Some(Timestamp::from_millis(1_763_999_999_456)) };
        assert_eq!(bench.outcome_of(answer).await, expected);
    }
    let without = Answer::Other { status: 410, reason: "Unregistered".to_owned() };
    assert_eq!(bench.outcome_of(without).await, PushOutcome::Gone { reason: reason("Unregistered"), since: None });
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let bench = Bench::new().await;
    let cases = [
        (Answer::BadDeviceToken, refused("BadDeviceToken")),
        (Answer::DeviceTokenNotForTopic, refused("DeviceTokenNotForTopic")),
        (Answer::MissingTopic, our_fault("MissingTopic")),
        (Answer::TopicDisallowed, our_fault("TopicDisallowed")),
        (Answer::BadCertificate, our_fault("BadCertificate")),
        (Answer::InvalidProviderToken, our_fault("InvalidProviderToken")),
        (Answer::PayloadTooLarge, our_fault("PayloadTooLarge")),
        (Answer::TooManyRequests, retry("TooManyRequests")),
        (Answer::TooManyProviderTokenUpdates, retry("TooManyProviderTokenUpdates")),
        (Answer::InternalServerError, retry("InternalServerError")),
        (Answer::ServiceUnavailable { retry_after: None }, retry("ServiceUnavailable")),
        (Answer::Shutdown, retry("Shutdown")),
        (
            Answer::ServiceUnavailable { retry_after: Some(Duration::from_secs(90)) },
            PushOutcome::Retry { reason: reason("ServiceUnavailable"), after: Some(Duration::from_secs(90)) },
        ),
        (
            Answer::ServiceUnavailable { retry_after: Some(Duration::from_secs(u64::MAX)) },
            PushOutcome::Retry { reason: reason("ServiceUnavailable"), after: Some(Duration::from_secs(3600)) },
        ),
    ];
    for (answer, expected) in cases {
        assert_eq!(bench.outcome_of(answer.clone()).await, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn each_reason_has_its_meaning() {
    let bench = Bench::new().await;
    let fault = [
        (400, "BadCollapseId"),
        (400, "BadExpirationDate"),
        (400, "BadMessageId"),
        (400, "BadPriority"),
        (400, "BadTopic"),
        (400, "DuplicateHeaders"),
        (400, "MissingDeviceToken"),
        (400, "PayloadEmpty"),
        (403, "BadCertificateEnvironment"),
        (403, "Forbidden"),
        (403, "MissingProviderToken"),
        (404, "BadPath"),
        (405, "MethodNotAllowed"),
        // Apple's, and not known to a2.
        (400, "InvalidPushType"),
        (403, "UnrelatedKeyIdInToken"),
        (403, "BadEnvironmentKeyIdInToken"),
        // Not Apple's yet.
        (400, "SomethingNew"),
        (410, "SomethingNew"),
    ];
    for (status, word) in fault {
        let answer = Answer::Other { status, reason: word.to_owned() };
        assert_eq!(bench.outcome_of(answer).await, our_fault(word), "{status} {word}");
    }
    for (status, word) in [(400, "IdleTimeout"), (429, "SomethingNew"), (503, "SomethingNew")] {
        let answer = Answer::Other { status, reason: word.to_owned() };
        assert_eq!(bench.outcome_of(answer).await, retry(word), "{status} {word}");
    }
}

#[tokio::test]
async fn what_is_not_apples_never_kills_a_token() {
    let bench = Bench::new().await;
    let huge = "x".repeat(100_000);
    for body in ["", "<html>", "{\"reason\":7}", "{}", &huge] {
        for (status, expected) in [
            (400, our_fault("HTTP 400 without a reason")),
            (403, our_fault("HTTP 403 without a reason")),
            (404, our_fault("HTTP 404 without a reason")),
            (410, our_fault("HTTP 410 without a reason")),
            (307, our_fault("HTTP 307 without a reason")),
            (429, retry("HTTP 429 without a reason")),
            (502, retry("HTTP 502 without a reason")),
        ] {
            let answer = Answer::NotApple { status, body: body.to_owned() };
            assert_eq!(bench.outcome_of(answer).await, expected, "{status} with {} bytes", body.len());
        }
    }
    let control = Answer::Other { status: 400, reason: format!("Bad\r\n\u{1b}[31m{}", "x".repeat(1000)) };
    let PushOutcome::OurFault { reason } = bench.outcome_of(control).await else { panic!("no fault of ours") };
    assert_eq!(reason.as_str().len(), 128);
    assert!(reason.as_str().starts_with("Bad[31mxxx"));
}
