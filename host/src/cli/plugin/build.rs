//! `plugin build`: builds a crate with the right compiler and target, and packs the module into ConfigMaps.

use super::config_map::ConfigMaps;
use super::settings::Settings;
use super::target::{engine, load, with_settings};
use crate::cli::args::plugin::BuildArgs;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::{print_line, print_progress};
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use step_observer::plugin::Inspection;
use step_observer::plugin::{PluginConfig, PluginFrom};
use step_observer_toolchain::{Toolchain, cargo};

pub(super) async fn build(args: BuildArgs) -> Result<CommandOutcome, CommandError> {
    let BuildArgs {
        source,
        out,
        configmap,
        namespace,
        name,
        offline,
    } = args;
    let (file, folder) = match source.is_dir() {
        true => {
            let built = compile(&source, offline)?;
            // cargo replaces `-` by `_`, which is not allowed in names of Kubernetes.
            let file = built.file_name().unwrap_or_default().to_string_lossy();
            let out = out.unwrap_or_else(|| source.join(file.replace('_', "-")));
            std::fs::copy(&built, &out)
                .map_err(|error| format!("failed to write {}: {error}", out.display()))?;
            (out, source)
        }
        false => {
            let folder = source.parent().unwrap_or(Path::new(".")).to_owned();
            (source, folder)
        }
    };
    let module = std::fs::read(&file)
        .map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    let found = Inspection::parse(&module)?;
    let stem = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default().replace('_', "-");
    let name = name.unwrap_or(stem);
    let packed = gzip(&module)?;
    let smaller = found.file_bytes == found.module_bytes && packed.len() * 10 < module.len() * 9;
    print_progress(&format!(
        "{}: {} bytes{}",
        file.display(),
        module.len(),
        match smaller {
            true => format!(", {} with gzip", packed.len()),
            false => String::new(),
        }
    ));
    let settings = Settings::read(&folder)?;
    let refused = check(&name, &file, &settings).await.err();
    if let (true, Some(problem)) = (configmap, &refused) {
        return Err(format!("a host would refuse it, so no ConfigMap is made: {problem}").into());
    }
    if let Some(problem) = refused {
        // No error: the author can add the configuration later.
        print_progress(&format!(
            "a host would refuse it without further settings: {problem}"
        ));
    }
    if configmap {
        let signature = signature(&file)?;
        let extension = extension(&file);
        // Signature and pinned digest cover the bytes of the file: compression would break them.
        let is_pinned = signature.is_some() || settings.manifest.sha256.is_some();
        let (extension, content) = match smaller && !is_pinned {
            true => (format!("{extension}.gz"), packed),
            false => (extension, module),
        };
        let maps = ConfigMaps {
            name,
            namespace,
            file: format!("plugin.{extension}"),
            module: content,
            signature,
            settings,
        };
        print_line(maps.yaml()?.trim_end());
    }
    Ok(CommandOutcome::Complete)
}

/// Loads the plugin with its settings, as a host would, so that mistakes show before it is in a cluster.
async fn check(name: &str, file: &Path, settings: &Settings) -> Result<(), CommandError> {
    let plugin = PluginConfig::new(name.to_owned(), PluginFrom::File(file.to_owned()));
    let config = with_settings(plugin, settings.manifest.clone());
    let plugin = load(&engine()?, &config).await?;
    let (name, version) = plugin.identity();
    print_progress(&format!("{name} {version} loads and passes its self-test"));
    Ok(())
}

fn signature(file: &Path) -> Result<Option<String>, CommandError> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".minisig");
    match std::fs::read_to_string(&beside) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("failed to read the signature: {error}").into()),
    }
}

/// The extension of a module: `wasm`, `wasm.gz`, `wasm.zst` or `wat`.
fn extension(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let known = ["wasm.gz", "wasm.zst", "wat"];
    let found = known.iter().find(|end| name.ends_with(**end));
    (*found.unwrap_or(&"wasm")).to_owned()
}

fn gzip(module: &[u8]) -> Result<Vec<u8>, CommandError> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(module)?;
    Ok(packed.finish()?)
}

/// Builds the crate, and returns the path of the module.
pub(super) fn compile(folder: &Path, offline: bool) -> Result<PathBuf, CommandError> {
    if !folder.join("Cargo.toml").exists() {
        return Err(format!(
            "{} holds no Cargo.toml: begin with `step-observer plugin new NAME`; in another language than Rust, \
             run build.sh, and pack what it has built with `plugin build FILE.wasm --configmap`",
            folder.display()
        )
        .into());
    }
    let toolchain = Toolchain::find(folder, print_progress)?;
    let mut build = cargo();
    build.current_dir(folder);
    toolchain.apply(&mut build, &target_dir(folder)?);
    build.args([
        "--release",
        "--lib",
        "--message-format",
        "json-render-diagnostics",
    ]);
    if offline {
        build.arg("--offline");
    }
    print_progress("cargo build --release --target wasm32-unknown-unknown");
    let output = build.stderr(Stdio::inherit()).output().map_err(|error| {
        format!("failed to start cargo: {error}; install Rust (rustup.rs), and put it on the PATH")
    })?;
    if !output.status.success() {
        return Err("cargo failed: see its output above".into());
    }
    // The last module belongs to the crate itself: its dependencies are built before it.
    let text = String::from_utf8_lossy(&output.stdout);
    let artifacts = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut modules = artifacts.filter_map(|message| {
        let files = message.get("filenames")?.as_array()?;
        let mut files = files.iter().filter_map(Value::as_str);
        files
            .find(|file| file.ends_with(".wasm"))
            .map(PathBuf::from)
    });
    modules.next_back().ok_or_else(|| {
        "cargo built no WebAssembly: Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`".into()
    })
}

fn target_dir(folder: &Path) -> Result<PathBuf, CommandError> {
    let output = cargo()
        .current_dir(folder)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder
        .map(PathBuf::from)
        .ok_or_else(|| "`cargo metadata` names no target directory".into())
}
