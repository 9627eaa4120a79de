// The Anthropic SDK.

import Anthropic from "@anthropic-ai/sdk";
import { API_KEY, AT_ONCE, BASE_URL, CAT, CITY, IN_TURN, PDF, PNG, pause, weather } from "./talk.mjs";

const client = new Anthropic({ baseURL: BASE_URL, apiKey: API_KEY });
const tools = [{ name: "weather", input_schema: CITY }];
const user = (content) => ({ role: "user", content });

async function ask(model, stream, messages, more = {}) {
  const asked = { model, messages, max_tokens: 500, ...more };
  return stream ? client.messages.stream(asked).finalMessage() : client.messages.create(asked);
}

const of = (answer, type) => answer.content.filter((block) => block.type === type);
const seen = (answer) => ({
  text: of(answer, "text").map((block) => block.text).join(""),
  tokens: [answer.usage.input_tokens, answer.usage.output_tokens],
});

const show = async (model, stream, part) =>
  seen(await ask(model, stream, [user([{ type: "text", text: "What is this?" }, part])]));

async function withTools(model, stream, question) {
  const messages = [user(question)];
  for (;;) {
    const answer = await ask(model, stream, messages, { tools });
    if (answer.stop_reason !== "tool_use") return seen(answer);
    messages.push({ role: "assistant", content: answer.content });
    const result = ({ id, input }) => ({ type: "tool_result", tool_use_id: id, content: weather(input) });
    messages.push(user(of(answer, "tool_use").map(result)));
  }
}

export const conversations = {
  text: async (model, stream) => seen(await ask(model, stream, [user("Say hello.")], { system: "Be brief." })),
  tools_in_turn: (model, stream) => withTools(model, stream, IN_TURN),
  tools_at_once: (model, stream) => withTools(model, stream, AT_ONCE),
  image_url: (model, stream) => show(model, stream, { type: "image", source: { type: "url", url: CAT } }),
  image_base64: (model, stream) => {
    const source = { type: "base64", media_type: "image/png", data: PNG };
    return show(model, stream, { type: "image", source });
  },
  document: (model, stream) => {
    const source = { type: "base64", media_type: "application/pdf", data: PDF };
    return show(model, stream, { type: "document", source });
  },

  async schema(model, stream) {
    const output_config = { format: { type: "json_schema", schema: CITY } };
    const answer = seen(await ask(model, stream, [user("Where?")], { output_config }));
    return { ...answer, text: JSON.parse(answer.text).city };
  },

  async thinking(model, stream) {
    const more = { thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 2000 };
    const messages = [user("Think.")];
    const first = await ask(model, stream, messages, more);
    messages.push({ role: "assistant", content: first.content }, user("Again."));
    await pause();
    const thought = of(first, "thinking").map((block) => block.thinking).join("");
    return { ...seen(await ask(model, stream, messages, more)), thought };
  },

  // A stream that ends with an error: what came before it, and what was raised.
  async cut(model) {
    let text = "";
    try {
      const asked = { model, messages: [user("Say hello.")], max_tokens: 500, stream: true };
      for await (const event of await client.messages.create(asked)) text += event.delta?.text ?? "";
    } catch (error) {
      return { text, raised: raised(error).raised };
    }
    return { text, raised: null };
  },
};

export function raised(error) {
  if (!(error instanceof Anthropic.APIError)) throw error;
  return { raised: error.constructor.name, status: error.status ?? null };
}
