//! The vault through its public surface: what opens, what doesn't, and what the key file is like.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer")]

use std::os::unix::fs::PermissionsExt as _;

use backend::vault::{
    Binding, Credential, KeyError, KeyRing, KeySetError, OpenError, SealError, Secret, seal, verify_key_set,
};
use domain::Timestamp;
use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn ring(folder: &std::path::Path) -> KeyRing {
    KeyRing::open_or_create(folder, NOW).unwrap()
}

fn password(username: &str, password: &str) -> Credential {
    Credential { username: username.into(), secret: Secret::Password(password.into()) }
}

fn binding(host: &str) -> Binding {
    Binding::new("user", "device", "account-1", host, 993)
}

fn first_key(ring: &KeyRing) -> proto::v1::SealingKey {
    let identity = ring.identity_key();
    verify_key_set(&ring.key_set(NOW), Some(&identity), NOW).unwrap().keys.remove(0)
}

#[test]
fn a_box_opens_for_what_it_was_sealed_for_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    let sealed = seal(&first_key(&ring), &binding("Imap.Example.org"), &password("anna", "correct horse")).unwrap();
    let opened = ring.open(&sealed, &binding("imap.example.org")).unwrap();
    assert_eq!(opened.username.expose_secret(), "anna");
    assert!(matches!(&opened.secret, Secret::Password(secret) if secret.expose_secret() == "correct horse"));

    assert_eq!(ring.open(&sealed, &binding("evil.example.org")).unwrap_err(), OpenError::Refused);
    let other = Binding::new("user", "device", "account-2", "imap.example.org", 993);
    assert_eq!(ring.open(&sealed, &other).unwrap_err(), OpenError::Refused);
    // Lengths count: moving a letter from one field to the next is another binding.
    assert_ne!(Binding::new("ab", "c", "account-1", "h", 1), Binding::new("a", "bc", "account-1", "h", 1));

    let mut tampered = sealed.clone();
    tampered.ciphertext[0] ^= 1;
    assert_eq!(ring.open(&tampered, &binding("imap.example.org")).unwrap_err(), OpenError::Refused);
    let mut unknown = sealed;
    unknown.key_id = domain::KeyId::parse("seal-none").unwrap();
    assert_eq!(ring.open(&unknown, &binding("imap.example.org")).unwrap_err(), OpenError::UnknownKey);
}

#[test]
fn what_is_in_a_box_is_padded_and_does_not_print() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    let key = first_key(&ring);
    let length = |secret: &str| seal(&key, &binding("h.example"), &password("anna", secret)).unwrap().ciphertext.len();
    assert_eq!(length("x"), 256 + 16);
    assert_eq!(length(&"x".repeat(200)), 256 + 16);
    assert_eq!(length(&"x".repeat(600)), 768 + 16);
    let credential = password("anna", "correct horse");
    let sealed = seal(&key, &binding("h.example"), &credential).unwrap();
    let printed = format!("{credential:?} {sealed:?} {ring:?}");
    assert!(!printed.contains("anna") && !printed.contains("horse"), "{printed}");
    for (username, secret) in [("", "x"), ("anna", ""), ("anna", "x\r\nA1 LOGOUT"), (&"a".repeat(321), "x")] {
        let refused = seal(&key, &binding("h.example"), &password(username, secret));
        assert!(matches!(refused, Err(SealError::Credential)));
    }
}

#[test]
fn the_ring_is_made_once_private_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let first = ring(folder.path());
    let path = folder.path().join("keys.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let sealed = seal(&first_key(&first), &binding("h.example"), &password("anna", "secret")).unwrap();
    let second = ring(folder.path());
    assert_eq!(first.identity_key(), second.identity_key());
    assert!(second.open(&sealed, &binding("h.example")).is_ok());
    let name = SecretString::from(" Anna@Example.ORG ");
    assert_eq!(first.address_hash(&name), second.address_hash(&"anna@example.org".into()));

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(KeyRing::open_or_create(folder.path(), NOW), Err(KeyError::Exposed { .. })));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(KeyRing::open_or_create(folder.path(), NOW), Err(KeyError::Damaged { .. })));
}

#[test]
fn devices_trust_the_pinned_identity_only() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    let (response, identity) = (ring.key_set(NOW), ring.identity_key());
    assert!(verify_key_set(&response, None, NOW).is_ok());
    assert_eq!(verify_key_set(&response, Some(&[1; 32]), NOW), Err(KeySetError::Pin));
    let late = Timestamp::from_millis(NOW.as_millis() + 8 * 24 * 3600 * 1000);
    assert_eq!(verify_key_set(&response, Some(&identity), late), Err(KeySetError::Expired));
    let mut swapped = response.clone();
    let mut bytes = swapped.key_set.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    swapped.key_set = bytes.into();
    assert_eq!(verify_key_set(&swapped, Some(&identity), NOW), Err(KeySetError::Signature));
    // A gateway that signs with a key of its own is caught by the pin.
    let elsewhere = tempfile::tempdir().unwrap();
    let impostor = KeyRing::open_or_create(elsewhere.path(), NOW).unwrap().key_set(NOW);
    assert_eq!(verify_key_set(&impostor, Some(&identity), NOW), Err(KeySetError::Pin));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever arrives as a box is refused, and nothing panics.
    #[test]
    fn no_box_harms_us(ciphertext in proptest::collection::vec(any::<u8>(), 0..600), key in any::<[u8; 32]>()) {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path());
        let sealed = domain::SealedBox { key_id: ring.sealing_key_ids()[0].clone(), encapsulated_key: key, ciphertext };
        prop_assert!(ring.open(&sealed, &binding("h.example")).is_err());
    }
}
