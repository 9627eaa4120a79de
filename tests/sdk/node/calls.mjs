// One call a run, written as a user of the OpenAI SDK writes it; prints what came of it as JSON.

import { readFile } from "node:fs/promises";
import { once } from "node:events";
import OpenAI from "openai";

// An API key as it is, or the token that the file holds now: kubelet rotates it.
const { API_KEY, BASE_URL, TOKEN_FILE } = process.env;
const apiKey = TOKEN_FILE ? async () => (await readFile(TOKEN_FILE, "utf8")).trim() : API_KEY;

const client = new OpenAI({ baseURL: BASE_URL, apiKey });
const messages = [{ role: "user", content: "Say hello." }];
const weather = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};
const pieceOf = (chunk) => chunk.choices.map((choice) => choice.delta.content).filter(Boolean);

const calls = {
  async chat(model) {
    const answer = await client.chat.completions.create({ model, messages });
    return { text: answer.choices[0].message.content, tokens: answer.usage.total_tokens };
  },

  async priority(model) {
    const answer = await client.chat.completions.create({ model, messages, service_tier: "priority" });
    return { tier: answer.service_tier };
  },

  async stream(model) {
    const seen = { pieces: [], tokens: null };
    const options = { model, messages, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create(options)) {
      seen.pieces.push(...pieceOf(chunk));
      seen.tokens = chunk.usage?.total_tokens ?? seen.tokens;
    }
    return seen;
  },

  async stream_error(model) {
    const pieces = [];
    try {
      for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
        pieces.push(...pieceOf(chunk));
      }
    } catch (error) {
      return { pieces, ...raised(error) };
    }
    return { pieces, raised: null };
  },

  async tool(model) {
    const answer = await client.chat.completions.create({ model, messages, tools: [weather] });
    const { name, arguments: text } = answer.choices[0].message.tool_calls[0].function;
    return { name, arguments: JSON.parse(text) };
  },

  async tool_stream(model) {
    let [name, text] = ["", ""];
    const options = { model, messages, tools: [weather], stream: true };
    for await (const chunk of await client.chat.completions.create(options)) {
      for (const call of chunk.choices.flatMap((choice) => choice.delta.tool_calls ?? [])) {
        name += call.function.name ?? "";
        text += call.function.arguments ?? "";
      }
    }
    return { name, arguments: JSON.parse(text) };
  },

  async models() {
    const models = [];
    for await (const model of client.models.list()) models.push(model.id);
    return { models };
  },

  // Two chats in one process; between them the caller of this program may rotate the token.
  async twice(model) {
    console.log(JSON.stringify(await calls.chat(model)));
    await once(process.stdin, "data");
    process.stdin.destroy();
    return calls.chat(model);
  },
};

function raised(error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  const { status = null, code = null, message } = error;
  return { raised: error.constructor.name, status, code, message };
}

const [name, model] = process.argv.slice(2);
console.log(JSON.stringify(await calls[name](model).catch(raised)));
