//! One JSON object, read member by member by its decoder. What nobody read can be named afterwards, so
//! that nothing is dropped without a word.

use crate::json::{Invalid, Members, elements};
use crate::{Refusal, Text};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// Members that only their own dialect knows, as JSON.
pub type Extra<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// Where in the body a value stands, such as `messages[2].content[0]`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'p> {
    /// The body itself.
    Root,
    /// A member of an object.
    Member(&'p Path<'p>, &'p str),
    /// An element of an array.
    Element(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(crate) const fn member(&'p self, name: &'p str) -> Self {
        Self::Member(self, name)
    }

    pub(crate) const fn element(&'p self, index: usize) -> Self {
        Self::Element(self, index)
    }

    /// The refusal of what stands here.
    pub(crate) fn refuse(&self, code: &'static str, why: impl fmt::Display) -> Refusal {
        let name = self.to_string();
        Refusal { param: Some(name.clone().into()), ..Refusal::invalid(code, None, format!("`{name}` {why}")) }
    }

    pub(crate) fn mistyped(&self, form: &str) -> Refusal {
        self.refuse("invalid_type", format_args!("must be {form}"))
    }

    pub(crate) fn missing(&self, form: &str) -> Refusal {
        self.refuse("missing_required_parameter", format_args!("is missing: it must be {form}"))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("body"),
            Self::Member(Self::Root, name) => f.write_str(name),
            Self::Member(up, name) => write!(f, "{up}.{name}"),
            Self::Element(up, index) => write!(f, "{up}[{index}]"),
        }
    }
}

/// An object and which of its members were read.
pub(crate) struct Fields<'a, 'p> {
    members: Cow<'p, Members<'a>>,
    read: Cell<u128>,
    pub(crate) path: Path<'p>,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// Scans an object.
    pub(crate) fn scan(raw: &'a str, path: Path<'p>) -> Result<Self, Refusal> {
        let members = Members::scan(raw).map_err(|e| match e {
            Invalid::NotAnObject => path.mistyped("an object"),
            Invalid::Syntax(_) | Invalid::TooDeep | Invalid::TooManyMembers | Invalid::Duplicate(_) => {
                path.refuse("invalid_json", format_args!("cannot be read: {e}"))
            }
        })?;
        Ok(Self { members: Cow::Owned(members), read: Cell::new(0), path })
    }

    /// Of an object that is scanned already.
    pub(crate) const fn of(members: &'p Members<'a>, path: Path<'p>) -> Self {
        Self { members: Cow::Borrowed(members), read: Cell::new(0), path }
    }

    /// The JSON of the whole object.
    pub(crate) fn json(&self) -> &'a str {
        self.members.json()
    }

    /// The JSON of a member; `None` where it is absent or null.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        let (at, member) = self.members.iter().enumerate().find(|(_, member)| member.name == name)?;
        self.read.set(self.read.get() | 1 << at);
        Some(self.members.text_of(member)).filter(|raw| *raw != "null")
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<Text<'a>>, Refusal> {
        let literal = |raw| Text::literal(raw).ok_or_else(|| self.path.member(name).mistyped("a string"));
        self.raw(name).map(literal).transpose()
    }

    pub(crate) fn required_text(&self, name: &str) -> Result<Text<'a>, Refusal> {
        self.text(name)?.ok_or_else(|| self.path.member(name).missing("a string"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Refusal> {
        self.parsed(name, "a number")
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.parsed(name, "a whole number, not negative")
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.parsed(name, "true or false")
    }

    pub(crate) fn parsed<T: serde::Deserialize<'a>>(&self, name: &str, form: &str) -> Result<Option<T>, Refusal> {
        let parse = |raw| serde_json::from_str(raw).map_err(|_| self.path.member(name).mistyped(form));
        self.raw(name).map(parse).transpose()
    }

    /// A member that is an object.
    pub(crate) fn object<'s>(&'s self, name: &'s str) -> Result<Option<Fields<'a, 's>>, Refusal> {
        self.raw(name).map(|raw| Fields::scan(raw, self.path.member(name))).transpose()
    }

    pub(crate) fn required_object<'s>(&'s self, name: &'s str) -> Result<Fields<'a, 's>, Refusal> {
        self.object(name)?.ok_or_else(|| self.path.member(name).missing("an object"))
    }

    /// An array of objects, each read so; empty where it is absent.
    pub(crate) fn list<T>(
        &self,
        name: &str,
        mut read: impl FnMut(&Fields<'a, '_>) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let path = self.path.member(name);
        let raws = self.elements(name)?.unwrap_or_default();
        raws.into_iter().enumerate().map(|(at, raw)| read(&Fields::scan(raw, path.element(at))?)).collect()
    }

    /// An array of strings; empty where it is absent.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<Text<'a>>, Refusal> {
        let literal = |raw| Text::literal(raw).ok_or_else(|| self.path.member(name).mistyped("a list of strings"));
        self.elements(name)?.unwrap_or_default().into_iter().map(literal).collect()
    }

    /// The elements of an array.
    pub(crate) fn elements(&self, name: &str) -> Result<Option<Vec<&'a str>>, Refusal> {
        let list = |raw| elements(raw).map_err(|_| self.path.member(name).mistyped("an array"));
        self.raw(name).map(list).transpose()
    }

    /// Members that nobody read and that are not null.
    pub(crate) fn unread(&self) -> Extra<'a> {
        let read = self.read.get();
        let left = self.members.iter().enumerate().filter(|(at, _)| read & 1 << at == 0);
        let named = left.map(|(_, member)| (member.name.clone(), self.members.text_of(member)));
        named.filter(|(_, raw)| *raw != "null").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_and_what_is_unread_is_named() {
        let root = Path::Root;
        let list = root.member("messages");
        let fields = Fields::scan(r#"{"a":"x","b":2,"c":null,"d":[1]}"#, list.element(2)).unwrap();
        assert_eq!(fields.text("a").unwrap().unwrap().plain(), "x");
        let refusal = fields.text("b").unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("messages[2].b"));
        assert_eq!(refusal.message, "`messages[2].b` must be a string");
        assert_eq!(fields.required_text("z").unwrap_err().param.as_deref(), Some("messages[2].z"));
        assert_eq!(fields.unread(), [("d".into(), "[1]")]);
        assert_eq!(Fields::scan("3", root).err().map(|e| e.message).as_deref(), Some("`body` must be an object"));
    }
}
