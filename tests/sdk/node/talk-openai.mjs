// The OpenAI SDK.

import OpenAI from "openai";
import { API_KEY, AT_ONCE, BASE_URL, CAT, CITY, IN_TURN, PDF, PNG, pause, weather } from "./talk.mjs";

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });
const tools = [{ type: "function", function: { name: "weather", parameters: CITY } }];
const user = (content) => ({ role: "user", content });

async function ask(model, stream, messages, more = {}) {
  const completions = client.chat.completions;
  if (!stream) return completions.create({ model, messages, ...more });
  return completions.stream({ model, messages, stream_options: { include_usage: true }, ...more }).finalChatCompletion();
}

const seen = ({ choices: [{ message }], usage }) => ({
  text: message.content,
  tokens: [usage.prompt_tokens, usage.completion_tokens],
});

const show = async (model, stream, part) =>
  seen(await ask(model, stream, [user([{ type: "text", text: "What is this?" }, part])]));

async function withTools(model, stream, question) {
  const messages = [user(question)];
  for (;;) {
    const answer = await ask(model, stream, messages, { tools });
    const [{ message, finish_reason }] = answer.choices;
    if (finish_reason !== "tool_calls") return seen(answer);
    messages.push(message);
    for (const { id, function: called } of message.tool_calls) {
      messages.push({ role: "tool", tool_call_id: id, content: weather(JSON.parse(called.arguments)) });
    }
  }
}

export const conversations = {
  text: async (model, stream) =>
    seen(await ask(model, stream, [{ role: "system", content: "Be brief." }, user("Say hello.")])),
  tools_in_turn: (model, stream) => withTools(model, stream, IN_TURN),
  tools_at_once: (model, stream) => withTools(model, stream, AT_ONCE),
  image_url: (model, stream) => show(model, stream, { type: "image_url", image_url: { url: CAT } }),
  image_base64: (model, stream) =>
    show(model, stream, { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } }),
  document: (model, stream) => {
    const file = { filename: "a.pdf", file_data: `data:application/pdf;base64,${PDF}` };
    return show(model, stream, { type: "file", file });
  },

  async schema(model, stream) {
    const response_format = { type: "json_schema", json_schema: { name: "place", schema: CITY, strict: true } };
    const answer = seen(await ask(model, stream, [user("Where?")], { response_format }));
    return { ...answer, text: JSON.parse(answer.text).city };
  },

  async thinking(model, stream) {
    const more = { reasoning_effort: "low" };
    const messages = [user("Think.")];
    const first = (await ask(model, stream, messages, more)).choices[0].message;
    messages.push(first, user("Again."));
    await pause();
    return { ...seen(await ask(model, stream, messages, more)), thought: first.reasoning_content };
  },

  // A stream that ends with an error: what came before it, and what was raised.
  async cut(model) {
    let text = "";
    try {
      for await (const chunk of await client.chat.completions.create({ model, messages: [user("Say hello.")], stream: true })) {
        text += chunk.choices.map((choice) => choice.delta.content ?? "").join("");
      }
    } catch (error) {
      return { text, raised: raised(error).raised };
    }
    return { text, raised: null };
  },
};

export function raised(error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  return { raised: error.constructor.name, status: error.status ?? null };
}
