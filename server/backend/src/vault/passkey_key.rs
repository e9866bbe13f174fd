//! The public key of a passkey, as COSE (RFC 9052, RFC 9053) writes it, and the check of what its other half signed.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

/// A passkey's public key: of the three kinds that authenticators make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasskeyKey {
    /// ECDSA over P-256 with SHA-256: the point, uncompressed.
    Es256([u8; 65]),
    /// Ed25519.
    EdDsa([u8; 32]),
    /// RSA with PKCS #1 1.5 padding and SHA-256, of 2048 to 8192 bits.
    Rs256 {
        /// The modulus, without zeros before it.
        modulus: Vec<u8>,
        /// The exponent, without zeros before it.
        exponent: Vec<u8>,
    },
}

impl PasskeyKey {
    /// Whether `signature` is this key's, over `message`. ECDSA's is in ASN.1, as authenticators write it.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
            }
            Self::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            Self::Rs256 { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    };

    use super::*;

    #[track_caller]
    fn check(key: &PasskeyKey, message: &[u8], signature: &[u8]) {
        assert!(key.signed(message, signature));
        assert!(!key.signed(b"another message", signature));
        assert!(!key.signed(message, b""));
        for at in 0..signature.len() {
            let mut bent = signature.to_vec();
            bent[at] ^= 1;
            assert!(!key.signed(message, &bent), "byte {at} was changed");
        }
        assert!(!PasskeyKey::Es256([4; 65]).signed(message, signature), "no point of the curve");
        assert!(!PasskeyKey::Rs256 { modulus: vec![], exponent: vec![] }.signed(message, signature));
    }

    #[test]
    fn each_kind_knows_its_own_signature() {
        let (message, chance) = (b"challenge", SystemRandom::new());
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let point = pair.public_key().as_ref().try_into().unwrap();
        check(&PasskeyKey::Es256(point), message, pair.sign(&chance, message).unwrap().as_ref());
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = pair.public_key().as_ref().try_into().unwrap();
        check(&PasskeyKey::EdDsa(key), message, pair.sign(message).as_ref());
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &chance, message, &mut signature).unwrap();
        let public = pair.public_key();
        let key = PasskeyKey::Rs256 {
            modulus: public.modulus().big_endian_without_leading_zero().to_vec(),
            exponent: public.exponent().big_endian_without_leading_zero().to_vec(),
        };
        check(&key, message, &signature);
    }
}
