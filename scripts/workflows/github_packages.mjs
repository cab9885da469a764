// Loads GitHub's packages from the folder NODE_MODULES, where `npm ci` has installed them.
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const modules = process.env.NODE_MODULES;
if (!modules) {
  console.error("set NODE_MODULES to the folder that holds node_modules");
  process.exit(2);
}

registerHooks({
  resolve(specifier, context, next) {
    // Node.js looks beside the importing file, where this repository has no packages.
    const ours = context.parentURL === import.meta.url && !specifier.startsWith("node:");
    const parentURL = ours ? pathToFileURL(`${modules}/`).href : context.parentURL;
    const found = next(specifier, { ...context, parentURL });
    // The packages import JSON without saying so, which only bundlers accept.
    return found.url.endsWith(".json") ? { ...found, importAttributes: { type: "json" } } : found;
  },
});

export const expressions = await import("@actions/expressions");
export const parser = await import("@actions/workflow-parser");
export const { validate } = await import("@actions/languageservice");
export const { TextDocument } = await import("vscode-languageserver-textdocument");
