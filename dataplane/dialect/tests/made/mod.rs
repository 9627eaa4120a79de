//! Answers that are made up of every form that servers of the OpenAI dialect are known to write, by a seed, with what
//! they say.

use serde_json::{Value, json};

/// An answer and what it says.
#[derive(Debug)]
pub(crate) struct Made {
    /// The body, whole or a stream of events.
    pub(crate) body: String,
    pub(crate) streams: bool,
    /// Text, calls with their arguments, finish reason, and tokens of input and output.
    pub(crate) says: Value,
    /// Whether the SDK reads it as it is, without a gateway that knows better.
    pub(crate) plain: bool,
}

/// The answer of a seed.
pub(crate) fn answer(seed: u64) -> Made {
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let streams = draw.yes();
    let text = ["", "Hello", "Grüße \"you\"\n", "日本 😀 \\u", "a"][draw.of(5)];
    let thinking = ["", "hm", "first\nthen"][draw.of(3)];
    let count = if text.is_empty() { 1 + draw.of(3) } else { draw.of(3) };
    let calls: Vec<(String, Value)> = (0..count)
        .map(|n| {
            let name = format!("f{}", draw.of(2));
            let arguments =
                [json!({}), json!({"city": "Bern", "n": n}), json!({"text": "a\"b\\c\n"})][draw.of(3)].clone();
            (name, arguments)
        })
        .collect();
    let finish = if calls.is_empty() { ["stop", "length", "content_filter"][draw.of(3)] } else { "tool_calls" };
    let usage = (7, 3 + draw.of(90));
    let says = json!({"text": text, "finish": finish, "usage": [usage.0, usage.1],
        "calls": calls.iter().map(|(name, arguments)| json!([name, arguments])).collect::<Vec<_>>()});
    let odd_begin = [": comment\n\ndata: ", "id: 1\ndata: "][draw.of(2)];
    let mut made = Making { draw, odd_begin, plain: true };
    let body = if streams {
        made.stream(text, thinking, &calls, finish, usage)
    } else {
        made.whole(text, thinking, &calls, finish, usage)
    };
    Made { body, streams, says, plain: made.plain }
}

/// Draws by a seed (xorshift).
struct Draw(u64);

impl Draw {
    fn of(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn yes(&mut self) -> bool {
        self.of(2) == 1
    }
}

struct Making {
    draw: Draw,
    /// What stands before some events. After an id the SDK takes a comment for an event, so that one answer has one of them.
    odd_begin: &'static str,
    plain: bool,
}

impl Making {
    fn usage(&mut self, (input, output): (usize, usize)) -> Value {
        match self.draw.of(3) {
            0 => json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}),
            1 => json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details": null, "completion_tokens_details": {"reasoning_tokens": 1}}),
            _ => {
                json!({"completion_tokens": output, "prompt_tokens": input, "total_tokens": input + output, "queue_time": 0.1})
            }
        }
    }

    /// A call as a whole answer has it.
    fn call(&mut self, n: usize, name: &str, arguments: &Value) -> Value {
        let mut call = json!({"id": format!("call_{n}"), "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()}});
        match self.draw.of(5) {
            0 => drop(call.as_object_mut().unwrap().remove("type")),
            1 => call["index"] = json!(n),
            2 => call["function"]["arguments"] = arguments.clone(),
            3 => call["id"] = json!(""),
            _ => {}
        }
        call
    }

    fn whole(
        &mut self,
        text: &str,
        thinking: &str,
        calls: &[(String, Value)],
        finish: &str,
        usage: (usize, usize),
    ) -> String {
        let mut message = json!({"role": "assistant", "content": text});
        if text.is_empty() && self.draw.yes() {
            message["content"] = Value::Null;
        }
        if !thinking.is_empty() {
            message[["reasoning", "reasoning_content"][self.draw.of(2)]] = json!(thinking);
        }
        if self.draw.of(4) == 0 {
            message.as_object_mut().unwrap().remove("role");
        }
        if !calls.is_empty() {
            let list: Vec<_> = calls.iter().enumerate().map(|(n, (name, held))| self.call(n, name, held)).collect();
            message["tool_calls"] = json!(list);
        }
        let usage = self.usage(usage);
        let mut body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage});
        match self.draw.of(4) {
            0 => body["error"] = [json!(""), json!(null), json!({}), json!(false)][self.draw.of(4)].clone(),
            1 => body["created"] = json!(1.5),
            _ => {}
        }
        body.to_string()
    }

    fn stream(
        &mut self,
        text: &str,
        thinking: &str,
        calls: &[(String, Value)],
        finish: &str,
        usage: (usize, usize),
    ) -> String {
        let usage = self.usage(usage);
        let roles = self.draw.yes();
        let empty_finish = self.draw.of(4) == 0;
        let usage_in = self.draw.of(3);
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        for piece in pieces(thinking) {
            deltas.push(match self.draw.of(2) {
                0 => json!({"reasoning": piece}),
                _ => json!({"reasoning_content": piece, "content": null}),
            });
        }
        deltas.extend(pieces(text).map(|piece| json!({"content": piece})));
        deltas.extend(self.call_deltas(calls));
        let count = deltas.len();
        let mut out = String::new();
        for (at, mut delta) in deltas.into_iter().enumerate() {
            // The SDK takes the role for a text that goes on, so that it comes where nothing reads it.
            if roles && at > 0 {
                delta["role"] = Value::Null;
            }
            let reason = if empty_finish { json!("") } else { Value::Null };
            let mut chunk = chunk(&json!([{"index": 0, "delta": delta, "finish_reason": reason}]));
            if usage_in == 0 {
                chunk["usage"] = usage.clone();
            } else if self.draw.yes() {
                chunk["usage"] = Value::Null;
            }
            self.event(&mut out, &chunk);
            if at + 1 == count {
                let mut last = self::chunk(&json!([{"index": 0, "delta": {}, "finish_reason": finish}]));
                if usage_in < 2 {
                    last["usage"] = usage.clone();
                }
                self.event(&mut out, &last);
            }
        }
        if usage_in == 2 {
            let mut last = chunk(&json!([]));
            last["usage"] = usage;
            self.event(&mut out, &last);
        }
        out + ["data: [DONE]\n\n", "data: [DONE] \n\n", "data:[DONE]\n\n"][self.draw.of(3)]
    }

    fn event(&mut self, out: &mut String, chunk: &Value) {
        let begin = ["data: ", "data:", self.odd_begin][self.draw.of(3)];
        out.push_str(&format!("{begin}{chunk}\n\n"));
    }

    /// Calls in pieces, each in one of the forms that servers send.
    fn call_deltas(&mut self, calls: &[(String, Value)]) -> Vec<Value> {
        let form = self.draw.of(6);
        let mut deltas = Vec::new();
        for (n, (name, arguments)) in calls.iter().enumerate() {
            let whole = arguments.to_string();
            let id = format!("call_{n}");
            let one = |call: Value| json!({"tool_calls": [call]});
            let fragments = || pieces(&whole).map(|piece| json!({"index": n, "function": {"arguments": piece}}));
            match form {
                // OpenAI: id, type and name first.
                0 => {
                    let function = json!({"name": name, "arguments": ""});
                    deltas.push(one(json!({"index": n, "id": id, "type": "function", "function": function})));
                    deltas.extend(fragments().map(one));
                }
                // vLLM: all of it at once.
                1 => deltas.push(one(json!({"index": n, "id": id, "type": "function",
                    "function": {"name": name, "arguments": whole}}))),
                // SGLang: id and name are null afterwards.
                2 => {
                    let function = json!({"name": name, "arguments": ""});
                    deltas.push(one(json!({"index": n, "id": id, "type": "function", "function": function})));
                    deltas.extend(fragments().map(|mut call| {
                        (call["id"], call["function"]["name"]) = (Value::Null, Value::Null);
                        one(call)
                    }));
                }
                // Gemini: one index for all.
                3 => {
                    self.plain &= calls.len() < 2;
                    deltas.push(one(json!({"index": 0, "id": id, "type": "function",
                        "function": {"name": name, "arguments": whole}})));
                }
                // Ollama: no index, no id.
                4 => {
                    self.plain = false;
                    deltas.push(one(json!({"function": {"name": name, "arguments": whole}})));
                }
                // Mistral: arguments as an object.
                _ => {
                    self.plain = false;
                    deltas.push(one(json!({"index": n, "id": id, "function": {"name": name, "arguments": arguments}})));
                }
            }
        }
        deltas
    }
}

fn chunk(choices: &Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices})
}

/// A text in pieces of two characters.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(2).map(|piece| piece.iter().collect()).collect::<Vec<String>>().into_iter()
}
