//! `plugin build`: the right compiler and target, then what a cluster needs.

use super::args::BuildArgs;
use super::config_map::ConfigMaps;
use super::{End, Problem, engine, load, note, say, with_settings};
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use step_observer::config::{PluginConfig, PluginFrom};
use step_observer::plugin::Inspection;
use step_observer::plugin::dropin::PluginManifest;
use step_observer_toolchain::{Toolchain, cargo};

pub(super) async fn build(args: BuildArgs) -> Result<End, Problem> {
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
            // cargo writes `_` for `-`, which no name in Kubernetes may have.
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
    let found = Inspection::of(&module)?;
    let stem = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default().replace('_', "-");
    let name = name.unwrap_or(stem);
    let packed = gzip(&module)?;
    let smaller = found.file_bytes == found.module_bytes && packed.len() * 10 < module.len() * 9;
    note(&format!(
        "{}: {} bytes{}",
        file.display(),
        module.len(),
        match smaller {
            true => format!(", {} with gzip", packed.len()),
            false => String::new(),
        }
    ));
    let settings = settings(&folder)?;
    let refused = check(&name, &file, &settings).await.err();
    if let (true, Some(problem)) = (configmap, &refused) {
        return Err(format!("a host would refuse it, so no ConfigMap is made: {problem}").into());
    }
    if let Some(problem) = refused {
        // It may be meant so: the configuration can be added later.
        note(&format!("as it is, a host would refuse it: {problem}"));
    }
    if configmap {
        let signature = signature(&file)?;
        let extension = extension(&file);
        // A signature or a pin is over the file as it is: packing it would break it.
        let as_is = signature.is_some() || settings.manifest.sha256.is_some();
        let (extension, content) = match smaller && !as_is {
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
        say(maps.yaml()?.trim_end());
    }
    Ok(End::Good)
}

/// Loads it with its settings, as a host would: better now than in a cluster.
async fn check(name: &str, file: &Path, settings: &Settings) -> Result<(), Problem> {
    let plugin = PluginConfig::new(name.to_owned(), PluginFrom::File(file.to_owned()));
    let config = with_settings(plugin, settings.manifest.clone());
    let plugin = load(&engine()?, &config).await?;
    let (name, version) = plugin.identity();
    note(&format!("{name} {version} loads and passes its self-test"));
    Ok(())
}

/// `plugin.yaml` as it stands there.
pub(super) struct Settings {
    pub(super) text: Option<String>,
    pub(super) manifest: PluginManifest,
}

fn settings(folder: &Path) -> Result<Settings, Problem> {
    let path = folder.join("plugin.yaml");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let manifest = PluginManifest::parse(&path.display().to_string(), &text)?;
            Ok(Settings {
                text: Some(text),
                manifest,
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings {
            text: None,
            manifest: PluginManifest::default(),
        }),
        Err(error) => Err(format!("failed to read {}: {error}", path.display()).into()),
    }
}

fn signature(file: &Path) -> Result<Option<String>, Problem> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".minisig");
    match std::fs::read_to_string(&beside) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("failed to read the signature: {error}").into()),
    }
}

/// `wasm`, `wasm.gz`, `wasm.zst` or `wat`.
fn extension(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let known = ["wasm.gz", "wasm.zst", "wat"];
    let found = known.iter().find(|end| name.ends_with(**end));
    (*found.unwrap_or(&"wasm")).to_owned()
}

fn gzip(module: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(module)?;
    Ok(packed.finish()?)
}

/// Builds the crate and gives the module.
fn compile(folder: &Path, offline: bool) -> Result<PathBuf, Problem> {
    if !folder.join("Cargo.toml").exists() {
        return Err(format!(
            "{} holds no Cargo.toml: begin with `step-observer plugin new NAME`; for other languages see \
             guest-sdk/languages, and pack what you have built with `plugin build FILE.wasm --configmap`",
            folder.display()
        )
        .into());
    }
    let toolchain = Toolchain::find(folder, note)?;
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
    note("cargo build --release --target wasm32-unknown-unknown");
    let told = build.stderr(Stdio::inherit()).output().map_err(|error| {
        format!("failed to start cargo: {error}; install Rust (rustup.rs), and put it on the PATH")
    })?;
    if !told.status.success() {
        return Err("cargo failed, see above".into());
    }
    // The crate itself is built last.
    let text = String::from_utf8_lossy(&told.stdout);
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

fn target_dir(folder: &Path) -> Result<PathBuf, Problem> {
    let told = cargo()
        .current_dir(folder)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .output()?;
    let metadata: Value = serde_json::from_slice(&told.stdout)
        .map_err(|_| String::from_utf8_lossy(&told.stderr).into_owned())?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder
        .map(PathBuf::from)
        .ok_or_else(|| "cargo does not say where it builds".into())
}
