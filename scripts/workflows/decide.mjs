// Says which jobs of a workflow GitHub starts: node decide.mjs < QUESTION, which is JSON:
// {"file": …, "contexts": {"github": …, "vars": …}, "results": {JOB: {"result": …, "outputs": …}}}
// The results are those that the jobs really had. For each job it is decided from the results of the
// jobs before it. The answer is JSON: {JOB: true or false}.
import { readFileSync } from "node:fs";
import { expressions, parser } from "./github_packages.mjs";

const { Evaluator, Lexer, Parser, data } = expressions;

// Turns JSON into the values of the expression engine.
function value(json) {
  if (typeof json === "string") return new data.StringData(json);
  if (typeof json === "number") return new data.NumberData(json);
  if (typeof json === "boolean") return new data.BooleanData(json);
  if (json === null) return new data.Null();
  if (Array.isArray(json)) return new data.Array(...json.map(value));
  return new data.Dictionary(...Object.entries(json).map(([key, v]) => ({ key, value: value(v) })));
}

async function jobsOf(file) {
  const content = { name: file, content: readFileSync(file, "utf8") };
  const parsed = parser.parseWorkflow(content, new parser.NoOperationTraceWriter());
  const template = await parser.convertWorkflowTemplate(parsed.context, parsed.value);
  const errors = parsed.context.errors.getErrors();
  if (errors.length > 0) throw new Error(errors.map(String).join("\n"));
  return template.jobs;
}

// The status functions of a job look at all jobs before it, not only at those that it names.
function before(job, jobs) {
  const direct = (job.needs ?? []).map(String);
  const rest = direct.flatMap((id) => before(jobs.find((other) => String(other.id) === id), jobs));
  return [...new Set([...direct, ...rest])];
}

function starts(job, jobs, question) {
  const earlier = before(job, jobs).map((id) => question.results[id].result);
  const status = {
    always: () => true,
    cancelled: () => earlier.includes("cancelled"),
    failure: () => earlier.includes("failure"),
    success: () => earlier.every((result) => result === "success"),
  };
  const functions = Object.entries(status).map(([name, holds]) => [
    name,
    { name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(holds()) },
  ]);
  const needs = Object.fromEntries((job.needs ?? []).map((id) => [id, question.results[id]]));
  const contexts = { ...question.contexts, needs };
  const known = functions.map(([, definition]) => definition);
  const { tokens } = new Lexer(job.if.expression).lex();
  const tree = new Parser(tokens, Object.keys(contexts), known).parse();
  const result = new Evaluator(tree, value(contexts), new Map(functions)).evaluate();
  // A text would count as true whatever it says, so it is a mistake in the condition.
  if (!(result instanceof data.BooleanData)) throw new Error(`${job.id}: ${job.if.expression}`);
  return result.value;
}

const question = JSON.parse(readFileSync(0, "utf8"));
const jobs = await jobsOf(question.file);
console.log(JSON.stringify(Object.fromEntries(jobs.map((job) => [job.id, starts(job, jobs, question)]))));
