//! What is read as an object, and what is not.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn members_are_those_that_a_full_parser_finds(v in value()) {
        for text in [v.to_string(), serde_json::to_string_pretty(&v).unwrap()] {
            match (Members::scan(&text), &v) {
                (Ok(members), Value::Object(map)) => {
                    prop_assert_eq!(members.iter().count(), map.len());
                    for (name, held) in map {
                        let raw = &text[members.get(name).unwrap().value.clone()];
                        prop_assert_eq!(&serde_json::from_str::<Value>(raw).unwrap(), held);
                    }
                }
                (Err(Invalid::NotAnObject), other) => prop_assert!(!other.is_object()),
                (other, _) => prop_assert!(false, "{:?} for {}", other, text),
            }
        }
    }

    #[test]
    fn garbage_never_panics(text in any::<String>()) {
        let _ = Members::scan(&text);
        let _ = Members::scan(&format!("{{{text}"));
    }
}

#[test]
fn cut_members_leave_an_object() {
    let text = r#"{ "a":1, "b" : [2], "c":3 ,"d":4 }"#;
    let members = Members::scan(text).unwrap();
    for (out, left) in [
        ("", json!({"a":1,"b":[2],"c":3,"d":4})),
        ("a", json!({"b":[2],"c":3,"d":4})),
        ("bc", json!({"a":1,"d":4})),
        ("cd", json!({"a":1,"b":[2]})),
        ("bd", json!({"a":1,"c":3})),
        ("abcd", json!({})),
    ] {
        let mut kept = text.to_owned();
        members.without(|name| out.contains(name)).into_iter().rev().for_each(|cut| kept.replace_range(cut, ""));
        assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), left, "{kept}");
    }
}

#[test]
fn elements_are_those_of_the_array() {
    assert_eq!(elements(r#" [1, "a,]" ,[2,3], {"x":[]}]"#).unwrap(), ["1", "\"a,]\"", "[2,3]", "{\"x\":[]}"]);
    assert!(elements("[]").unwrap().is_empty());
    assert!(elements("{}").is_err() && elements("[1").is_err());
}

#[test]
fn what_parsers_read_differently_is_refused() {
    assert_eq!(Members::scan(r#"{"model":"a","mod\u0065l":"b"}"#).unwrap_err(), Invalid::Duplicate("model".into()));
    assert_eq!(Members::scan(&format!("{{\"a\":{}", "[".repeat(100_000))).unwrap_err(), Invalid::TooDeep);
    for bad in [
        "",
        "{",
        "{}x",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":[1 2]}",
        "{\"a\":{\"b\"}}",
        "{a:1}",
        "{\"a\":nul}",
        "{\"a\":00012}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":1e400}",
        "{\"a\":[-1E+999]}",
        "{\"a\":0x1}",
        "{\"a\":1-1}",
        "{\"a\":-01}",
    ] {
        assert!(matches!(Members::scan(bad), Err(Invalid::Syntax(_))), "{bad:?}");
    }
    for good in ["0", "-0", "10", "1.50", "-1.5e-7", "1E+30", "1e308", "1e-400", "12345678901234567890"] {
        assert!(Members::scan(&format!("{{\"a\":{good}}}")).is_ok(), "{good}");
    }
    let endless = format!("{{\"a\":{}}}", "9".repeat(400));
    assert!(matches!(Members::scan(&endless), Err(Invalid::Syntax(_))), "no number is so large");
}
