//! Reads whole files of a bounded size.

use std::io::{self, Read as _};
use std::path::Path;

/// Reads a regular file up to one byte above `max`, so that the caller sees that it is larger. Does not rely on the size in the metadata,
/// because the file may grow before it is read.
pub(crate) fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    // A pipe or a device would block the reader.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_file_is_read_to_one_byte_above_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for (size, read_bytes) in [(0, 0), (4, 4), (5, 5), (100, 5)] {
            std::fs::write(&file, vec![b'x'; size]).unwrap();
            assert_eq!(read(&file, 4).unwrap().len(), read_bytes);
        }
        let refused = read(folder.path(), 4).unwrap_err().to_string();
        assert_eq!(refused, "it is no regular file");
    }
}
