//! Betas of the Anthropic dialect: a target that is not told of them is sent none of their members either.

use crate::json::Members;
use crate::{Edit, splice};
use bytes::Bytes;

/// Members of a request that a beta alone allows. Who is sent one without its beta refuses the request.
const MEMBERS: [&str; 5] = ["container", "context_management", "mcp_servers", "output_format", "speed"];

/// A body without members that betas alone allow, and their names; `None` if it has none of them.
pub fn without_betas(body: &Bytes) -> Option<(Vec<Bytes>, Vec<&'static str>)> {
    let members = Members::scan(std::str::from_utf8(body).ok()?).ok()?;
    let held: Vec<_> = MEMBERS.into_iter().filter(|name| members.get(name).is_some()).collect();
    if held.is_empty() {
        return None;
    }
    let cuts = members.without(|name| held.contains(&name));
    let edits = cuts.into_iter().map(|at| Edit { at, text: Bytes::new() }).collect();
    Some((splice(body, edits), held))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(body: &'static str) -> Option<(String, Vec<&'static str>)> {
        let (pieces, names) = without_betas(&Bytes::from_static(body.as_bytes()))?;
        Some((String::from_utf8(pieces.concat()).expect("text"), names))
    }

    #[test]
    fn members_of_betas_go_wherever_they_stand_and_all_else_stays_byte_for_byte() {
        let body = r#"{"context_management":{"edits":[1]}, "model" : "m","messages":[{"speed":1}],"speed":"fast"}"#;
        let (text, names) = left(body).expect("it has some");
        assert_eq!(names, ["context_management", "speed"]);
        assert!(text.contains(r#""model" : "m","messages":[{"speed":1}]"#), "{text}");
        let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(parsed, serde_json::json!({"model": "m", "messages": [{"speed": 1}]}));
        assert_eq!(left(r#"{"model":"m","output_config":{"effort":"low"}}"#), None);
    }
}
