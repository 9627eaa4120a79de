//! Whom a request is for, in a form that its provider takes.
//!
//! A value that fits goes on as it is. In the place of any other goes its BLAKE3 hash, as 64 hexadecimal digits: the
//! same value gives the same hash in every request, pod and release, so that the provider still tells one user from
//! another. There is no key, so whoever knows a value can find its hash (`b3sum`), and can guess at short ones.

use crate::Text;

/// What a provider takes as the identity of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdentityForm {
    /// The member, for which its dialect has a bound.
    pub(crate) name: &'static str,
    /// Most characters.
    most: usize,
    /// Whether it refuses e-mail addresses and phone numbers.
    opaque: bool,
}

/// OpenAI's newer member; the SDK states its bound.
pub(crate) const SAFETY_IDENTIFIER: IdentityForm = IdentityForm { name: "safety_identifier", most: 128, opaque: false };
/// OpenAI's older member, which compatible servers take; some take more.
pub(crate) const USER: IdentityForm = IdentityForm { name: "user", most: 64, opaque: false };
/// Anthropic's. The SDK asks for no name, e-mail address or phone number.
pub(crate) const USER_ID: IdentityForm = IdentityForm { name: "user_id", most: 256, opaque: true };

impl IdentityForm {
    /// The value as it is sent; `None` where it goes on as it is.
    pub(crate) fn instead_of(self, id: &Text<'_>) -> Option<Text<'static>> {
        // An escape is longer than what it stands for, so that most values need not be read.
        if !self.opaque && id.escaped().len() <= self.most && !id.escaped().contains('\\') {
            return None;
        }
        let plain = id.plain();
        let fits = plain.chars().take(self.most + 1).count() <= self.most && !plain.contains(char::is_control);
        let fits = fits && !(self.opaque && is_personal(&plain));
        (!fits).then(|| Text::of(blake3::hash(plain.as_bytes()).to_hex().as_str()))
    }
}

/// Whether a value is, or has in it, an e-mail address or a phone number.
fn is_personal(value: &str) -> bool {
    let between =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | ',' | ';' | '=' | '|');
    value.split(between).any(|word| is_email(word) || is_international(word)) || is_phone(value)
}

/// Something, an at sign, and a domain with a dot in it.
fn is_email(word: &str) -> bool {
    let domain = word.split_once('@').filter(|(local, _)| !local.is_empty()).map(|(_, domain)| domain);
    domain.is_some_and(|domain| domain.char_indices().any(|(at, c)| c == '.' && at > 0 && at + 1 < domain.len()))
}

/// A plus sign and at least seven digits.
fn is_international(word: &str) -> bool {
    let Some((_, number)) = word.split_once('+') else { return false };
    let number = number.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '-' | '.'));
    number.filter(char::is_ascii_digit).count() >= 7
}

/// Nothing but at least seven digits, and what people write between them.
fn is_phone(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    digits >= 7 && value.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '(' | ')' | '/' | ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(form: IdentityForm, value: &str) -> String {
        let given = Text::of(value);
        form.instead_of(&given).unwrap_or(given).plain().into_owned()
    }

    #[test]
    fn what_fits_goes_on_as_it_is() {
        let claude_code = format!("user_{}_account_{}_session_{}", "a".repeat(64), "b".repeat(36), "c".repeat(36));
        for value in
            ["ann", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "a@b", "@ann", "ann@", "ann@host", "12345", "zoë", "1+1"]
        {
            assert_eq!(sent(USER_ID, value), value);
            assert_eq!(sent(USER, value), value);
        }
        assert_eq!(sent(USER_ID, &claude_code), claude_code);
        assert_eq!(sent(SAFETY_IDENTIFIER, &"x".repeat(128)), "x".repeat(128));
        assert_eq!(sent(USER, &"é".repeat(64)), "é".repeat(64));
        assert_eq!(sent(USER, "ann@example.com"), "ann@example.com", "OpenAI takes it");
    }

    #[test]
    fn what_does_not_is_the_same_hash_each_time() {
        for (form, value) in [
            (SAFETY_IDENTIFIER, "x".repeat(129)),
            (USER, "x".repeat(65)),
            (USER, "a\nb".to_owned()),
            (USER_ID, "x".repeat(257)),
            (USER_ID, "ann@example.com".to_owned()),
            (USER_ID, "Ann <ann@example.co.uk>".to_owned()),
            (USER_ID, "mailto:ann@example.com".to_owned()),
            (USER_ID, "{\"email\":\"ann@example.com\"}".to_owned()),
            (USER_ID, "tenant-1|ann@example.com".to_owned()),
            (USER_ID, "+41 44 668 18 00".to_owned()),
            (USER_ID, "(044) 668-18-00".to_owned()),
            (USER_ID, "user:+41446681800".to_owned()),
            (USER_ID, "0446681800".to_owned()),
        ] {
            let hash = sent(form, &value);
            assert_eq!(hash, blake3::hash(value.as_bytes()).to_hex().as_str(), "{value}");
            assert_eq!(sent(form, &hash), hash, "{value}: a hash fits");
        }
    }
}
