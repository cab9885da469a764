// Checks workflows with GitHub's own language service: node lint.mjs FILE...
// Exit status: 0 no problem, 1 problems found (one on each line), 2 wrong usage.
import { readFileSync } from "node:fs";
import { TextDocument, validate } from "./github_packages.mjs";

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: node lint.mjs FILE...");
  process.exit(2);
}
let problems = 0;
for (const file of files) {
  const text = readFileSync(file, "utf8");
  const document = TextDocument.create(`file://${file}`, "yaml", 0, text);
  for (const { range, message } of await validate(document, {})) {
    console.log(`${file}:${range.start.line + 1}:${range.start.character + 1}: ${message}`);
    problems += 1;
  }
}
process.exit(problems === 0 ? 0 : 1);
