//! What SCRAM-SHA-256 (RFC 5802, RFC 7677) makes of a password.

use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use aws_lc_rs::{digest, pbkdf2, rand};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// What each side of one login says to prove that it knows the password.
pub(crate) struct ScramProof {
    client: [u8; 32],
    server: [u8; 32],
}

impl ScramProof {
    /// The work is `iterations` times that of one hash; the caller bounds it. The password is taken as it is: SASLprep
    /// (RFC 4013) changes none that is ASCII.
    pub(crate) fn new(password: &[u8], salt: &[u8], iterations: NonZeroU32, auth_message: &[u8]) -> Self {
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, salted.as_mut());
        let sign = |key: &[u8], message: &[u8]| hmac::sign(&Key::new(HMAC_SHA256, key), message);
        let client_key = sign(salted.as_ref(), b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), auth_message);
        let mut client = [0; 32];
        for (at, byte) in client.iter_mut().enumerate() {
            *byte = client_key.as_ref()[at] ^ signature.as_ref()[at];
        }
        let server_key = sign(salted.as_ref(), b"Server Key");
        let mut server = [0; 32];
        server.copy_from_slice(sign(server_key.as_ref(), auth_message).as_ref());
        Self { client, server }
    }

    /// Ours, as it is sent.
    pub(crate) fn client(&self) -> String {
        BASE64_STANDARD.encode(self.client)
    }

    /// Whether this is the server's, in base64; compared in constant time.
    pub(crate) fn is_servers(&self, signature: &str) -> bool {
        BASE64_STANDARD
            .decode(signature)
            .is_ok_and(|signature| verify_slices_are_equal(&self.server, &signature).is_ok())
    }
}

/// A nonce that nobody can guess: 24 printable characters. None if the system has no chance to give.
pub(crate) fn scram_nonce() -> Option<String> {
    let mut bytes = [0; 18];
    rand::fill(&mut bytes).ok()?;
    Some(BASE64_STANDARD.encode(bytes))
}
