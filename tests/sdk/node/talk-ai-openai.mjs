// The AI SDK's provider for OpenAI, in chat completions.

import { createOpenAI } from "@ai-sdk/openai";
import { conversations as all } from "./talk-ai.mjs";
import { API_KEY, BASE_URL } from "./talk.mjs";

export { raised } from "./talk-ai.mjs";
const provider = createOpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });
export const conversations = all((model) => provider.chat(model), { openai: { reasoningEffort: "low" } });
