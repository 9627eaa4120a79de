// What all conversations have in common: the questions, the tool, and the world that it reports of.

import { createInterface } from "node:readline";

export const { API_KEY, BASE_URL } = process.env;
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const PDF = "JVBERi0xLjQKJSVFT0YK";
export const CAT = "https://example.com/cat.png";
export const IN_TURN = "The weather in Bern, then in Basel?";
export const AT_ONCE = "The weather in Bern and in Basel?";
export const CITY = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
export const weather = ({ city }) => `sunny in ${city}`;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// The next line of standard input, or null at its end.
export async function nextLine() {
  const { value, done } = await lines.next();
  return done ? null : value;
}

// Lets the other side of this program change the world between two turns.
export async function pause() {
  console.log(JSON.stringify({ paused: true }));
  await nextLine();
}
