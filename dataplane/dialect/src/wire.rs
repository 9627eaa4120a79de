//! JSON objects as servers write them. A member of another form than is expected counts as absent, of equal names the
//! last counts, and members that have no meaning here are kept by name, so that their loss can be told.

use crate::Text;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Most elements of a list of objects, so that no answer grows in memory to many times its size.
pub(crate) const MAX_ELEMENTS: usize = 128;
/// Most members without a meaning that are kept of one object; more of them tell nothing more.
const MAX_OTHERS: usize = 32;

/// A member without a meaning here: its name and its JSON.
pub(crate) type Other<'a> = (Cow<'a, str>, &'a RawValue);

/// An object whose members are known by name.
pub(crate) trait Members<'de>: Default {
    /// Reads the value of a member; false where its name has no meaning here, and its value is still to be read.
    fn read<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;

    /// The members without a meaning.
    fn others(&mut self) -> &mut Vec<Other<'de>>;
}

/// Declares objects: each member with its type and its name on the wire, and the names that are passed over.
macro_rules! objects {
    ($($(#[$doc:meta])* $object:ident {
        $($(#[$note:meta])* $member:ident: $form:ty = $name:literal,)*
    } without $($passed:literal)|+;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $object<'a> {
            $($(#[$note])* pub(super) $member: $form,)*
            /// Members without a meaning here.
            pub(super) others: Vec<$crate::wire::Other<'a>>,
        }

        impl<'a> $crate::wire::Members<'a> for $object<'a> {
            fn read<A: serde::de::MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
                match name {
                    $($name => self.$member = map.next_value()?,)*
                    $($passed)|+ => {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn others(&mut self) -> &mut Vec<$crate::wire::Other<'a>> {
                &mut self.others
            }
        }
    )*};
}
pub(crate) use objects;

/// An object; `None` where there is something else.
pub(crate) struct Maybe<T>(pub(crate) Option<T>);

/// A list of objects; empty where there is something else. What in it is no object is left out.
pub(crate) struct List<T>(pub(crate) Vec<T>);

/// A whole number that is not negative, as a number or as text.
#[derive(Default, Clone, Copy)]
pub(crate) struct Count(pub(crate) Option<u64>);

/// A string that is compared with words of the dialect; empty where there is something else.
#[derive(Default, Clone, Copy)]
pub(crate) struct Word<'a>(pub(crate) &'a str);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Members<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object(PhantomData)).map(Self)
    }
}

impl<'de, T: Members<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Objects(PhantomData)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::usage::count(deserializer).map(Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Option<&'de RawValue>>::deserialize(deserializer)?;
        let text = raw.and_then(|raw| raw.get().strip_prefix('"')?.strip_suffix('"'));
        Ok(Self(text.unwrap_or_default()))
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Read)
    }
}

/// What a visitor gives for values of another form.
macro_rules! nothing_else {
    ($($visit:ident($form:ty)),*) => {$(
        fn $visit<E: Error>(self, _: $form) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    )*};
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    nothing_else!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Option<T>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut object = T::default();
        while let Some(Name(name)) = map.next_key()? {
            if object.read(&name, &mut map)? {
                continue;
            }
            let raw = map.next_value::<&'de RawValue>()?;
            if object.others().len() < MAX_OTHERS && is_something(raw) {
                object.others().push((name, raw));
            }
        }
        Ok(Some(object))
    }
}

struct Objects<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for Objects<T> {
    type Value = Vec<T>;

    nothing_else!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(Maybe(element)) = elements.next_element()? {
            if list.len() == MAX_ELEMENTS {
                return Err(A::Error::custom(format_args!("a list has more than {MAX_ELEMENTS} elements")));
            }
            list.extend(element);
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }
}

/// An object from its JSON; `None` where there is something else.
pub(crate) fn object<'a, T: Members<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str::<Maybe<T>>(json).ok()?.0
}

/// Whether a value says anything: it is not null, false, 0, nor empty.
pub(crate) fn is_something(raw: &RawValue) -> bool {
    let inner = |open, close| Some(raw.get().strip_prefix(open)?.strip_suffix(close)?.trim_ascii());
    let inside = inner('{', '}').or_else(|| inner('[', ']'));
    !matches!(raw.get(), "null" | "false" | "\"\"" | "0" | "0.0") && inside != Some("")
}

/// The value of a member, if it says anything.
pub(crate) fn something(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| is_something(raw))
}

/// A name or an id: a string, or a number as text. Some servers say that they have none by the word `null`.
pub(crate) fn label(raw: Option<&RawValue>) -> Option<Text<'_>> {
    let raw = something(raw)?.get();
    let number = || raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| Text::of(raw));
    Text::literal(raw).or_else(number).filter(|text| text.escaped() != "null")
}

/// Without the mark that some servers put before JSON (U+FEFF).
pub(crate) fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Whether an event says in the words of the OpenAI dialect that the stream is over; some servers put blanks around them.
pub(crate) fn is_done(data: &[u8]) -> bool {
    data.trim_ascii_start().starts_with(b"[DONE]")
}

#[cfg(test)]
mod tests {
    use super::*;

    objects! {
        Thing {
            name: Option<&'a RawValue> = "name",
            size: Count = "size",
            kind: Word<'a> = "kind",
            part: Maybe<Part<'a>> = "part",
            parts: List<Part<'a>> = "parts",
        } without "old" | "older";
        Part { n: Count = "n", } without "x";
    }

    #[test]
    fn what_has_another_form_is_absent_and_of_equal_names_the_last_counts() {
        let json = r#"{"name":"a","size":"7","kind":"k","part":{"n":1},"part":{"n":2.0},"old":{},"new":[1],"none":[ ],
            "parts":[{"n":3},null,"x",{}],"n\u0061me":"b"}"#;
        let thing: Thing<'_> = object(json).unwrap();
        assert_eq!((label(thing.name), thing.size.0, thing.kind.0), (Some(Text::of("b")), Some(7), "k"));
        assert_eq!(thing.part.0.and_then(|part| part.n.0), Some(2));
        assert_eq!(thing.parts.0.iter().map(|part| part.n.0).collect::<Vec<_>>(), [Some(3), None]);
        assert_eq!(thing.others.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["new"]);
        for odd in ["[]", "[[{}]]", "{}", "7", "-7", "1.5", "true", "null", "\"t\\n\"", "\"\""] {
            let json = format!(r#"{{"name":{odd},"part":{odd},"parts":{odd},"size":{odd},"kind":{odd}}}"#);
            let thing: Thing<'_> = object(&json).unwrap();
            assert!(thing.parts.0.is_empty(), "{odd}");
        }
        assert!(object::<Thing<'_>>("[]").is_none() && object::<Thing<'_>>("{").is_none());
    }

    #[test]
    fn no_object_grows_without_a_bound() {
        let many = |n: usize| vec!["{}"; n].join(",");
        assert!(object::<Thing<'_>>(&format!(r#"{{"parts":[{}]}}"#, many(MAX_ELEMENTS))).is_some());
        assert!(object::<Thing<'_>>(&format!(r#"{{"parts":[{}]}}"#, many(MAX_ELEMENTS + 1))).is_none());
        let others: Vec<_> = (0..100).map(|n| format!("\"m{n}\":1")).collect();
        assert_eq!(object::<Thing<'_>>(&format!("{{{}}}", others.join(","))).unwrap().others.len(), MAX_OTHERS);
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(512).for_each(|bytes| {
            let _ = serde_json::from_slice::<Maybe<Thing<'_>>>(bytes);
        });
    }
}
