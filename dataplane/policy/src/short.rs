//! Names that callers or their issuers choose, in a length that can be kept.

use weir_snapshot::Digest;

/// Hexadecimal digits of the digest, 128 bits.
const DIGEST_DIGITS: usize = 32;

/// The name if it has at most so many bytes; else its beginning and a digest of the whole, in as many bytes and one more,
/// so that no two names meet.
pub(crate) fn short(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let mut digest = Digest::of(name.as_bytes()).to_string();
    digest.truncate(DIGEST_DIGITS);
    let mark = "…";
    let end = name.floor_char_boundary((most + 1).saturating_sub(mark.len() + DIGEST_DIGITS));
    // What a character that does not fit leaves is filled, so that the length tells a short name from a whole one.
    let beginning = name.get(..end).unwrap_or_default();
    let missing = (most + 1).saturating_sub(beginning.len() + mark.len() + DIGEST_DIGITS);
    [beginning, &".".repeat(missing), mark, &digest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_called_by_its_beginning_and_a_digest_that_no_other_name_has() {
        for most in [64, 256] {
            let whole = "é".repeat(most / 2);
            assert_eq!(short(&whole, most), whole, "what is short enough is kept as it is");
            for long in ["é".repeat(most / 2 + 1), "a".repeat(1_000), "日".repeat(300), "|".repeat(most + 1)] {
                let held = short(&long, most);
                assert_eq!(held.len(), most + 1, "{held}");
                assert!(held.starts_with(&long[..24]), "{held}");
                assert_eq!(short(&long, most), held, "it is the same each time");
                assert_ne!(short(&format!("{long}!"), most), held, "the end counts");
                assert_ne!(short(&held, most), held, "nobody takes another's place by its name");
            }
        }
    }
}
