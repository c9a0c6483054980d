// Judges folders with Monokle: links between resources, Pod Security Standards, common practices and the syntax. Its
// schemas and its Rego rules are left out, because it fetches those from the network at run time.
//
// Prints a JSON object: for every folder a list of pairs, the rule and the file.
import { readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...folders] = process.argv.slice(2);
const load = (name, file) => import(pathToFileURL(join(modules, "node_modules", name, file)).href);
const { extractK8sResources } = await load("@monokle/parser", "lib/index.js");
const { createDefaultMonokleValidator, processRefs, ResourceParser } = await load("@monokle/validation", "lib/node.js");

const files = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => ({ id: file, path: relative(folder, file), content: readFileSync(file, "utf8") }));

const judge = async (folder) => {
  const found = files(folder);
  const resources = extractK8sResources(found);
  processRefs(resources, new ResourceParser(), undefined, found.map((file) => file.path));
  const validator = createDefaultMonokleValidator();
  await validator.preload({
    plugins: { "yaml-syntax": true, "resource-links": true, "pod-security-standards": true, practices: true },
  });
  const { runs } = await validator.validate({ resources });
  return runs.flatMap((run) =>
    run.results.map((result) => [result.ruleId, result.locations[0].physicalLocation.artifactLocation.uri]),
  );
};

const answer = {};
for (const folder of folders) answer[folder] = await judge(folder);
process.stdout.write(JSON.stringify(answer));
