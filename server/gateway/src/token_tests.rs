use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(authorization: &str, expect: Reason) {
    let refusal = Unverified::parse(authorization.as_bytes()).map(|token| token.key_id).unwrap_err();
    assert_eq!(refusal.reason(), expect, "{authorization}");
}

#[test]
fn what_is_no_token_is_refused_before_any_key_is_looked_for() {
    check("", Reason::TokenMissing);
    check("Bearer", Reason::TokenMissing);
    check("Bearer ", Reason::TokenMissing);
    check("Basic YTpi", Reason::TokenMissing);
    check("Bearer nonsense", Reason::TokenInvalid);
    check("bearer a.b.c", Reason::TokenInvalid);
    // {"alg":"none","kid":"k"}, {"alg":"HS256","kid":"k"} and {"alg":"EdDSA"}
    check("Bearer eyJhbGciOiJub25lIiwia2lkIjoiayJ9.e30.", Reason::TokenInvalid);
    check("Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.e30.AA", Reason::TokenInvalid);
    check("Bearer eyJhbGciOiJFZERTQSJ9.e30.AA", Reason::TokenInvalid);
    check(&format!("Bearer {}", "a".repeat(MAX_BYTES + 1)), Reason::TokenInvalid);
    // {"alg":"EdDSA","kid":"k"}
    let token = Unverified::parse(b"Bearer eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.AA").unwrap();
    assert_eq!(token.key_id(), "k");
    let key = DecodingKey::from_ed_der(&[0; 32]);
    assert_eq!(token.verify(&key, SystemTime::now()).unwrap_err().reason(), Reason::TokenInvalid);
}

proptest! {
    #[test]
    fn no_metadata_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Unverified::parse(&bytes);
    }

    #[test]
    fn no_token_does_harm(header in "[A-Za-z0-9_-]{0,60}", claims in "[A-Za-z0-9_=-]{0,60}", signature in "[A-Za-z0-9_-]{0,90}") {
        let text = format!("Bearer {header}.{claims}.{signature}");
        let _ = Unverified::parse(text.as_bytes());
        let known = format!("Bearer eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.{claims}.{signature}");
        if let Ok(token) = Unverified::parse(known.as_bytes()) {
            let key = DecodingKey::from_ed_der(&[7; 32]);
            prop_assert!(token.verify(&key, SystemTime::UNIX_EPOCH).is_err());
        }
    }
}
