//! Makes the content of the image: as entries of a layer, or as a folder, in which `root` is its root file system, and `data` becomes
//! the home folder of its user.

use super::{notices, problem, remove, write};
use crate::archive::Entry;
use crate::run::Problem;
use crate::static_build::{self, Arch};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The user, in the form that is usual in images without a base. `USER` in the Dockerfile agrees
/// with it.
const USER: &str = "nonroot:x:65532:65532:nonroot:/var/lib/step-observer:/sbin/nologin\n";
const GROUP: &str = "nonroot:x:65532:\n";
const USER_ID: u32 = 65532;

/// Home folder of the user.
const HOME: &str = "var/lib/step-observer";

/// Paths of the trusted CA certificates on the supported systems.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Builds the program, and makes the folder.
pub(super) fn make(folder: &Path) -> Result<(), Problem> {
    let arch = Arch::native()?;
    let authorities = authorities()?;
    let program = read(&static_build::build(arch, "0")?)?;
    let notices = notices::text(arch)?;
    store(folder, entries(program, authorities, &notices)?)
}

/// Writes the content as a folder, instead of what is there.
fn store(folder: &Path, entries: Vec<Entry>) -> Result<(), Problem> {
    remove(folder)?;
    for name in ["root", "data"] {
        make_folder(&folder.join(name), 0o755)?;
    }
    for entry in entries {
        // The builder of the image gives this folder to the user.
        if entry.path == HOME {
            continue;
        }
        let path = folder.join("root").join(&entry.path);
        match entry.content {
            None => make_folder(&path, entry.mode)?,
            Some(content) => {
                write(&path, content)?;
                allow(&path, entry.mode)?;
            }
        }
    }
    Ok(())
}

/// Returns the content of the image. A folder comes before what is in it.
pub(crate) fn entries(
    program: Vec<u8>,
    authorities: Vec<u8>,
    notices: &str,
) -> Result<Vec<Entry>, Problem> {
    let licence = read(&crate::run::root().join("LICENSE"))?;
    let folders = [
        "etc",
        "etc/ssl",
        "etc/ssl/certs",
        "usr",
        "usr/local",
        "usr/local/bin",
        "usr/share",
        "usr/share/doc",
        "usr/share/doc/step-observer",
        "var",
        "var/lib",
    ];
    let mut entries: Vec<Entry> = folders.map(|path| Entry::folder(path, 0o755)).into();
    entries.extend([
        Entry::folder("tmp", 0o1777),
        Entry {
            owner: USER_ID,
            ..Entry::folder(HOME, 0o755)
        },
        Entry::file("usr/local/bin/step-observer", 0o755, program),
        Entry::file("etc/ssl/certs/ca-certificates.crt", 0o644, authorities),
        Entry::file("usr/share/doc/step-observer/LICENSE", 0o644, licence),
        Entry::file(
            "usr/share/doc/step-observer/third-party.txt",
            0o644,
            notices,
        ),
        Entry::file("etc/passwd", 0o644, USER),
        Entry::file("etc/group", 0o644, GROUP),
        // Without this file, glibc asks a name server also for names in /etc/hosts.
        Entry::file("etc/nsswitch.conf", 0o644, "hosts: files dns\n"),
    ]);
    Ok(entries)
}

/// Returns the certificates of authorities that this system trusts.
pub(crate) fn authorities() -> Result<Vec<u8>, Problem> {
    let path = AUTHORITIES
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .ok_or_else(|| {
            Problem(
                "there are no certificates of authorities (Debian: apt-get install ca-certificates)"
                    .to_owned(),
            )
        })?;
    read(path)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| problem(path, &error))
}

fn make_folder(path: &Path, mode: u32) -> Result<(), Problem> {
    fs::create_dir_all(path).map_err(|error| problem(path, &error))?;
    allow(path, mode)
}

/// Sets the mode explicitly, so that the umask has no effect.
fn allow(path: &Path, mode: u32) -> Result<(), Problem> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| problem(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tar;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    #[test]
    fn the_folder_and_the_layer_have_the_same_files_and_modes() {
        let made = entries(b"program".to_vec(), b"certificates".to_vec(), "licences");
        let made = made.ok().unwrap();
        let folder = std::env::temp_dir().join(format!("tree-{}", std::process::id()));
        fs::create_dir_all(folder.join("root/old")).unwrap();
        assert!(store(&folder, made.clone()).is_ok());
        assert!(folder.join("data").is_dir() && !folder.join("root/old").exists());
        let mut found = Vec::new();
        walk(&folder.join("root"), &mut found);
        let mut wanted: Vec<(PathBuf, u32)> = made
            .iter()
            .filter(|entry| entry.path != HOME)
            .map(|entry| (folder.join("root").join(&entry.path), entry.mode))
            .collect();
        wanted.sort();
        found.sort();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, wanted);
        assert!(tar(&made).is_ok());
        // The recipe gives the same folder to the same user.
        let recipe = fs::read_to_string(crate::run::root().join("deploy/image/Dockerfile"));
        let copied = format!("--chown={USER_ID}:{USER_ID} /tree/data/ /{HOME}/");
        assert!(recipe.unwrap().contains(&copied));
    }

    fn walk(folder: &Path, found: &mut Vec<(PathBuf, u32)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::metadata(&path).unwrap();
            found.push((path.clone(), metadata.mode() & 0o7777));
            if metadata.is_dir() {
                walk(&path, found);
            }
        }
    }
}
