// Runs conversations of one library: a case a line comes in as JSON, and what came of it goes out.

import { nextLine } from "./talk.mjs";

const { conversations, raised } = await import(`./talk-${process.argv[2]}.mjs`);
for (let line = await nextLine(); line !== null; line = await nextLine()) {
  const { case: name, model, stream } = JSON.parse(line);
  console.log(JSON.stringify(await conversations[name](model, stream).catch(raised)));
}
