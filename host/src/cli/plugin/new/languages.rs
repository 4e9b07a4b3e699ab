//! The folders that `plugin new` writes for other languages than Rust. They are the examples in
//! `guest-sdk/languages`, which `cargo xtask languages` builds and the suites test.

use crate::cli::args::plugin::Language;
use crate::cli::output::print_line;
use std::path::Path;
use step_observer_event_model::contract;

/// Name of the plugin in the examples.
const EXAMPLE_NAME: &str = "only-failures";

/// Paths in the READMEs of the examples, and the paths of the same files in a new folder.
const MOVED: [(&str, &str); 3] = [
    ("../../wit/v0.1/plugin.wit", CONTRACT),
    ("../javascript/give-back.js", "give-back.js"),
    ("../cases", "cases"),
];

/// The contract in a new folder. The scripts of the examples look for it there.
const CONTRACT: &str = "plugin.wit";
/// Its oldest version, which every host supports.
const CONTRACT_TEXT: &str = match contract::VERSIONS {
    [(_, text), ..] => text,
};

type File = (&'static str, &'static str);

/// A file of an example: its path there, and its text.
macro_rules! files {
    ($folder:literal, $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../../../../../guest-sdk/languages/", $folder, $file)))),+]
    };
}

/// The files that every folder has.
const COMMON: &[File] = files!(
    "",
    ".gitignore",
    "plugin.yaml",
    "cases/failed-with-team/in.json",
    "cases/failed-with-team/out.json",
    "cases/failed-without-team/in.json",
    "cases/failed-without-team/out.json",
    "cases/skipped-dropped/in.json",
    "cases/skipped-dropped/out.json",
    "cases/started-dropped/in.json",
    "cases/started-dropped/out.json",
    "cases/succeeded-dropped/in.json",
    "cases/succeeded-dropped/out.json"
);
const C: &[File] = files!("c/", "README.md", "build.sh", "plugin.c");
const GO: &[File] = files!(
    "go/",
    "README.md",
    "build.sh",
    "contract.go",
    "go.mod",
    "plugin.go",
    "requirements.txt",
    "stub_wasi.go"
);
const JAVASCRIPT: &[File] = files!(
    "javascript/",
    "README.md",
    "build.sh",
    "give-back.js",
    "package-lock.json",
    "package.json",
    "plugin.js"
);
const PYTHON: &[File] = files!(
    "python/",
    "README.md",
    "build.sh",
    "plugin.py",
    "requirements.txt"
);
const TYPESCRIPT: &[File] = files!(
    "typescript/",
    "README.md",
    "build.sh",
    "contract.d.ts",
    "package-lock.json",
    "package.json",
    "plugin.ts",
    "tsconfig.json"
);
/// The example in TypeScript uses this file of the example in JavaScript.
const GIVE_BACK: &[File] = files!("javascript/", "give-back.js");

/// An example.
pub(super) struct Example {
    files: &'static [File],
    shared: &'static [File],
    /// The file to change.
    source: &'static str,
    /// Installs the tools that the build needs, if the folder can hold them.
    install: Option<&'static str>,
}

impl Example {
    /// Returns the example in a language. Rust has a template of its own.
    pub(super) fn of(language: Language) -> Option<Self> {
        const INTO_VENV: &str =
            "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
        let (files, source, install) = match language {
            Language::Rust => return None,
            Language::C => (C, "plugin.c", None),
            Language::Go => (GO, "plugin.go", None),
            Language::Js => (JAVASCRIPT, "plugin.js", Some("npm ci")),
            Language::Ts => (TYPESCRIPT, "plugin.ts", Some("npm ci")),
            Language::Python => (PYTHON, "plugin.py", Some(INTO_VENV)),
        };
        let shared = match language {
            Language::Ts => GIVE_BACK,
            _ => &[],
        };
        Some(Self {
            files,
            shared,
            source,
            install,
        })
    }

    /// Returns the path and the text of every file of a new plugin.
    pub(super) fn files_for(&self, name: &str) -> impl Iterator<Item = (&'static str, String)> {
        let named = name.to_owned();
        let files = COMMON.iter().chain(self.shared).chain(self.files);
        let files = files.map(move |(file, text)| {
            let mut text = text.replace(EXAMPLE_NAME, &named);
            if *file == "README.md" {
                for (there, here) in MOVED {
                    text = text.replace(there, here);
                }
            }
            (*file, text)
        });
        files.chain([(CONTRACT, CONTRACT_TEXT.to_owned())])
    }

    /// Prints the commands that come next.
    pub(super) fn print_next(&self, folder: &Path, name: &str) {
        let source = self.source;
        let folder = folder.display();
        let install = self
            .install
            .map(|command| format!("  {command}\n"))
            .unwrap_or_default();
        let build = format!("./build.sh {name}.wasm");
        print_line(&format!(
            "{folder} is a new plugin:\n\n  \
             cd {folder}\n\
             {install}  \
             {build:<33} # README.md says what it needs\n  \
             step-observer plugin test {name}.wasm --cases cases\n  \
             step-observer plugin build {name}.wasm --configmap | kubectl apply --server-side -f -\n\n\
             Its code is in {source}; {folder}/README.md describes the next steps."
        ));
    }
}
