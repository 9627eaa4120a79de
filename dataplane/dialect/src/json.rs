//! One pass over a JSON object: its top-level members and where their values lie.
//!
//! It checks structure, bounds and the form of numbers, not escapes, and builds no tree.

use crate::names::{MEDIA, is_odd, resembled};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Deepest nesting that is read.
pub const MAX_DEPTH: u32 = 128;
/// Most top-level members of a request or answer.
const MAX_MEMBERS: usize = 128;
/// A longer number, or one with an exponent, is read to see whether it is finite.
const PLAIN_NUMBER: usize = 300;

/// Why a text is not taken as a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// Not JSON from this byte on.
    Syntax(usize),
    /// Not an object.
    NotAnObject,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More than 128 top-level members.
    TooManyMembers,
    /// A top-level member that appears twice, which different parsers read differently.
    Duplicate(String),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(at) => write!(f, "the body is not valid JSON (at byte {at})"),
            Self::NotAnObject => f.write_str("the body must be a JSON object"),
            Self::TooDeep => write!(f, "the body is nested deeper than {MAX_DEPTH} levels"),
            Self::TooManyMembers => write!(f, "the body has more than {MAX_MEMBERS} members"),
            Self::Duplicate(name) => write!(f, "the member {name:?} appears twice; send it once"),
        }
    }
}

/// A top-level member.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Its name, unescaped.
    pub name: Cow<'a, str>,
    /// Where its quoted name begins.
    pub start: usize,
    /// Where its value lies in the text.
    pub value: Range<usize>,
    /// Elements, if the value is an array or object.
    pub elements: usize,
    /// Values inside it, nested ones included.
    pub values: usize,
    /// Whether an object in it has a member of a name under which media stand.
    pub media: bool,
    /// Of messages and tools: the known name from which a member of theirs, or of their parts, differs by case alone.
    pub resembled: Option<&'static str>,
}

/// The members of an object, in order.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a str,
    list: Vec<Member<'a>>,
}

impl<'a> Members<'a> {
    /// Scans a whole text that must be one object.
    pub fn scan(text: &'a str) -> Result<Self, Invalid> {
        let mut scan = Scan::of(text);
        scan.blank();
        if scan.peek() != Some(b'{') {
            return Err(if scan.value().is_ok() { Invalid::NotAnObject } else { Invalid::Syntax(scan.at) });
        }
        scan.at += 1;
        let mut list: Vec<Member<'a>> = Vec::with_capacity(12);
        scan.blank();
        if scan.peek() == Some(b'}') {
            scan.at += 1;
        } else {
            loop {
                let member = scan.member(text)?;
                if list.iter().any(|held| held.name == member.name) {
                    return Err(Invalid::Duplicate(member.name.into_owned()));
                }
                if list.len() == MAX_MEMBERS {
                    return Err(Invalid::TooManyMembers);
                }
                list.push(member);
                if scan.separator(b'}')? {
                    break;
                }
            }
        }
        scan.blank();
        if scan.at == scan.bytes.len() { Ok(Self { text, list }) } else { Err(Invalid::Syntax(scan.at)) }
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Member<'a>> {
        self.list.iter().find(|member| member.name == name)
    }

    /// The text of a member's value; `None` where it is absent or null.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        let member = self.get(name)?;
        self.text.get(member.value.clone()).filter(|raw| *raw != "null")
    }

    /// Where the first member may be inserted, and whether others follow.
    pub fn front(&self) -> (usize, bool) {
        (self.text.find('{').map_or(0, |at| at + 1), !self.list.is_empty())
    }

    /// What must be cut out so that the members that `out` names are gone, commas included.
    pub fn without(&self, out: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
        let last_kept = self.list.iter().rposition(|member| !out(&member.name));
        let kept_to = last_kept.and_then(|at| self.list.get(at)).map_or(self.front().0, |member| member.value.end);
        let mut cuts: Vec<Range<usize>> = (self.list.windows(2).enumerate())
            .filter(|(at, _)| last_kept.is_some_and(|last| *at < last))
            .filter_map(|(_, pair)| match pair {
                [member, next] if out(&member.name) => Some(member.start..next.start),
                _ => None,
            })
            .collect();
        let end = self.list.last().map_or(kept_to, |member| member.value.end);
        cuts.extend((end > kept_to).then_some(kept_to..end));
        cuts
    }

    /// The whole text.
    pub const fn json(&self) -> &'a str {
        self.text
    }

    /// The text of a member found here.
    pub fn text_of(&self, member: &Member<'_>) -> &'a str {
        self.text.get(member.value.clone()).unwrap_or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Member<'a>> {
        self.list.iter()
    }
}

/// The elements of a text that must be one array.
pub fn elements(text: &str) -> Result<Vec<&str>, Invalid> {
    Elements::of(text)?.collect()
}

/// The elements of an array, one after the other.
pub(crate) struct Elements<'a> {
    text: &'a str,
    scan: Scan<'a>,
    ended: bool,
}

impl<'a> Elements<'a> {
    /// Of a text that must be one array.
    pub(crate) fn of(text: &'a str) -> Result<Self, Invalid> {
        let mut scan = Scan::of(text);
        scan.blank();
        if scan.peek() != Some(b'[') {
            return scan.wrong();
        }
        scan.at += 1;
        scan.blank();
        let ended = scan.peek() == Some(b']');
        Ok(Self { text, scan, ended })
    }

    fn element(&mut self) -> Result<&'a str, Invalid> {
        self.scan.blank();
        let start = self.scan.at;
        self.scan.value()?;
        let element = self.text.get(start..self.scan.at).unwrap_or_default();
        self.ended = self.scan.separator(b']')?;
        Ok(element)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a str, Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let element = self.element();
        self.ended |= element.is_err();
        Some(element)
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether a member of a name of [`MEDIA`] was passed, or one whose name is escaped.
    media: bool,
    /// Depth to which names are those of an API and not of its users.
    named: u32,
    /// The first known name that another one resembles, to that depth.
    resembled: Option<&'static str>,
}

impl<'a> Scan<'a> {
    const fn of(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, media: false, named: 0, resembled: None }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn wrong<T>(&self) -> Result<T, Invalid> {
        Err(Invalid::Syntax(self.at))
    }

    fn member<'t>(&mut self, text: &'t str) -> Result<Member<'t>, Invalid> {
        self.blank();
        let key = self.string()?;
        let quoted = text.get(key.clone()).unwrap_or_default();
        let name = if quoted.contains('\\') {
            Cow::Owned(serde_json::from_str(quoted).map_err(|_| Invalid::Syntax(key.start))?)
        } else {
            Cow::Borrowed(quoted.trim_matches('"'))
        };
        self.colon()?;
        let start = self.at;
        self.media = false;
        self.named = match &*name {
            // A list of messages with lists of parts or calls: what is below may be arguments.
            "messages" => 4,
            // A list of tools with a function or a schema: what is below may be parameters.
            "tools" => 3,
            _ => 0,
        };
        self.resembled = None;
        let (elements, values) = self.value()?;
        let (media, resembled) = (self.media, self.resembled);
        Ok(Member { name, start: key.start, value: start..self.at, elements, values, media, resembled })
    }

    /// The name of a member of some object within, and its colon.
    fn name(&mut self, depth: u32) -> Result<(), Invalid> {
        let name = self.string()?;
        let quoted = self.bytes.get(name).unwrap_or_default();
        if depth <= self.named && quoted.iter().fold(false, |odd, byte| odd | is_odd(*byte)) {
            self.resembled = self.resembled.or_else(|| resembled(quoted));
        }
        self.media |= MEDIA.contains(&quoted) || memchr::memchr(b'\\', quoted).is_some();
        self.colon()
    }

    fn colon(&mut self) -> Result<(), Invalid> {
        self.blank();
        if self.peek() != Some(b':') {
            return self.wrong();
        }
        self.at += 1;
        self.blank();
        Ok(())
    }

    /// After a value: true at the closing bracket, false at a comma.
    fn separator(&mut self, close: u8) -> Result<bool, Invalid> {
        self.blank();
        let found = self.peek();
        if found != Some(close) && found != Some(b',') {
            return self.wrong();
        }
        self.at += 1;
        Ok(found == Some(close))
    }

    /// A quoted string, quotes included.
    fn string(&mut self) -> Result<Range<usize>, Invalid> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.wrong();
        }
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.bytes.len();
                return self.wrong();
            };
            self.at += found + 1;
            if rest.get(found) == Some(&b'"') {
                return Ok(start..self.at);
            }
            self.at += 1;
        }
    }

    fn scalar(&mut self) -> Result<(), Invalid> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for literal in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(literal) {
                self.at += literal.len();
                return Ok(());
            }
        }
        match number(rest) {
            Some(length) => {
                self.at += length;
                Ok(())
            }
            None => self.wrong(),
        }
    }

    /// Skips a value; counts its elements and all values below it.
    fn value(&mut self) -> Result<(usize, usize), Invalid> {
        // One bit a level: set = object. `depth` says how many are in use.
        let (mut objects, mut depth) = (0u128, 0u32);
        let (mut elements, mut values) = (0, 0);
        loop {
            values += 1;
            if depth == 1 {
                elements += 1;
            }
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH - 1 {
                        return Err(Invalid::TooDeep);
                    }
                    self.at += 1;
                    self.blank();
                    let object = open == b'{';
                    if self.peek() == Some(if object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        depth += 1;
                        objects = objects << 1 | u128::from(object);
                        if object {
                            self.name(depth)?;
                        }
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            loop {
                if depth == 0 {
                    return Ok((elements, values));
                }
                let object = objects & 1 == 1;
                if !self.separator(if object { b'}' } else { b']' })? {
                    self.blank();
                    if object {
                        self.name(depth)?;
                    }
                    break;
                }
                depth -= 1;
                objects >>= 1;
            }
        }
    }
}

/// Length of the number that a text begins with; `None` where it is none, or one that has no finite value.
fn number(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let some = |from: usize| Some(digits(from)).filter(|found| *found > 0);
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += if text.get(at) == Some(&b'0') { 1 } else { some(at)? };
    if text.get(at) == Some(&b'.') {
        at += 1 + some(at + 1)?;
    }
    let exponent = matches!(text.get(at), Some(b'e' | b'E'));
    if exponent {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at += some(at)?;
    }
    // What follows must be no part of it, such as the rest of `012`.
    if matches!(text.get(at), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
        return None;
    }
    let finite = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| number.is_finite());
    if exponent || at > PLAIN_NUMBER {
        finite(text.get(..at)?)?;
    }
    Some(at)
}

#[cfg(test)]
mod tests;
