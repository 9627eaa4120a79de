//! Signatures of reasoning, sealed to the provider that gave them when they cross into another dialect.
//!
//! A provider refuses a signature that it did not give. The seal says whose it is, so that it comes back
//! to its own provider as it was and is left out for any other.

use crate::Text;

/// How every seal begins, and no provider's signature.
const MARK: &str = "weir1.";

/// How what is sealed begins where it is no reasoning, but further members of the tool call that follows.
const OF_CALL: &str = "tool_call.";

/// What a signature turns out to be for one provider.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened<'a> {
    /// That provider's own, as it gave it.
    Own(Text<'a>),
    /// Another's, or of reasoning that was never signed.
    Foreign,
}

/// Seals a signature, empty where the reasoning has none. `origin` is a word without dots.
pub(crate) fn seal(origin: &str, signature: Option<&Text<'_>>) -> Text<'static> {
    Text::joined(
        &[Text::of(&format!("{MARK}{origin}.")), signature.cloned().map_or(Text::of(""), Text::into_owned)],
        "",
    )
}

/// Opens a signature for the provider `origin`. One that was never sealed is taken for its own where the caller speaks
/// the provider's dialect (`own`): it did not cross. From any other dialect it is nobody knows whose.
pub(crate) fn open<'a>(origin: &str, signature: &Text<'a>, own: bool) -> Opened<'a> {
    let plain = signature.plain();
    let Some(sealed) = plain.strip_prefix(MARK) else {
        return if own { Opened::Own(signature.clone()) } else { Opened::Foreign };
    };
    match sealed.split_once('.') {
        Some((of, own)) if of == origin && !own.is_empty() => Opened::Own(Text::of(own)),
        _ => Opened::Foreign,
    }
}

/// Members of a tool call, given as one JSON object, to be sealed as reasoning that stands before the call.
pub(crate) fn of_call(members: &Text<'_>) -> Text<'static> {
    Text::joined(&[Text::of(OF_CALL), members.clone().into_owned()], "")
}

/// The members of the tool call that follows, if what was sealed holds such.
pub(crate) fn call_members(opened: &Text<'_>) -> Option<Text<'static>> {
    opened.escaped().strip_prefix(OF_CALL).map(Text::of_escaped)
}

/// Whether a body holds any sealed signature, so that it must not go on byte for byte.
pub(crate) fn is_sealed(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\"weir1.").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_opens_for_its_own_provider_alone_t42_t43() {
        let given = Text::of("Eq/+=");
        let sealed = seal("ab12", Some(&given));
        assert_eq!(sealed.plain(), "weir1.ab12.Eq/+=");
        assert_eq!(open("ab12", &sealed, false), Opened::Own(given.clone()));
        assert_eq!(open("cd34", &sealed, true), Opened::Foreign);
        assert_eq!(open("cd34", &given, true), Opened::Own(given.clone()));
        assert_eq!(open("cd34", &given, false), Opened::Foreign, "it came from a provider of another dialect");
        let unsigned = seal("ab12", None);
        assert_eq!(open("ab12", &unsigned, true), Opened::Foreign, "unsigned reasoning has nothing to give back");
        assert!(is_sealed(format!("{{\"signature\":{}}}", sealed.as_json()).as_bytes()));
    }
}
