//! Base64 as clients write it: both alphabets, with blanks and without padding.

use std::borrow::Cow;

/// The value of a letter of either alphabet.
pub(crate) const fn digit(letter: u8) -> Option<u8> {
    Some(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// The same in the standard alphabet, without blanks and with padding. `None` where it is no base64, or empty.
pub(crate) fn standard(data: &str) -> Option<Cow<'_, str>> {
    let bytes = data.as_bytes();
    let is_standard = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let body = bytes.strip_suffix(b"==").or_else(|| bytes.strip_suffix(b"=")).unwrap_or(bytes);
    if body.is_empty() {
        return None;
    }
    // Nothing ends the pass early, so that the compiler takes many bytes at once.
    if bytes.len().is_multiple_of(4) && body.iter().fold(true, |all, byte| all & is_standard(byte)) {
        return Some(Cow::Borrowed(data));
    }
    let mut out = String::with_capacity(data.len() + 3);
    for byte in data.trim_end_matches(|c: char| c == '=' || c.is_ascii_whitespace()).bytes() {
        match byte {
            b'-' => out.push('+'),
            b'_' => out.push('/'),
            _ if byte.is_ascii_whitespace() => {}
            _ if is_standard(&byte) => out.push(char::from(byte)),
            _ => return None,
        }
    }
    if out.is_empty() || out.len() % 4 == 1 {
        return None;
    }
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    Some(Cow::Owned(out))
}

/// The bytes of a text in the standard alphabet.
pub(crate) fn decoded(standard: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(standard.len() / 4 * 3);
    for four in standard.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().zip([18, 12, 6, 0]);
        let bits = bits.fold(0, |bits, (letter, by)| bits | u32::from(digit(*letter).unwrap_or_default()) << by);
        out.extend(bits.to_be_bytes().iter().skip(1).take(four.len() * 6 / 8));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_becomes_the_standard_form() {
        for (given, expected) in [
            ("QUJD", Some("QUJD")),
            ("QUI=", Some("QUI=")),
            ("QUI", Some("QUI=")),
            ("QQ", Some("QQ==")),
            ("QU\nJD\r\n", Some("QUJD")),
            ("_-8=", Some("/+8=")),
            ("_-8", Some("/+8=")),
            ("", None),
            ("==", None),
            ("Q", None),
            ("Q*JD", None),
            ("QU=D", None),
        ] {
            assert_eq!(standard(given).as_deref(), expected, "{given:?}");
        }
        assert!(matches!(standard("QUJD"), Some(Cow::Borrowed(_))), "what is good is not copied");
    }

    #[test]
    fn bytes_come_back() {
        for (text, bytes) in [("QUJD", &b"ABC"[..]), ("QUI=", b"AB"), ("QQ==", b"A"), ("/+8=", b"\xff\xef")] {
            assert_eq!(decoded(text), bytes, "{text}");
        }
    }
}
