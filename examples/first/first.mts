import { Sandbox } from "podflare";

const sandbox = await Sandbox.create();
try {
  await sandbox.runCode("import math; x = 20");
  console.log((await sandbox.runCode("math.factorial(x)")).text);
  console.log((await sandbox.runCode("1 / 0")).error?.name);
  console.log((await sandbox.runCode("uname -r", { language: "bash" })).stdout);
} finally {
  await sandbox.close();
}
