//! `cargo xtask`: the tasks of developers and CI. Uses only std, so that it compiles within
//! seconds.

mod archive;
mod chart;
mod deny;
mod dependency_list;
mod e2e;
mod guests;
mod image;
mod install_yaml;
mod krew;
mod languages;
// The reader of `host/build.rs`, so that both read the same from the manifests of plugins.
#[path = "../../host/build/guests.rs"]
#[allow(
    dead_code,
    reason = "what is embedded is decided by the build of the program"
)]
mod manifests;
mod packages;
mod placeholders;
mod programs;
mod receivers;
mod release;
mod run;
mod static_build;
mod upgrade_check;

use run::{Problem, cargo, root, run, step, target_dir};
use std::env;
use std::fs;
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask COMMAND

  demo     build everything and play a recorded pipeline through the redaction plugin
  test     build everything and run all tests
  guests   build the bundled plugins and the catalogue to WebAssembly, into target/guests
  languages  build the example plugins in C, Go, JavaScript, Python, Rust without std and TypeScript
  receivers  prepare what the suites work with: SDKs of others, brokers, nginx, kubectl, Helm
  build    build the plugins and the program with them in it: target/debug/step-observer, or with
           --release target/release/step-observer; --features kafka and other options of cargo build
  install  the same as `cargo install`: to ~/.cargo/bin, or --root DIR; and other options of cargo install
  install-yaml  print all objects as one file for kubectl apply -f: --image REGISTRY/NAME:TAG
  check    formatting, lints, documentation, crates, drift of generated files
  deny     licences, bans and sources of crates, by cargo-deny (deny.toml)
  notices  print the licences of what is linked into the program and its plugins
  ci       test, then check
  image    build the container image (needs buildah): --tag NAME, --output oci:DIR or
           docker-archive:FILE (default oci:target/image/oci); --check also runs it, as root
  schemas  write the generated JSON Schemas (deploy/schema) and files of the chart (deploy/chart)
  krew     print a manifest for krew: --base-url URL --version V --archive OS/ARCH=FILE …
           [--homepage URL]
  release  make all files of a release: --version V --image REGISTRY/NAME:TAG --base-url URL --out DIR;
           --check builds twice, in two folders, and compares (docs/releasing.md)
  bench    run the benchmarks (ratios; takes minutes)
  masking  print which share of made-up secrets is masked, and false masks in outputs of tools
  e2e      run the cases of the recordings on the cluster that KUBECONFIG names
  upgrade-check  let the program of an older commit and this one take turns at one journal:
           [--from REV | --program FILE]
";

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match command.as_str() {
        "demo" => demo(&rest),
        "test" => test(&rest),
        "guests" => guests::build().map(drop),
        "languages" => languages::build(),
        "receivers" => receivers::prepare(),
        "build" => build_program(&rest),
        "install" => install(&rest),
        "install-yaml" => install_yaml::print(&rest),
        "check" => check(),
        "deny" => deny::check(),
        "notices" => image::notices(&rest),
        "ci" => test(&[]).and_then(|()| check()),
        "image" => image::image(&rest),
        "krew" => krew::krew(&rest),
        "schemas" => schemas(false),
        "release" => release::release(&rest),
        "bench" => bench(&rest),
        "masking" => masking(),
        "e2e" => e2e::e2e(&rest),
        "upgrade-check" => upgrade_check::upgrade_check(&rest),
        "" | "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(Problem(format!("there is no command `{other}`\n\n{HELP}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem(text)) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Problem> {
    guests::build()?;
    step(
        "building step-observer (the first time compiles its dependencies: 7 minutes on two cores)",
    );
    // Builds the whole workspace, so that the tests use dependencies with the same features.
    run(cargo().args(["build", "--workspace"]))
}

/// `build`: the whole workspace, or, with options, the program alone as it is shipped.
fn build_program(args: &[String]) -> Result<(), Problem> {
    match program_options(args) {
        None => build()?,
        Some(options) => {
            guests::build()?;
            step(
                "building step-observer with its plugins (the first time: 10 minutes on two cores)",
            );
            run(cargo().arg("build").args(options))?;
        }
    }
    let Some(profile) = profile(args) else {
        return Ok(());
    };
    let program = target_dir().join(profile).join("step-observer");
    step(&format!("built {}", program.display()));
    run(Command::new(program).arg("--version"))
}

/// Returns the profile's folder below the target folder; `None` if only cargo can know it.
fn profile(args: &[String]) -> Option<&'static str> {
    let elsewhere = |arg: &String| {
        ["--target", "--profile", "--target-dir"]
            .iter()
            .any(|option| arg.starts_with(option))
    };
    if args.iter().any(elsewhere) {
        return None;
    }
    let is_release = |arg: &String| arg == "--release" || arg == "-r";
    Some(match args.iter().any(is_release) {
        true => "release",
        false => "debug",
    })
}

/// Returns the arguments for cargo to build only the program, with the given options. Returns
/// `None` if no option is given: then the whole workspace is built, as tests need it.
fn program_options(args: &[String]) -> Option<Vec<String>> {
    let package = ["--package", "step-observer", "--locked"].map(str::to_owned);
    let options = package.into_iter().chain(args.iter().cloned());
    (!args.is_empty()).then(|| options.collect())
}

/// `install`: runs `cargo install --path host`, after the plugins are built.
fn install(args: &[String]) -> Result<(), Problem> {
    guests::build()?;
    step("installing step-observer with its plugins (the first time: 10 minutes on two cores)");
    // Makes `--root` relative to the folder of the caller.
    let here =
        env::current_dir().map_err(|error| Problem(format!("no current folder: {error}")))?;
    run(cargo()
        .current_dir(here)
        .env("CARGO_TARGET_DIR", target_dir())
        .args(install_arguments(args)))
}

fn install_arguments(args: &[String]) -> Vec<String> {
    let host = root().join("host").display().to_string();
    let fixed = ["install", "--path", &host, "--locked"].map(str::to_owned);
    fixed.into_iter().chain(args.iter().cloned()).collect()
}

fn demo(args: &[String]) -> Result<(), Problem> {
    build()?;
    step("demo");
    run(Command::new(program()).arg("demo").args(args))
}

fn program() -> std::path::PathBuf {
    target_dir().join("debug").join("step-observer")
}

fn test(args: &[String]) -> Result<(), Problem> {
    build()?;
    languages::build()?;
    receivers::prepare()?;
    step("running all tests");
    run(cargo().args(["test", "--workspace"]).args(args))
}

/// `masking`: the suite that measures masking, with its tables.
fn masking() -> Result<(), Problem> {
    let suite = [
        "test",
        "--package",
        "step-observer-redact",
        "--test",
        "corpus",
    ];
    let shown = ["--", "--nocapture", "--test-threads", "1"];
    run(cargo().args(suite).args(shown))
}

fn check() -> Result<(), Problem> {
    step("formatting");
    run(cargo().args(["fmt", "--all", "--check"]))?;
    step("lints");
    run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    step("lints of the program without optional sinks");
    run(cargo().args([
        "clippy",
        "--package",
        "step-observer",
        "--no-default-features",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    step("documentation");
    run(cargo()
        .args(["doc", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    deny::check()?;
    step("drift of generated files");
    schemas(true)
}

/// Writes the schemas and the generated files of the chart, or compares them with the stored ones.
fn schemas(compare: bool) -> Result<(), Problem> {
    for (of, file) in [
        ("config", "deploy/schema/config.v1.json"),
        ("event", "deploy/schema/step-event.v1.json"),
        ("gap", "deploy/schema/gap-event.v1.json"),
        ("plugin", "deploy/schema/plugin.v1.json"),
    ] {
        let schema = run::output(Command::new(program()).args(["config", "schema", of]))?;
        generated(file, &schema, compare)?;
    }
    for (file, text) in chart::generated()? {
        generated(file, &text, compare)?;
    }
    Ok(())
}

/// Writes a file below the root of the repository, or compares it with the stored one.
fn generated(file: &str, text: &str, compare: bool) -> Result<(), Problem> {
    let path = root().join(file);
    if !compare {
        return fs::write(&path, text)
            .map_err(|error| Problem(format!("{}: {error}", path.display())));
    }
    match fs::read_to_string(&path).is_ok_and(|stored| stored == text) {
        true => Ok(()),
        false => Err(Problem(format!(
            "{} is not what it is made from: run `cargo xtask schemas`",
            path.display()
        ))),
    }
}

fn bench(args: &[String]) -> Result<(), Problem> {
    guests::build()?;
    step("benchmarks (an optimised build of everything comes first)");
    run(cargo().args(["build", "--profile", "bench", "--workspace"]))?;
    run(cargo()
        .args([
            "bench",
            "--workspace",
            "--no-fail-fast",
            "--bench",
            "cost",
            "--bench",
            "burst",
            "--bench",
            "chains",
            "--bench",
            "delivery",
            "--bench",
            "idle",
            "--bench",
            "journal",
            "--bench",
            "large",
            "--bench",
            "memory",
            "--bench",
            "road",
            "--bench",
            "scale",
            "--bench",
            "strangers",
            "--bench",
            "views",
        ])
        .args(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_build_the_program_as_it_is_shipped_and_none_the_workspace() {
        assert_eq!(program_options(&[]), None);
        assert_eq!(
            program_options(&words("--release --features kafka")),
            Some(words(
                "--package step-observer --locked --release --features kafka"
            ))
        );
    }

    #[test]
    fn install_is_cargo_install_of_this_tree() {
        let arguments = install_arguments(&words("--root /opt/x --force"));
        assert_eq!(arguments[..2], words("install --path"));
        assert!(
            std::path::Path::new(&arguments[2])
                .join("build.rs")
                .is_file()
        );
        assert_eq!(arguments[3..], words("--locked --root /opt/x --force"));
    }
}
