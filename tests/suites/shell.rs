//! Shell completions and manual pages of the command line.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use step_observer_tests::available;
use step_observer_tests::path;
use step_observer_tests::peer::machine_program;
use step_observer_tests::program::Program;

fn told(args: &[&str]) -> String {
    let output = Program::new().args(args).run().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the subcommands that `--help` lists.
fn commands(below: &[&str]) -> Vec<String> {
    let help = told(&[below, &["--help"]].concat());
    let Some((_, commands)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}

/// Returns the completions that bash offers for the last of some words.
fn offered(script: &str, words: &[&str]) -> BTreeSet<String> {
    let ask = format!(
        "{script}\nCOMP_WORDS=({}) COMP_CWORD={}\n\
         \"$(complete -p step-observer | grep -o -- '-F [^ ]*' | cut -c4-)\" step-observer '{}' '{}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words
            .iter()
            .map(|word| format!("'{word}' "))
            .collect::<String>(),
        words.len() - 1,
        words.last().unwrap(),
        words[words.len() - 2],
    );
    let bash = Command::new("bash").args(["-c", &ask]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&bash.stderr), "");
    let offered = String::from_utf8(bash.stdout).unwrap();
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_every_command_and_its_options() {
    let script = told(&["completions", "bash"]);
    for below in [&[][..], &["plugin"], &["dead-letters"], &["config"]] {
        let words = [&["step-observer"], below, &[""]].concat();
        let offered = offered(&script, &words);
        let commands = commands(below);
        assert!(commands.len() > 2, "{below:?}: {commands:?}");
        for command in commands {
            assert!(offered.contains(&command), "{words:?}: {offered:?}");
        }
    }
    let options = offered(&script, &["step-observer", "plugin", "build", "--"]);
    assert!(options.contains("--configmap"), "{options:?}");
    let kinds = offered(&script, &["step-observer", "config", "schema", ""]);
    assert!(kinds.contains("event"), "{kinds:?}");
}

#[test]
fn every_shell_has_its_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = told(&["completions", shell]);
        for word in ["dead-letters", "completions", "configmap"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let unknown = Program::new().args(["completions", "tcsh"]).run();
    let problem = String::from_utf8(unknown.unwrap().stderr).unwrap();
    assert!(problem.contains("possible values: bash"), "{problem}");
    let help = told(&["completions", "--help"]);
    assert!(help.contains("bash-completion/completions/step-observer"));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    assert_eq!(told(&["man", "--dir", pages.to_str().unwrap()]), "");
    let mut wanted = BTreeSet::from(["step-observer.1".to_owned()]);
    for command in commands(&[]) {
        for below in commands(&[&command]) {
            wanted.insert(format!("step-observer-{command}-{below}.1"));
        }
        wanted.insert(format!("step-observer-{command}.1"));
    }
    let found: BTreeSet<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, wanted);
    let main = std::fs::read_to_string(pages.join("step-observer.1")).unwrap();
    assert_eq!(main, told(&["man"]), "the same without a folder");
    for page in found.iter().filter(|page| *page != "step-observer.1") {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        let name = page.trim_end_matches(".1");
        let version = concat!("step-observer ", env!("CARGO_PKG_VERSION"));
        let title = format!(".TH {name} 1 \" \" \"{version}\" step-observer\n");
        assert!(text.contains(&title), "{text}");
        assert!(text.contains("log"), "{page}: options of all commands");
    }
}

#[test]
fn groff_formats_the_manual_pages_without_a_warning() {
    available!(machine_program("groff", &["--version"], "install groff"));
    let page = told(&["man"]);
    let mut groff = Command::new("groff")
        .args(["-man", "-Tascii", "-ww", "-z"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    groff
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let ended = groff.wait_with_output().unwrap();
    assert!(ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn the_first_line_has_the_version_and_the_others_the_parts_of_the_program() {
    let version = concat!("step-observer ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(told(&["-V"]), version);
    let long = told(&["--version"]);
    let lines: Vec<&str> = long.lines().collect();
    assert!(long.starts_with(version), "{long}");
    let sources = std::fs::read_dir(path("../plugins")).unwrap();
    let is_bundled = |folder: &std::path::PathBuf| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        manifest.contains("\nkind = \"bundled\"\n")
    };
    let sources = sources.map(|entry| entry.unwrap().path());
    let plugins: BTreeSet<String> = sources
        .filter(is_bundled)
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let bundled = lines[1].strip_prefix("bundled plugins: ").unwrap();
    let bundled: BTreeSet<String> = bundled.split(", ").map(str::to_owned).collect();
    assert_eq!(bundled, plugins, "{long}");
    assert!(!long.contains("missing plugins"), "{long}");
    assert!(
        lines[2].starts_with("sinks: stdout, file, http, nats, otlp, tekton"),
        "{long}"
    );
}
