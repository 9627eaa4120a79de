//! Every figure by requests as callers send them.

use super::*;
use crate::Call;
use serde_json::{Value, json};

fn size(dialect: Dialect, body: &str) -> InputSize {
    InputSize::of(dialect, &Members::scan(body).expect("an object"))
}

fn asking(dialect: Dialect, content: &Value) -> InputSize {
    size(
        dialect,
        &json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}).to_string(),
    )
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for nth in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * nth) & 63) as usize]);
            text.push(if nth <= three.len() { letter } else { '=' });
        }
    }
    text
}

/// A file that begins so and has so many bytes.
fn file(head: &[u8], bytes: usize) -> String {
    base64(&[head, &vec![0x41; bytes]].concat())
}

fn png(width: u32, height: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &width.to_be_bytes()[..], &height.to_be_bytes()].concat()
}

/// Both dialects' parts of an image.
fn images(media_type: &str, data: &str) -> [(Dialect, Value); 3] {
    let block = json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}});
    let url = format!("data:{media_type};base64,{data}");
    [
        (Dialect::OpenAI, json!([{"type": "image_url", "image_url": {"url": url}}])),
        (Dialect::Anthropic, json!([block])),
        (Dialect::Anthropic, json!([{"type": "tool_result", "tool_use_id": "t", "content": [block]}])),
    ]
}

#[test]
fn prose_counts_four_bytes_a_token_and_surely_at_least_one_for_six() {
    let text = "All work and no play makes Jack a dull boy. ".repeat(1_000);
    let InputSize { least, likely, most } = asking(Dialect::OpenAI, &json!(text));
    assert!((6_500..=7_400).contains(&least), "{least}");
    assert!((10_000..=11_200).contains(&likely), "{likely}");
    assert!((22_000..=27_000).contains(&most), "{most}");
}

#[test]
fn an_image_counts_by_its_pixels_whatever_its_bytes() {
    let jpeg = [&b"\xff\xd8\xff\xe0\0\x10"[..], &[0; 14], b"\xff\xc0\0\x11\x08", &[3, 0, 4, 0]].concat();
    let gif = [&b"GIF89a"[..], &[0, 4, 0, 3]].concat();
    let vp8x = [&b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"[..], &[0xff, 3, 0, 0xff, 2, 0]].concat();
    let vp8 = [&b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a"[..], &[0, 4, 0, 3]].concat();
    let bits = 1_023u32 | 767 << 14;
    let vp8l = [&b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f"[..], &bits.to_le_bytes()].concat();
    for head in [png(1_024, 768), jpeg, gif, vp8x, vp8, vp8l] {
        assert_eq!(image::pixels(image::Base64(base64(&head).as_bytes())), Some(1_024 * 768), "{head:?}");
        for (dialect, content) in images("image/png", &file(&head, 1_000_000)) {
            let InputSize { least, likely, most } = asking(dialect, &content);
            assert!(least < 60 && (1_048..1_150).contains(&likely), "{least} {likely} {content:.100}");
            assert!((1_966..2_300).contains(&most), "{most}");
        }
    }
    // A tiny and a huge one, and one of which nothing can be read.
    for (head, likely, most) in [(png(1, 1), 85, 1_200), (png(9_000, 9_000), 1_600, 5_000), (vec![], 1_000, 5_000)] {
        for (dialect, content) in images("image/jpg", &file(&head, 3_000)) {
            let found = asking(dialect, &content);
            assert!((likely..likely + 100).contains(&found.likely), "{found:?}");
            assert!((most..most + 300).contains(&found.most), "{found:?}");
        }
    }
}

#[test]
fn what_is_named_and_not_sent_counts_a_flat_amount() {
    for (dialect, part, likely, most) in [
        (Dialect::OpenAI, json!({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}), 1_000, 5_000),
        (
            Dialect::OpenAI,
            json!({"type": "image_url", "image_url": {"url": "https://a.example/b", "detail": "low"}}),
            85,
            5_000,
        ),
        (Dialect::OpenAI, json!({"type": "image_url", "image_url": "https://a.example/b.png"}), 1_000, 5_000),
        (Dialect::OpenAI, json!({"type": "file", "file": {"file_id": "file_1"}}), 5_000, 30_000),
        (
            Dialect::Anthropic,
            json!({"type": "image", "source": {"type": "url", "url": "https://a.example"}}),
            1_000,
            5_000,
        ),
        (Dialect::Anthropic, json!({"type": "image", "source": {"type": "file", "file_id": "f"}}), 1_000, 5_000),
        (
            Dialect::Anthropic,
            json!({"type": "document", "source": {"type": "url", "url": "https://a.example"}}),
            5_000,
            30_000,
        ),
    ] {
        let found = asking(dialect, &json!([part]));
        assert!((likely..likely + 100).contains(&found.likely), "{part}: {found:?}");
        assert!((most..most + 200).contains(&found.most), "{part}: {found:?}");
    }
}

#[test]
fn documents_and_recordings_count_by_their_size() {
    let pdf = file(b"%PDF-1.7", 3_000_000);
    for (dialect, part) in [
        (Dialect::OpenAI, json!({"type": "file", "file": {"file_data": format!("data:application/pdf;base64,{pdf}")}})),
        (Dialect::OpenAI, json!({"type": "file", "file": {"file_data": pdf, "filename": "a.pdf"}})),
        (
            Dialect::Anthropic,
            json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}}),
        ),
    ] {
        let found = asking(dialect, &json!([part]));
        assert!(found.least < 60 && (93_750..93_900).contains(&found.likely), "{found:?}");
        assert!((375_000..375_300).contains(&found.most), "{found:?}");
    }
    let small = asking(Dialect::OpenAI, &json!([{"type": "file", "file": {"file_data": base64(b"%PDF")}}]));
    assert!((1_500..1_600).contains(&small.likely) && (3_000..3_200).contains(&small.most), "{small:?}");
    let audio = json!([{"type": "input_audio", "input_audio": {"data": file(b"RIFF", 960_000), "format": "wav"}}]);
    let found = asking(Dialect::OpenAI, &audio);
    assert!((960..1_050).contains(&found.likely) && (19_200..19_400).contains(&found.most), "{found:?}");
}

#[test]
fn text_that_is_called_media_counts_as_text() {
    let text = "abc ".repeat(10_000);
    let bytes = text.len() as u64;
    for (dialect, part) in [
        (Dialect::OpenAI, json!({"type": "text", "text": text})),
        (Dialect::OpenAI, json!({"type": "text", "text": text, "image_url": {"url": "data:image/png;base64,AAAA"}})),
        (Dialect::OpenAI, json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "x": text}})),
        (Dialect::OpenAI, json!({"type": "image_url", "image_url": {"url": format!("data:text/plain;base64,{text}")}})),
        (Dialect::OpenAI, json!({"type": "image_url", "image_url": {"url": format!("data:image/png,{text}")}})),
        (Dialect::OpenAI, json!({"type": "file", "file": {"filename": text, "file_data": "AAAA"}})),
        (
            Dialect::OpenAI,
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": text}}),
        ),
        (
            Dialect::Anthropic,
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}),
        ),
        (
            Dialect::Anthropic,
            json!({"type": "document", "source": {"type": "base64", "media_type": "text/plain; charset=utf-8", "data": text}}),
        ),
        (
            Dialect::Anthropic,
            json!({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": text}]}}),
        ),
        (Dialect::Anthropic, json!({"type": "text", "source": {"type": "base64", "data": text}})),
        (
            Dialect::Anthropic,
            json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{text}")}}),
        ),
        (Dialect::Anthropic, json!({"type": "search_result", "source": text, "content": []})),
    ] {
        let found = asking(dialect, &json!([part]));
        assert!(found.most >= bytes / 2 && found.likely >= bytes / 4 - bytes / 40, "{found:?} {part:.90}");
        assert!(found.least >= bytes / 7, "{found:?} {part:.90}");
    }
    // A part whose name is written with escapes is the same part.
    let escaped = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"image\u005furl","image\u005furl":{{"url":"data:image\/png;base64,{}"}}}}]}}]}}"#,
        "QUJD".repeat(100_000)
    );
    let found = size(Dialect::OpenAI, &escaped);
    assert!(found.likely < 1_100 && (5_000..5_200).contains(&found.most), "{found:?}");
}

#[test]
fn every_member_counts_for_the_most_but_small_settings() {
    let bare = size(Dialect::OpenAI, r#"{"model":"m","messages":[]}"#);
    for name in ["response_format", "functions", "prediction", "user", "metadata", "brand_new", "web_search_options"] {
        let body = json!({"model": "m", "messages": [], name: {"x": "abc ".repeat(100_000)}}).to_string();
        let found = size(Dialect::OpenAI, &body);
        assert!(found.most > 200_000 && found.likely > 90_000, "{name}: {found:?}");
        assert_eq!(found.least, bare.least, "{name}: nobody knows whether the model reads it");
    }
    let settings = json!({"model": "m", "messages": [], "temperature": 1, "stop": ["a"], "user": "ann", "seed": 7});
    assert_eq!(size(Dialect::OpenAI, &settings.to_string()), bare);
    let tools = json!({"model": "m", "messages": [], "tools": [{"type": "function"}]}).to_string();
    assert!(size(Dialect::OpenAI, &tools).most >= bare.most + TOOL_PROMPT);
}

#[test]
fn escapes_and_runs_count_little_where_only_what_surely_does_not_fit_is_refused() {
    let escaped =
        |times: usize| format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "\\u4f60\\u597d".repeat(times));
    let found = size(Dialect::OpenAI, &escaped(105_000));
    assert!(found.least <= 105_000, "210,000 characters may be so few tokens: {found:?}");
    assert!((100_000..=220_000).contains(&found.likely), "{found:?}");
    assert!(found.most >= 630_000, "three bytes each at worst: {found:?}");
    for run in [" ", "\\n", "\\t", "-", "=", "\\n ", "\\r\\n", "    \\n"] {
        let text = run.repeat(1_250_000 / run.len());
        let found = size(Dialect::Anthropic, &format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#));
        assert!(found.least < 150_000, "{run:?}: {found:?}");
    }
    let devanagari = "नमस्ते ".repeat(10_000);
    let found = asking(Dialect::OpenAI, &json!(devanagari));
    assert!(found.least <= 30_000 && found.most >= 180_000, "{found:?}");
}

#[test]
fn the_figures_never_contradict_one_another() {
    bolero::check!().with_max_len(300).for_each(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let InputSize { least, likely, most } = asking(Dialect::OpenAI, &json!(text));
        assert!(least <= likely && likely <= most, "{least} {likely} {most} {text:?}");
        if let Ok(call) = Call::read(Dialect::OpenAI, bytes) {
            assert!(call.input.least <= call.input.most);
        }
    });
}

#[test]
fn an_answer_of_several_choices_and_a_prediction_are_told() {
    let call = |body: &str| Call::read(Dialect::OpenAI, body.as_bytes()).map(|call| (call.choices, call.predicted > 0));
    assert_eq!(call(r#"{"model":"m","messages":[]}"#), Ok((1, false)));
    assert_eq!(call(r#"{"model":"m","messages":[],"n":128}"#), Ok((128, false)));
    assert_eq!(call(r#"{"model":"m","messages":[],"n":null,"best_of":3,"prediction":{"content":"a"}}"#), Ok((3, true)));
}

#[test]
fn what_a_server_may_fetch_reserves_as_a_document_whatever_its_part_is_called() {
    for part in [
        json!({"type": "audio_url", "audio_url": {"url": "http://x/y.mp3"}}),
        json!({"type": "input_audio", "input_audio": {"data": "https://x/y.mp3", "format": "mp3"}}),
        json!({"type": "input_image", "image_url": "https://x/y.png"}),
        json!({"type": "image", "image": "https://x/y.png"}),
        json!({"type": "document_url", "document_url": "https://x/y.pdf"}),
        json!({"type": "input_file", "file_url": "https://x/y.pdf"}),
        json!({"type": "video", "video": "https://x/y.mp4"}),
        json!({"type": "media", "uri": "gs://x/y"}),
    ] {
        let found = asking(Dialect::OpenAI, &json!([part]));
        assert!(found.most >= 30_000, "{part}: {found:?}");
    }
    let upload = asking(Dialect::Anthropic, &json!([{"type": "container_upload", "file_id": "file_1"}]));
    assert!(upload.most >= 30_000, "{upload:?}");
    let text = asking(
        Dialect::Anthropic,
        &json!([{"type": "tool_use", "id": "t", "name": "f", "input": {"url": "http://x"}}]),
    );
    assert!(text.most < 200, "a call of a tool is its own text: {text:?}");
}
