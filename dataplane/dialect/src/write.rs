//! Writing JSON member by member, in the order in which it is asked for.

use crate::Text;
use crate::text::string;
use std::fmt::Display;
use std::io::Write as _;

/// An object that is being written.
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// An array that is being written.
pub struct Array<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// Writes an object.
pub fn object<R>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>) -> R) -> R {
    out.push(b'{');
    let filled = fill(&mut Object { out, first: true });
    out.push(b'}');
    filled
}

/// Writes an array.
pub(crate) fn array<R>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Array<'_>) -> R) -> R {
    out.push(b'[');
    let filled = fill(&mut Array { out, first: true });
    out.push(b']');
    filled
}

impl Object<'_> {
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name).extend_from_slice(json.as_bytes());
    }

    /// The members of an object that is JSON already.
    pub(crate) fn members_of(&mut self, object: Option<&str>) {
        let members = object.and_then(|json| json.trim_ascii().strip_prefix('{')?.strip_suffix('}'));
        if let Some(members) = members.filter(|members| !members.trim_ascii().is_empty()) {
            if !std::mem::take(&mut self.first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(members.as_bytes());
        }
    }

    pub(crate) fn text(&mut self, name: &str, text: &Text<'_>) {
        self.raw(name, text.as_json());
    }

    pub(crate) fn text_if(&mut self, name: &str, text: Option<&Text<'_>>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A plain text.
    pub fn str(&mut self, name: &str, plain: &str) {
        let out = self.name(name);
        string(out, plain);
    }

    /// A plain text that may be absent.
    pub fn str_if(&mut self, name: &str, plain: Option<&str>) {
        plain.into_iter().for_each(|plain| self.str(name, plain));
    }

    /// Plain texts.
    pub fn strs<'s>(&mut self, name: &str, plain: impl IntoIterator<Item = &'s str>) {
        self.array(name, |list| plain.into_iter().for_each(|plain| string(list.next(), plain)));
    }

    /// A count, quicker than [`Self::value`].
    pub fn count(&mut self, name: &str, count: impl Into<u64>) {
        // Writing to a Vec cannot fail.
        let _ = serde_json::to_writer(self.name(name), &count.into());
    }

    /// A number or a boolean.
    pub fn value(&mut self, name: &str, value: impl Display) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.name(name), "{value}");
    }

    /// A number or a boolean that may be absent.
    pub fn value_if(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    /// An object within it.
    pub fn object<R>(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>) -> R) -> R {
        object(self.name(name), fill)
    }

    /// An array within it.
    pub fn array<R>(&mut self, name: &str, fill: impl FnOnce(&mut Array<'_>) -> R) -> R {
        array(self.name(name), fill)
    }

    /// Strings.
    pub(crate) fn texts(&mut self, name: &str, texts: &[Text<'_>]) {
        self.array(name, |list| texts.iter().for_each(|text| list.raw(text.as_json())));
    }
}

impl Array<'_> {
    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out
    }

    /// An element that is JSON already.
    pub(crate) fn raw(&mut self, json: &str) {
        self.next().extend_from_slice(json.as_bytes());
    }

    /// An object as its next element.
    pub fn object<R>(&mut self, fill: impl FnOnce(&mut Object<'_>) -> R) -> R {
        object(self.next(), fill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_of_writing() {
        let mut out = Vec::new();
        object(&mut out, |o| {
            o.str("z", "a\"b");
            o.value("n", 1.5);
            o.count("c", 2_u8);
            o.array("l", |l| {
                l.raw("1");
                l.object(|o| o.value("t", true));
            });
            o.object("e", |_| {});
            o.text_if("absent", None);
        });
        assert_eq!(out, br#"{"z":"a\"b","n":1.5,"c":2,"l":[1,{"t":true}],"e":{}}"#);
    }
}
