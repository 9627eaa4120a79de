//! The API key format that the operator mints and the data plane checks.
//!
//! `weir_<id>_<secret><checksum>`: the id names the Secret, the secret is 32 random bytes in hex, the
//! checksum lets a secret scanner tell a key from noise. What is stored is a keyed hash, which is no
//! credential itself.

use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Length of a key id: lower-case letters and digits.
pub const ID_LEN: usize = 12;
const SECRET_HEX: usize = 64;
const CHECKSUM_HEX: usize = 8;
const PREFIX: &str = "weir_";

/// A key as a caller presents it, taken apart and checked for form.
pub struct Presented<'a> {
    /// Names the key.
    pub id: &'a str,
    secret: Zeroizing<[u8; 32]>,
}

impl<'a> Presented<'a> {
    /// Takes a token apart; `None` where it has not the form of a key.
    pub fn parse(token: &'a str) -> Option<Self> {
        let (id, rest) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let (secret, check) = rest.split_at_checked(SECRET_HEX)?;
        let body = token.get(..token.len().checked_sub(CHECKSUM_HEX)?)?;
        if !is_id(id) || check.as_bytes() != checksum(body) {
            return None;
        }
        let mut bytes = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(secret, &mut *bytes).ok()?;
        Some(Self { id, secret: bytes })
    }

    /// What [`hash`] gives for it.
    pub fn hash(&self) -> [u8; 32] {
        hash(self.id, &self.secret)
    }
}

/// Whether a text can be a key id.
pub fn is_id(id: &str) -> bool {
    id.len() == ID_LEN && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Puts a token together from an id and a secret.
pub fn token(id: &str, secret: &[u8; 32]) -> Zeroizing<String> {
    let mut token = Zeroizing::new(String::with_capacity(PREFIX.len() + ID_LEN + 1 + SECRET_HEX + CHECKSUM_HEX));
    let _ = write!(token, "{PREFIX}{id}_");
    for byte in secret {
        let _ = write!(token, "{byte:02x}");
    }
    let check = checksum(&token);
    token.extend(check.map(char::from));
    token
}

/// The hash that is stored and compared: BLAKE3 of the secret, keyed by the id.
pub fn hash(id: &str, secret: &[u8; 32]) -> [u8; 32] {
    let key = blake3::derive_key("weir.dev api-key v1", id.as_bytes());
    *blake3::keyed_hash(&key, secret).as_bytes()
}

/// Eight hex digits of BLAKE3 over all that precedes them.
fn checksum(body: &str) -> [u8; CHECKSUM_HEX] {
    let [a, b, c, d, ..] = *blake3::hash(body.as_bytes()).as_bytes();
    let mut digits = [0; CHECKSUM_HEX];
    // Four bytes are eight digits.
    let _ = hex::encode_to_slice([a, b, c, d], &mut digits);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_its_hash_depends_on_the_id() {
        let token = token("abcdef012345", &[7; 32]);
        let read = Presented::parse(&token).expect("own tokens parse");
        assert_eq!(read.id, "abcdef012345");
        assert_eq!(read.hash(), hash("abcdef012345", &[7; 32]));
        assert_ne!(read.hash(), hash("abcdef012346", &[7; 32]));
    }

    #[test]
    fn a_changed_or_cut_token_is_no_key() {
        let token = token("abcdef012345", &[7; 32]);
        for at in 0..token.len() {
            assert!(Presented::parse(&token[..at]).is_none(), "cut at {at}");
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert!(Presented::parse(std::str::from_utf8(&bytes).expect("ascii")).is_none(), "changed at {at}");
        }
        assert!(Presented::parse("weir_é").is_none());
    }
}
