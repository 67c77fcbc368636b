// Writes abi/NAME.json, {abi, bytecode}, for every contract of src/ that can be deployed and every interface.
// The Rust side reads these, so that running the market needs no Node. With --check, writes nothing and fails on drift.
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {basename, dirname, join} from "node:path";
import {fileURLToPath} from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const target = join(root, "abi");
const check = process.argv.includes("--check");

/** Every *.sol directly in src/ or src/interfaces/: libraries are internal and have no ABI of their own. */
function sources() {
    return ["src", "src/interfaces"].flatMap((folder) =>
        readdirSync(join(root, folder))
            .filter((file) => file.endsWith(".sol"))
            .map((file) => basename(file, ".sol")),
    );
}

/** Sorted, so that the order of declarations in a source does not show. */
function artefact(name) {
    const path = join(root, "out", `${name}.sol`, `${name}.json`);
    if (!existsSync(path)) throw new Error(`${name}: not built. Run: npx forge build`);
    const {abi, bytecode} = JSON.parse(readFileSync(path, "utf8"));
    if (bytecode.linkReferences && Object.keys(bytecode.linkReferences).length > 0) {
        throw new Error(`${name}: needs linking, which the Rust side does not do`);
    }
    const key = (item) => `${item.type} ${item.name ?? ""} ${JSON.stringify(item.inputs ?? [])}`;
    abi.sort((a, b) => (key(a) < key(b) ? -1 : 1));
    return JSON.stringify({abi, bytecode: bytecode.object}, null, 1) + "\n";
}

const wanted = new Map(sources().map((name) => [`${name}.json`, artefact(name)]));
const present = existsSync(target) ? readdirSync(target) : [];
const stale = present.filter((file) => !wanted.has(file));
const changed = [...wanted].filter(([file, text]) => {
    const path = join(target, file);
    return !existsSync(path) || readFileSync(path, "utf8") !== text;
});

if (check) {
    for (const [file] of changed) console.error(`abi/${file} differs from src/`);
    for (const file of stale) console.error(`abi/${file} has no source`);
    if (changed.length + stale.length > 0) {
        console.error("Run: npm run export");
        process.exit(1);
    }
    console.log(`abi/: ${wanted.size} files, no drift`);
} else {
    mkdirSync(target, {recursive: true});
    for (const file of stale) rmSync(join(target, file));
    for (const [file, text] of changed) writeFileSync(join(target, file), text);
    console.log(`abi/: ${wanted.size} files, ${changed.length} written, ${stale.length} removed`);
}
