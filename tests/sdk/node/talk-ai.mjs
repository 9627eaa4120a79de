// The AI SDK, in the words that it has for every provider.

import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { AT_ONCE, CAT, CITY, IN_TURN, PDF, PNG, pause, weather } from "./talk.mjs";

async function ask(stream, asked) {
  if (!stream) return generateText({ maxRetries: 0, ...asked });
  let failed = null;
  const answer = streamText({ maxRetries: 0, ...asked, onError: ({ error }) => (failed = error) });
  await answer.consumeStream();
  if (failed) throw failed;
  const { text, usage, response, reasoningText } = answer;
  return { text: await text, usage: await usage, response: await response, reasoningText: await reasoningText };
}

const user = (content) => ({ role: "user", content });
const seen = ({ text, usage }) => ({ text, tokens: [usage.inputTokens, usage.outputTokens] });

// The cases, for a function that makes a model, and the options by which a model thinks.
export function conversations(chat, thinks) {
  const show = async (model, stream, part) =>
    seen(await ask(stream, { model: chat(model), messages: [user([{ type: "text", text: "What is this?" }, part])] }));

  const withTools = async (model, stream, prompt) => {
    const tools = { weather: tool({ inputSchema: jsonSchema(CITY), execute: weather }) };
    return seen(await ask(stream, { model: chat(model), prompt, tools, stopWhen: stepCountIs(4) }));
  };

  return {
    text: async (model, stream) =>
      seen(await ask(stream, { model: chat(model), system: "Be brief.", prompt: "Say hello." })),
    tools_in_turn: (model, stream) => withTools(model, stream, IN_TURN),
    tools_at_once: (model, stream) => withTools(model, stream, AT_ONCE),
    image_url: (model, stream) => show(model, stream, { type: "image", image: new URL(CAT) }),
    image_base64: (model, stream) => show(model, stream, { type: "image", image: PNG, mediaType: "image/png" }),
    document: (model, stream) =>
      show(model, stream, { type: "file", data: PDF, mediaType: "application/pdf", filename: "a.pdf" }),

    async schema(model, stream) {
      const output = Output.object({ schema: jsonSchema(CITY), name: "place" });
      const answer = await ask(stream, { model: chat(model), prompt: "Where?", output });
      return { ...seen(answer), text: JSON.parse(answer.text).city };
    },

    async thinking(model, stream) {
      const asked = { model: chat(model), providerOptions: thinks };
      const messages = [user("Think.")];
      const first = await ask(stream, { ...asked, messages });
      messages.push(...first.response.messages, user("Again."));
      await pause();
      return { ...seen(await ask(stream, { ...asked, messages })), thought: first.reasoningText };
    },
  };
}

export function raised(error) {
  if (!APICallError.isInstance(error)) throw error;
  return { raised: error.name, status: error.statusCode ?? null };
}
