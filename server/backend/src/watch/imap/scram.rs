//! The client's side of SCRAM-SHA-256 (RFC 5802 §5, RFC 7677), as messages; without channel binding.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::vault::ScramProof;

/// Fewer make a proof that is cheap to guess passwords from (RFC 7677 §4).
const FEWEST_ITERATIONS: u32 = 4096;

/// More are work that a hostile server has us do; some 100 ms.
const MOST_ITERATIONS: u32 = 200_000;

/// No server needs a longer message, in bytes.
const LONGEST: usize = 1024;

/// “No channel binding” (RFC 5802 §7), and what it is in base64.
const GS2_HEADER: &str = "n,,";
const GS2_HEADER_BASE64: &str = "biws";

/// What a server did that SCRAM doesn't allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    /// The message is not what is due.
    #[error("an odd SCRAM message")]
    Odd,
    /// It asks for something that we don't know (`m=`).
    #[error("a SCRAM extension that is not known")]
    Extension,
    /// The nonce doesn't begin with ours.
    #[error("a SCRAM nonce that is not ours")]
    Nonce,
    /// Too few or too many iterations.
    #[error("a SCRAM iteration count beyond 4,096 to 200,000")]
    Iterations,
    /// The server doesn't know the password.
    #[error("the server did not prove that it knows the password")]
    Signature,
}

/// A login that has begun: the server's first message is due.
pub(super) struct Scram {
    first_bare: String,
    nonce: String,
}

/// A login whose proof is given: the server's signature is due.
pub(super) struct Proven {
    /// What is sent.
    pub(super) message: Zeroizing<String>,
    proof: ScramProof,
}

impl Scram {
    /// Begins, with a nonce of printable ASCII without commas.
    pub(super) fn begin(username: &str, nonce: String) -> Self {
        let username = escaped(username);
        Self { first_bare: format!("n={username},r={nonce}"), nonce }
    }

    /// The client's first message.
    pub(super) fn first(&self) -> String {
        format!("{GS2_HEADER}{}", self.first_bare)
    }

    /// Answers the server's first message. It hashes for up to some 100 ms.
    pub(super) fn prove(self, server_first: &[u8], password: &[u8]) -> Result<Proven, ScramError> {
        let server_first = text(server_first)?;
        let mut parts = server_first.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or(ScramError::Odd);
        if server_first.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let nonce = part("r=")?;
        let salt = BASE64_STANDARD.decode(part("s=")?).map_err(|_| ScramError::Odd)?;
        let iterations: NonZeroU32 = part("i=")?.parse().map_err(|_| ScramError::Odd)?;
        // The server has to add something of its own.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        if !(FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations.get()) {
            return Err(ScramError::Iterations);
        }
        let unproven = format!("c={GS2_HEADER_BASE64},r={nonce}");
        let auth_message = format!("{},{server_first},{unproven}", self.first_bare);
        let proof = ScramProof::new(password, &salt, iterations, auth_message.as_bytes());
        Ok(Proven { message: Zeroizing::new(format!("{unproven},p={}", proof.client())), proof })
    }
}

impl Proven {
    /// Our proof, which is in the message.
    pub(super) fn client(&self) -> Zeroizing<String> {
        Zeroizing::new(self.proof.client())
    }

    /// Whether the server knows the password, too. None: it says that *we* don't, which it will say again by NO.
    pub(super) fn verify(&self, server_final: &[u8]) -> Result<Option<()>, ScramError> {
        let server_final = text(server_final)?;
        if server_final.starts_with("e=") {
            return Ok(None);
        }
        let signature = server_final.strip_prefix("v=").ok_or(ScramError::Odd)?;
        let signature = signature.split(',').next().unwrap_or_default();
        if self.proof.is_servers(signature) { Ok(Some(())) } else { Err(ScramError::Signature) }
    }
}

/// A name as SCRAM and GS2 have it (`saslname`, RFC 5802 §7).
pub(super) fn escaped(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > LONGEST {
        return Err(ScramError::Odd);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn begun() -> Scram {
        Scram::begin("user", NONCE.to_owned())
    }

    /// RFC 7677 §3's own example.
    #[test]
    fn the_standard_s_example() {
        let scram = begun();
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let proven = scram.prove(FIRST.as_bytes(), b"pencil").unwrap();
        let expect = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(*proven.message, expect);
        assert_eq!(proven.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(Some(())));
        assert_eq!(proven.verify(b"e=invalid-proof"), Ok(None));
    }

    /// A server that doesn't know the password, or has the login replayed.
    #[test]
    fn a_server_without_the_password_is_found_out() {
        let proven = begun().prove(FIRST.as_bytes(), b"pencil").unwrap();
        for signature in ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=AAAA", "v=", "v=%"] {
            assert_eq!(proven.verify(signature.as_bytes()), Err(ScramError::Signature), "{signature}");
        }
        assert_eq!(proven.verify(b""), Err(ScramError::Odd));
    }

    #[test]
    fn what_a_server_may_not_ask() {
        let long = format!("r={NONCE}x,s=AAAA,i=4096,{}", "x".repeat(LONGEST));
        for (first, expect) in [
            ("r=other,s=AAAA,i=4096", ScramError::Nonce),
            ("r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096", ScramError::Nonce),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4095", ScramError::Iterations),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4000000000", ScramError::Iterations),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0", ScramError::Odd),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=99999999999", ScramError::Odd),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=%,i=4096", ScramError::Odd),
            ("m=more,r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096", ScramError::Extension),
            ("", ScramError::Odd),
            (&long, ScramError::Odd),
        ] {
            assert_eq!(begun().prove(first.as_bytes(), b"pencil").err(), Some(expect), "{first}");
        }
    }

    #[test]
    fn names_with_marks() {
        assert_eq!(Scram::begin("a=b,c", "x".to_owned()).first(), "n,,n=a=3Db=2Cc,r=x");
    }
}
