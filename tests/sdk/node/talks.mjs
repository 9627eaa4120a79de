// Runs conversations of one library: a case a line comes in as JSON, and what came of it goes out.
// With `told` also what a user reads of an error, and when to come back.

import { nextLine } from "./talk.mjs";

const { conversations, raised } = await import(`./talk-${process.argv[2]}.mjs`);
for (let line = await nextLine(); line !== null; line = await nextLine()) {
  const { case: name, model, stream, told } = JSON.parse(line);
  const seen = (error) => {
    const more = told && { message: error.message, retry_after: error.headers?.get("retry-after") };
    return { ...raised(error), ...more };
  };
  console.log(JSON.stringify(await conversations[name](model, stream).catch(seen)));
}
