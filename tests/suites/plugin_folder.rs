//! Folders of dropped-in plugins: what each scan reports.

use std::path::Path;
use step_observer::plugin::dropin::{Origin, PluginFolder, SourceChange};

fn write(folder: &Path, file: &str, content: &str) {
    let file = folder.join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

/// Returns the changes of one scan: `+name` with the content of its module, `-name` if it was
/// removed.
fn scan(folder: &mut PluginFolder) -> Vec<String> {
    let short = |origin: &Origin| {
        let text = origin.to_string();
        text.rsplit('/').next().unwrap().to_owned()
    };
    let scan = folder.scan().unwrap();
    assert!(scan.complete);
    let mut told: Vec<String> = scan
        .changes
        .iter()
        .map(|change| match change {
            SourceChange::Offered { origin, files } => {
                let texts: Vec<_> = files
                    .iter()
                    .map(|(name, text)| format!("{name}={}", String::from_utf8_lossy(text)))
                    .collect();
                format!("+{} {}", short(origin), texts.join(" "))
            }
            SourceChange::Withdrawn { origin } => format!("-{}", short(origin)),
            SourceChange::Unreadable { origin, reason } => {
                let reason = reason.rsplit(": ").next().unwrap();
                format!("!{} {reason}", short(origin))
            }
            SourceChange::Listed => panic!("a folder does not say so itself"),
        })
        .collect();
    told.sort();
    told
}

#[test]
fn a_mounted_config_map_is_seen_to_change() {
    let mount = tempfile::tempdir().unwrap();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, mount.path().join(name)).unwrap();
    };
    // As the kubelet mounts a ConfigMap: the files of one version, the link `..data` to them, and
    // links through `..data`.
    write(mount.path(), "..one/plugin.wat", "1");
    link("..one", "..data");
    link("..data/plugin.wat", "plugin.wat");
    let name = mount
        .path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let mut folder = PluginFolder::new(mount.path().to_owned());
    assert_eq!(scan(&mut folder), [format!("+{name} plugin.wat=1")]);
    assert_eq!(scan(&mut folder), [""; 0]);
    write(mount.path(), "..two/plugin.wat", "2");
    link("..two", "..data_tmp");
    std::fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
    assert_eq!(scan(&mut folder), [format!("+{name} plugin.wat=2")]);
    std::fs::remove_file(mount.path().join("plugin.wat")).unwrap();
    assert_eq!(scan(&mut folder), [format!("-{name}")]);
}

#[test]
fn a_folder_holds_plugins_in_files_and_in_folders() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), "first.wasm.gz", "1");
    write(place.path(), "first.yaml", "order: 1");
    write(place.path(), "second/plugin.wasm", "2");
    write(place.path(), "second/plugin.yaml", "order: 2");
    write(place.path(), "notes/readme.txt", "no plugin");
    write(place.path(), "readme.txt", "no plugin");
    // Reading a pipe without a writer would block for ever.
    let pipe = place.path().join("pipe.wasm");
    let made = std::process::Command::new("mkfifo").arg(pipe).status();
    assert!(made.unwrap().success());
    let mut folder = PluginFolder::new(place.path().to_owned());
    assert_eq!(
        scan(&mut folder),
        [
            "!pipe it is no regular file",
            "+first first.wasm.gz=1 plugin.yaml=order: 1",
            "+second plugin.wasm=2 plugin.yaml=order: 2",
        ]
    );
    // A folder that cannot be listed is not gone: its plugin may be the one that removes secrets.
    let second = place.path().join("second");
    std::fs::remove_dir_all(&second).unwrap();
    std::os::unix::fs::symlink(&second, &second).unwrap();
    assert_eq!(
        scan(&mut folder),
        [
            "!pipe it is no regular file",
            "!second Too many levels of symbolic links (os error 40)",
        ]
    );
    write(place.path(), "first.yaml", "order: 10");
    std::fs::remove_file(second).unwrap();
    assert_eq!(
        scan(&mut folder),
        [
            "!pipe it is no regular file",
            "+first first.wasm.gz=1 plugin.yaml=order: 10",
            "-second",
        ]
    );
    std::fs::remove_dir_all(place.path()).unwrap();
    assert!(folder.scan().is_err());
}
