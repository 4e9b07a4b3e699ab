//! `plugin new`: writes a crate that builds and tests without a registry, or the example of another
//! language.

mod languages;

use crate::cli::args::plugin::{Language, NewArgs};
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::print_line;
use languages::Example;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Path and text of the files of the crate. `NAME` in a text is replaced by the name of the plugin.
const TEMPLATE: [(&str, &str); 10] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
    (".gitignore", include_str!("template/gitignore.txt")),
    ("README.md", include_str!("template/README.md")),
    ("plugin.yaml", include_str!("template/plugin.yaml")),
    ("src/lib.rs", include_str!("template/src/lib.rs.txt")),
    (
        "sdk/Cargo.toml",
        include_str!("template/sdk.Cargo.toml.txt"),
    ),
    (
        "sdk/event-model/Cargo.toml",
        include_str!("template/event-model.Cargo.toml.txt"),
    ),
    (
        "sdk/redact/Cargo.toml",
        include_str!("template/redact.Cargo.toml.txt"),
    ),
    (
        "cases/succeeded/in.json",
        include_str!("template/cases/succeeded/in.json"),
    ),
    (
        "cases/succeeded/out.json",
        include_str!("template/cases/succeeded/out.json"),
    ),
];
/// The files of a case whose event is the sample event.
const CASES: [(&str, &str); 2] = [
    (
        "cases/failed/config.json",
        include_str!("template/cases/failed/config.json"),
    ),
    (
        "cases/failed/in.json",
        include_str!("template/cases/failed/in.json"),
    ),
];

include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

pub(super) fn new(args: &NewArgs) -> Result<CommandOutcome, CommandError> {
    let path = Path::new(&args.name);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    check_name(&name, args.language)?;
    if path.exists() {
        return Err(format!("{} exists already: choose another name", path.display()).into());
    }
    match Example::of(args.language) {
        Some(example) => {
            for (file, text) in example.files_for(&name) {
                write(&path.join(file), text.as_bytes())?;
            }
            example.print_next(path, &name);
        }
        None => new_crate(path, &name)?,
    }
    Ok(CommandOutcome::Complete)
}

fn check_name(name: &str, language: Language) -> Result<(), CommandError> {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let starts = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase());
    if !starts || name.len() > 63 || !name.bytes().all(valid) {
        return Err(format!(
            "`{name}` is not a valid name: write 1 to 63 lower-case letters, digits and -, a letter first"
        )
        .into());
    }
    let dependencies = [
        "step-observer-guest",
        "step-observer-event-model",
        "step-observer-redact",
        "serde",
        "test",
    ];
    if language == Language::Rust && dependencies.contains(&name) {
        return Err(format!(
            "`{name}` is the name of a crate that the plugin needs: choose another one"
        )
        .into());
    }
    Ok(())
}

fn new_crate(path: &Path, name: &str) -> Result<(), CommandError> {
    let failed = (
        "cases/failed/out.json",
        include_str!("template/cases/failed/out.json"),
    );
    for (file, text) in TEMPLATE.iter().chain(&CASES).chain([&failed]) {
        write(&path.join(file), text.replace("NAME", name).as_bytes())?;
    }
    for (file, content) in SDK {
        write(&path.join("sdk").join(file), content)?;
    }
    let folder = path.display();
    print_line(&format!(
        "{folder} is a new plugin:\n\n  \
         cd {folder}\n  \
         cargo test                        # its cases, natively\n  \
         step-observer plugin build        # {name}.wasm\n  \
         step-observer plugin test {name}.wasm --cases cases\n  \
         step-observer plugin build --configmap | kubectl apply --server-side -f -\n\n\
         Its code is in src/lib.rs; {folder}/README.md describes the next steps."
    ));
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), CommandError> {
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, content)?;
        if path.extension().is_some_and(|end| end == "sh") {
            make_executable(path)?;
        }
        Ok(())
    };
    write().map_err(|error: std::io::Error| {
        format!("failed to write {}: {error}", path.display()).into()
    })
}

/// Lets everybody run a script who may read it.
fn make_executable(script: &Path) -> std::io::Result<()> {
    let mut permissions = std::fs::metadata(script)?.permissions();
    let readable = permissions.mode() & 0o444;
    permissions.set_mode(permissions.mode() | (readable >> 2));
    std::fs::set_permissions(script, permissions)
}
