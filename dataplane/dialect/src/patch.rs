//! Splicing: a body with some parts replaced, every other byte shared with the original.

use bytes::Bytes;
use std::ops::Range;

/// A part of a body and what stands there instead; an empty range inserts.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Bytes of the original.
    pub at: Range<usize>,
    /// Their replacement.
    pub text: Bytes,
}

/// The edited body in pieces. Edits must not overlap; they may come in any order.
pub fn splice(body: &Bytes, mut edits: Vec<Edit>) -> Vec<Bytes> {
    // What is inserted stands before what is cut from the same place on.
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
    let mut from = 0;
    for Edit { at, text } in edits {
        if at.start > from {
            pieces.push(body.slice(from..at.start));
        }
        if !text.is_empty() {
            pieces.push(text);
        }
        from = at.end;
    }
    if from < body.len() {
        pieces.push(body.slice(from..));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_edited_parts_differ() {
        let body = Bytes::from_static(b"0123456789");
        let edits = vec![
            Edit { at: 8..10, text: "END".into() },
            Edit { at: 0..0, text: "<".into() },
            Edit { at: 3..5, text: Bytes::new() },
        ];
        assert_eq!(splice(&body, edits).concat(), b"<012567END");
        let both = vec![Edit { at: 1..4, text: Bytes::new() }, Edit { at: 1..1, text: "<".into() }];
        assert_eq!(splice(&body, both).concat(), b"0<456789");
        let whole = splice(&body, Vec::new());
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].as_ptr(), body.as_ptr(), "an unedited body is not copied");
    }
}
