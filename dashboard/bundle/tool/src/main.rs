//! Two steps of scripts/bundle: `bundle-tool stamp ROOT` prints the stamp of the sources; `bundle-tool bind WASM START OUT`
//! makes of a compiled module `bundle.js` and `bundle.wasm`, and puts START, the script that begins, behind the first.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use wasm_bindgen_cli_support::Bindgen;

#[path = "../../../stamp.rs"]
mod stamp;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&Path> = arguments.iter().map(Path::new).collect();
    match words.as_slice() {
        [command, root] if command.as_os_str() == "stamp" => {
            println!("{}", stamp::stamp(root).context("the sources can't be read")?);
            Ok(())
        }
        [command, wasm, start, out] if command.as_os_str() == "bind" => bind(wasm, start, out),
        _ => bail!("bundle-tool stamp ROOT, or bundle-tool bind WASM START OUT"),
    }
}

fn bind(wasm: &Path, start: &Path, out: &Path) -> anyhow::Result<()> {
    let start = fs::read_to_string(start).context("the script that begins can't be read")?;
    fs::create_dir_all(out)?;
    let mut bindgen = Bindgen::new();
    bindgen.web(true)?.typescript(false).omit_default_module_path(true).input_path(wasm).out_name("bundle");
    bindgen.generate(out)?;
    let (script, module) = (out.join("bundle.js"), out.join("bundle_bg.wasm"));
    let glue = fs::read_to_string(&script)?;
    fs::write(&script, format!("{glue}\n{start}"))?;
    fs::rename(module, out.join("bundle.wasm"))?;
    Ok(())
}
