//! Restricts the files of the observer to its own user and to the group of their folder; the volume
//! determines this group. Other users get no rights, whatever the umask of the process is.
//!
//! On a volume for a group, a process of another user continues with the files of an earlier one: a cluster may give each
//! pod another user (OpenShift does so for each namespace).

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;
use tracing::{info, warn};

/// Permission bits: of other users, of the group, of the group for writing, and setgid. A new file
/// in a folder with setgid gets the group of the folder.
const OTHERS_BITS: u32 = 0o007;
const GROUP_BITS: u32 = 0o070;
const GROUP_WRITE_BIT: u32 = 0o020;
const SETGID_BIT: u32 = 0o2000;
/// Bit of a folder that many users share, such as `/tmp`. The permissions of such a folder are not
/// changed, because each user protects their own files.
const STICKY_BIT: u32 = 0o1000;
/// Bits to enter a folder.
const SEARCH_BITS: u32 = 0o111;

/// All permission bits of a mode.
const MODE_BITS: u32 = 0o7777;

/// Creates a folder without rights for other users. On a volume for a group (`fsGroup`), the group
/// gets all rights, so that a later process of another user can continue.
///
/// # Errors
///
/// The folder cannot be created.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o770).create(folder)?;
    let metadata = std::fs::metadata(folder)?;
    if metadata.mode() & SETGID_BIT != 0 {
        set_mode(folder, &metadata, metadata.mode() | GROUP_BITS)?;
    }
    Ok(())
}

/// Removes the rights of other users from an existing folder. If that fails, as for the root of a
/// volume, the files in it still have no rights for other users.
pub(crate) fn restrict_folder(folder: &Path) {
    let closed = std::fs::metadata(folder).and_then(|metadata| {
        let others = if metadata.mode() & STICKY_BIT == 0 {
            OTHERS_BITS
        } else {
            0
        };
        set_mode(folder, &metadata, metadata.mode() & !others)
    });
    if let Err(error) = closed {
        let folder = folder.display().to_string();
        info!(folder, %error, "other users may list this folder, but can read no file in it");
    }
}

/// Removes the rights of other users from a file, and gives the group the rights that it has in the
/// folder. If that fails, the file is used nevertheless.
pub(crate) fn restrict_file(folder: &Path, path: &Path) {
    if let Err(error) = try_to_restrict(folder, path) {
        let file = path.display().to_string();
        warn!(file, %error, "other users may be able to read this file: its permissions cannot be changed");
    }
}

fn try_to_restrict(folder: &Path, path: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    set_mode(
        path,
        &metadata,
        file_mode(std::fs::metadata(folder)?.mode()),
    )
}

/// Returns the mode of a file in a folder with this mode.
fn file_mode(folder: u32) -> u32 {
    let group = folder & GROUP_BITS & !SEARCH_BITS;
    let group = if folder & GROUP_WRITE_BIT == 0 {
        group
    } else {
        group | 0o060
    };
    0o600 | group
}

fn set_mode(path: &Path, metadata: &Metadata, mode: u32) -> io::Result<()> {
    let (now, wanted) = (metadata.mode() & MODE_BITS, mode & MODE_BITS);
    if now == wanted {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(wanted))
}

/// Opens or creates a file for writing and removes the rights of other users. If another user wrote the file and
/// the group may only read it, as version 0.1.0 left its files, replaces it by a copy first.
///
/// # Errors
///
/// The file cannot be opened, or not copied.
pub(crate) fn open_restricted(
    folder: &Path,
    path: &Path,
    options: &mut OpenOptions,
) -> io::Result<File> {
    options.mode(0o660);
    let file = match options.open(path) {
        Err(refused) if refused.kind() == io::ErrorKind::PermissionDenied => {
            replace_by_copy(folder, path, refused)?;
            options.open(path)?
        }
        opened => opened?,
    };
    restrict_file(folder, path);
    Ok(file)
}

/// Opens or creates a file that serves only as a lock. It is never replaced, because another process may hold the
/// lock on it. A file that may only be read can be locked as well.
///
/// # Errors
///
/// The file can be opened neither for writing nor for reading.
pub(crate) fn open_lock(folder: &Path, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o660);
    match options.open(path) {
        // The file of another user. Its permissions do not matter: it is empty.
        Err(refused) if refused.kind() == io::ErrorKind::PermissionDenied => {
            File::open(path).map_err(|_| refused)
        }
        Err(error) => Err(error),
        Ok(file) => {
            restrict_file(folder, path);
            Ok(file)
        }
    }
}

/// Replaces a file by a durable copy that belongs to this process. `refused` is the error of opening the file itself;
/// it is returned if the process may not read the file, or may not create files in the folder.
fn replace_by_copy(folder: &Path, path: &Path, refused: io::Error) -> io::Result<()> {
    let is_file = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let Some(mut from) = File::open(path).ok().filter(|_| is_file) else {
        return Err(refused);
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".copy");
    let copy = folder.join(name);
    // An earlier process may have been killed while it copied.
    std::fs::remove_file(&copy).ok();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let Ok(mut to) = options.open(&copy) else {
        return Err(refused);
    };
    let copied = io::copy(&mut from, &mut to)
        .and_then(|_| to.sync_all())
        .and_then(|()| std::fs::rename(&copy, path))
        .and_then(|()| File::open(folder)?.sync_all());
    if copied.is_err() {
        std::fs::remove_file(&copy).ok();
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & MODE_BITS
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_have_the_rights_of_their_folder_and_others_none() {
        for (folder, file) in [
            (0o700, 0o600),
            (0o755, 0o640),
            (0o2775, 0o660),
            (0o2777, 0o660),
            (0o711, 0o600),
        ] {
            assert_eq!(file_mode(folder), file, "{folder:o}");
        }
    }

    #[test]
    fn created_and_existing_files_are_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        for (parent, old, folder, file) in [
            (0o755, 0o755, 0o750, 0o640),
            (0o700, 0o700, 0o700, 0o600),
            (0o2775, 0o2775, 0o2770, 0o660),
            (0o2777, 0o2777, 0o2770, 0o660),
            (0o1777, 0o1777, 0o1777, 0o660),
        ] {
            let parent_folder = root.path().join(format!("{parent:o}"));
            std::fs::create_dir(&parent_folder).unwrap();
            chmod(&parent_folder, parent);
            let new = parent_folder.join("new");
            create_folder(&new).unwrap();
            assert_eq!(mode(&new) & OTHERS_BITS, 0);
            assert_eq!(mode(&new) & SETGID_BIT, parent & SETGID_BIT);
            assert_eq!(mode(&new) & GROUP_WRITE_BIT != 0, parent & SETGID_BIT != 0);

            let there = parent_folder.join("there");
            std::fs::create_dir(&there).unwrap();
            chmod(&there, old);
            restrict_folder(&there);
            assert_eq!(mode(&there), folder);
            let path = there.join("file");
            std::fs::write(&path, "secret").unwrap();
            chmod(&path, 0o666);
            restrict_file(&there, &path);
            assert_eq!(mode(&path), file);
            let mut options = File::options();
            open_restricted(
                &there,
                &there.join("other"),
                options.create(true).append(true),
            )
            .unwrap();
            assert_eq!(mode(&there.join("other")), file);
        }
    }
}
