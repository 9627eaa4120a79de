// The AI SDK's provider for Anthropic.

import { createAnthropic } from "@ai-sdk/anthropic";
import { conversations as all } from "./talk-ai.mjs";
import { API_KEY, BASE_URL } from "./talk.mjs";

export { raised } from "./talk-ai.mjs";
const provider = createAnthropic({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });
const thinking = { type: "enabled", budgetTokens: 1024 };
export const conversations = all((model) => provider(model), { anthropic: { thinking } });
