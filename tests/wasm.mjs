// node tests/wasm.mjs PROGRAM.wasm: runs main(); a program for WASI with the system's interface, any other with emit(character) alone.
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const module = await WebAssembly.compile(await readFile(process.argv[2]));
const imports = WebAssembly.Module.imports(module);
if (imports.some((one) => one.module === 'wasi_snapshot_preview1')) {
    const wasi = new WASI({ version: 'preview1', returnOnExit: true });
    process.exitCode = wasi.start(await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport }));
} else {
    const strange = imports.filter((one) => one.name !== 'emit');
    if (strange.length > 0) throw new Error(`imports ${strange.map((one) => one.name).join(', ')}: only emit is expected`);
    let text = '';
    const emit = (character) => { text += String.fromCharCode(character); };
    const { exports } = await WebAssembly.instantiate(module, { env: { emit } });
    process.exitCode = exports.main(0, 0);
    process.stdout.write(text);
}
