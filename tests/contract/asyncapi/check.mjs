// Reads an AsyncAPI document with the official parser; a line for each thing it finds.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const text = readFileSync(process.argv[2], "utf8");
const { document, diagnostics } = await new Parser().parse(text);
const severities = ["error", "warning", "information", "hint"];
for (const { severity, code, path, message } of diagnostics) {
  console.log(severities[severity], code, path.join("."), message);
}
process.exit(document ? 0 : 1);
