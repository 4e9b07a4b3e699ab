//! `plugin push` and `plugin pull`: plugins in registries.

use crate::cli::args::plugin::{PullArgs, PushArgs};
use crate::cli::args::registry::RegistryArgs;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::{print_line, print_progress};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use step_observer::app::read_plugin;
use step_observer::oci::{
    About, ComponentTypes, Pulled, Reference, Registry, RegistryAccess, SIGNATURE_ANNOTATION,
};
use step_observer::plugin::{Inspection, MAX_FILE_BYTES, PluginConfig, PluginFrom, read_signature};
use step_observer::terminal;

/// Docker's folder in the home folder.
const DOCKER_CONFIG: &str = ".docker/config.json";
/// Time of each artifact, so that the same file has the same digest whoever pushes it, and whenever.
const CREATED: &str = "1970-01-01T00:00:00Z";

pub(super) async fn push(args: PushArgs) -> Result<CommandOutcome, CommandError> {
    let PushArgs {
        plugin,
        reference,
        registry,
        json,
    } = args;
    let module = read_plugin(&plugin)?;
    let found = Inspection::parse(&module)?;
    if found.world.is_none() {
        return Err(format!(
            "{}: it is WebAssembly, but no plugin: it has no export of the contract",
            plugin.name
        )
        .into());
    }
    let about = About {
        file_name: file_name(&plugin),
        created: CREATED.to_owned(),
        component: (found.form == "component").then_some(ComponentTypes {
            exports: found.exports,
            imports: found.imports,
            target: None,
        }),
        annotations: signature(&plugin)?,
    };
    print_progress(&format!("pushing {} bytes to {reference}", module.len()));
    let pushed = Registry::new(reference.clone(), access(registry))?;
    let digest = pushed.push(module, &about).await?;
    print(&reference.pinned(digest), &found.sha256, json);
    Ok(CommandOutcome::Complete)
}

pub(super) async fn pull(args: PullArgs) -> Result<CommandOutcome, CommandError> {
    let PullArgs {
        reference,
        out,
        registry,
        json,
    } = args;
    let out = out.unwrap_or_else(|| format!("{}.wasm", name_of(&reference)).into());
    let Pulled {
        manifest,
        module,
        signature: _,
    } = fetch(&reference, registry).await?;
    let found = Inspection::parse(&module)?;
    write_new(&out, &module)?;
    print_progress(&format!("{}: {} bytes", out.display(), module.len()));
    print(&reference.pinned(manifest), &found.sha256, json);
    Ok(CommandOutcome::Complete)
}

/// Pulls a plugin into memory.
pub(super) async fn fetch(
    reference: &Reference,
    registry: RegistryArgs,
) -> Result<Pulled, CommandError> {
    print_progress(&format!("pulling {reference}"));
    let pulled = Registry::new(reference.clone(), access(registry))?;
    Ok(pulled.pull().await?)
}

fn access(args: RegistryArgs) -> RegistryAccess {
    let RegistryArgs {
        plain_http,
        ca_file,
        docker_config,
        token_hosts,
    } = args;
    let of_user = || {
        let path = std::env::home_dir()?.join(DOCKER_CONFIG);
        path.exists().then_some(path)
    };
    RegistryAccess {
        plain_http,
        ca_file,
        docker_config: docker_config.or_else(of_user),
        token_hosts,
        max_bytes: MAX_FILE_BYTES,
        ..RegistryAccess::default()
    }
}

/// Prints the name of an artifact with its digest, and the SHA-256 of its module.
fn print(reference: &Reference, module: &str, json: bool) {
    if !json {
        print_line(&format!("{reference}\nsha256 of the module: {module}"));
        return;
    }
    let digest = reference.digest().map(|digest| digest.to_string());
    let text =
        json!({"reference": reference.to_string(), "digest": digest, "moduleSha256": module});
    print_line(&terminal::escape_json(&format!("{text:#}")));
}

/// Returns the annotation with the signature that is beside the file of a plugin, if there is one.
fn signature(plugin: &PluginConfig) -> Result<BTreeMap<String, String>, CommandError> {
    let PluginFrom::File(path) = &plugin.from else {
        return Ok(BTreeMap::new());
    };
    let found =
        read_signature(path).map_err(|error| format!("{}.minisig: {error}", path.display()))?;
    let found = found.map(|text| (SIGNATURE_ANNOTATION.to_owned(), text.to_string()));
    Ok(found.into_iter().collect())
}

/// Returns the name of the file that other tools write when they pull.
fn file_name(plugin: &PluginConfig) -> String {
    match &plugin.from {
        PluginFrom::Bundled(name) => format!("{name}.wasm"),
        PluginFrom::File(path) => {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        }
        PluginFrom::Oci(reference) => format!("{}.wasm", name_of(reference)),
    }
}

/// Returns the last part of the repository, which names the plugin.
pub(super) fn name_of(reference: &Reference) -> String {
    let name = reference.repository().rsplit('/').next();
    name.unwrap_or_default().to_owned()
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => format!(
            "{} exists: remove it, or name another file with --out",
            path.display()
        ),
        _ => format!("failed to write {}: {error}", path.display()),
    };
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    Ok(())
}
