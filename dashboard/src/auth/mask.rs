//! Form tokens as pages carry them.
//!
//! Pages are compressed, and some show what the URL says. Whoever watches the wire and can have a browser ask for pages of
//! their choice could guess a secret on them letter by letter, by how well it compresses beside the guess (BREACH). So the
//! token never stands on two pages in the same way: each has it under a new random mask, and both travel.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The most bytes of a token that is looked at.
const MAX: usize = 256;

/// A token under a new mask.
pub(super) fn mask(token: &str) -> String {
    let mut masked = vec![0; token.len()];
    rand::rng().fill_bytes(&mut masked);
    for (place, byte) in token.bytes().enumerate() {
        masked.push(masked[place] ^ byte);
    }
    URL_SAFE_NO_PAD.encode(masked)
}

fn unmask(masked: &str) -> Option<Zeroizing<Vec<u8>>> {
    if masked.len() > MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(masked).ok().filter(|bytes| !bytes.is_empty() && bytes.len() % 2 == 0)?;
    let (mask, token) = bytes.split_at(bytes.len() / 2);
    Some(Zeroizing::new(mask.iter().zip(token).map(|(mask, byte)| mask ^ byte).collect()))
}

/// Whether two masked tokens are the same under their masks, in a time that tells nothing of where they differ.
pub(super) fn same(a: &str, b: &str) -> bool {
    match (unmask(a), unmask(b)) {
        (Some(a), Some(b)) => a.as_slice().ct_eq(b.as_slice()).into(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_under_every_mask_and_looks_the_same_under_none() {
        let (one, other) = (mask("the token"), mask("the token"));
        assert_ne!(one, other);
        assert!(same(&one, &other) && same(&one, &one));
        assert!(!same(&one, &mask("the taken")));
        assert!(!one.contains("the token") && !same(&one, "the token"));
    }

    #[test]
    fn nonsense_is_no_token() {
        let fine = mask("the token");
        for bad in ["", "x", "xx", "xxxx", "=", &fine[1..], &"A".repeat(10_000)] {
            assert!(!same(bad, &fine) && !same(&fine, bad) && !same(bad, bad), "{bad}");
        }
    }
}
