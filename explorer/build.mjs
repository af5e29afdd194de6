// Builds the page's script and style into the Python package: node build.mjs [folder]
import { build } from "esbuild";

await build({
  entryPoints: { page: "src/main.ts" },
  outdir: process.argv[2] ?? "../src/handgrad/explore",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "inline",
  logLevel: "warning",
});
await build({
  entryPoints: { page: "src/style.css" },
  outdir: process.argv[2] ?? "../src/handgrad/explore",
  minify: true,
  logLevel: "warning",
});
