// The AI SDK's provider for servers that speak as OpenAI does.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { conversations as all } from "./talk-ai.mjs";
import { API_KEY, BASE_URL } from "./talk.mjs";

export { raised } from "./talk-ai.mjs";
const provider = createOpenAICompatible({
  name: "weir",
  baseURL: `${BASE_URL}/v1`,
  apiKey: API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
export const conversations = all((model) => provider(model), { weir: { reasoningEffort: "low" } });
