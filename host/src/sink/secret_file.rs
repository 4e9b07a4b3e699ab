//! Files with secrets, and URLs that may be some. Errors name the file, never its content.

use std::path::Path;

/// Largest file with a secret, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// All of a file.
pub(super) fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| format!("failed to read {}: {error}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    match read.map_err(failed)? as u64 {
        size if size > MAX_FILE_BYTES => Err(format!("{} is larger than 64 KiB", path.display())),
        _ => Ok(text),
    }
}

/// A URL without user, password, path, query and fragment: there are receivers for whom each of them is a password.
pub(super) fn masked(url: &url::Url) -> url::Url {
    let mut masked = url.clone();
    masked.set_query(None);
    masked.set_fragment(None);
    // A URL without host has neither.
    masked.set_username("").ok();
    masked.set_password(None).ok();
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        masked.set_path("/***");
    }
    masked
}

/// The one word in a file, such as a token.
pub(super) fn read_token(path: &Path) -> Result<String, String> {
    match read(path)?.trim() {
        "" => Err(format!("{} is empty", path.display())),
        word => Ok(word.to_owned()),
    }
}

/// The password in a file, which may begin or end with spaces.
pub(super) fn read_password(path: &Path) -> Result<String, String> {
    let text = read(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
