// Optimises and compresses what bundle-tool made: `node pack.mjs FOLDER STAMP`.
// The stamp is written last, so that half a bundle is none.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [folder, stamp] = process.argv.slice(2);
const optimiser = join(dirname(fileURLToPath(import.meta.url)), "node_modules/binaryen/bin/wasm-opt");
const module = join(folder, "bundle.wasm");
const features = ["--enable-bulk-memory", "--enable-sign-ext", "--enable-mutable-globals", "--enable-reference-types",
  "--enable-multivalue", "--enable-nontrapping-float-to-int"];
execFileSync(process.execPath, [optimiser, module, "-Oz", "--strip-debug", "--strip-producers", ...features, "-o", module],
  { stdio: "inherit" });

let transfer = 0;
for (const name of ["bundle.js", "bundle.wasm"]) {
  const plain = readFileSync(join(folder, name));
  const brotli = brotliCompressSync(plain, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
  });
  writeFileSync(join(folder, `${name}.br`), brotli);
  writeFileSync(join(folder, `${name}.gz`), gzipSync(plain, { level: 9 }));
  transfer += brotli.length;
  console.log(`${name}: ${kilo(plain.length)}, ${kilo(brotli.length)} by brotli`);
}
writeFileSync(join(folder, "stamp"), `${stamp}\n`);
console.log(`the bundle: ${kilo(transfer)} to transfer`);

function kilo(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
