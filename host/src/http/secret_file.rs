//! Files with secrets. Errors name the file, never its content.

use std::path::Path;

/// Largest file with a secret, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Reads a whole file.
pub(crate) fn read_secret(path: &Path) -> Result<String, String> {
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

/// Reads a token: the content of the file without white space around it.
pub(crate) fn read_token(path: &Path) -> Result<String, String> {
    match read_secret(path)?.trim() {
        "" => Err(format!("{} is empty", path.display())),
        token => Ok(token.to_owned()),
    }
}

/// Reads a password, which may begin or end with spaces: only line breaks at its end are removed.
pub(crate) fn read_password(path: &Path) -> Result<String, String> {
    let text = read_secret(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
