//! JSON documents one after the other, from a reader that may give them in any pieces.

use serde_json::value::RawValue;
use std::io::{self, Read};
use std::ops::Range;

/// Largest document; the API server allows 3 MiB.
const MAX_DOCUMENT: usize = 16 * 1024 * 1024;
/// Least that is asked for at a time.
const PIECE: usize = 64 * 1024;

/// See the module.
pub(super) struct Documents<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where the next document begins.
    at: usize,
    ended: bool,
}

impl<R: Read> Documents<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            at: 0,
            ended: false,
        }
    }

    /// The next document; nothing at the end.
    ///
    /// # Errors
    ///
    /// It is no JSON, too large, or cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<&str>, serde_json::Error> {
        loop {
            match self.find() {
                Ok(Some(found)) => {
                    self.at = found.end;
                    let document = self.buffer.get(found).unwrap_or_default();
                    let document = std::str::from_utf8(document);
                    return document
                        .map(Some)
                        .map_err(|error| serde_json::Error::io(io::Error::other(error)));
                }
                Ok(None) if self.ended => return Ok(None),
                Err(error) if self.ended || !error.is_eof() => return Err(error),
                // Not all of it is here yet.
                Ok(None) | Err(_) => self.fill().map_err(serde_json::Error::io)?,
            }
        }
    }

    fn find(&self) -> Result<Option<Range<usize>>, serde_json::Error> {
        let left = self.buffer.get(self.at..).unwrap_or_default();
        let mut documents = serde_json::Deserializer::from_slice(left).into_iter::<&RawValue>();
        let found = documents.next().transpose()?;
        let end = self.at + documents.byte_offset();
        Ok(found.map(|document| end - document.get().len()..end))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let held = self.buffer.len();
        if held > MAX_DOCUMENT {
            return Err(io::Error::other(format!(
                "an object is larger than {MAX_DOCUMENT} bytes"
            )));
        }
        // As much again: what is begun is looked at once more with every piece.
        self.buffer.resize(held + held.max(PIECE), 0);
        let free = self.buffer.get_mut(held..).unwrap_or_default();
        let read = loop {
            match self.reader.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    fn all(text: &str, piece: usize) -> Result<Vec<String>, serde_json::Error> {
        let mut documents = Documents::new(Pieces(text.as_bytes(), piece));
        let mut found = Vec::new();
        while let Some(document) = documents.next()? {
            found.push(document.to_owned());
        }
        Ok(found)
    }

    #[test]
    fn documents_come_in_any_pieces() {
        let text = " {\"a\": \"ü\"}\n{\"b\":\n [1]}{}  \n";
        for piece in [1, 2, 3, 1000] {
            assert_eq!(
                all(text, piece).unwrap(),
                ["{\"a\": \"ü\"}", "{\"b\":\n [1]}", "{}"]
            );
        }
        assert!(all("", 1).unwrap().is_empty());
        assert!(all("{\"a\": ", 1).unwrap_err().is_eof());
        assert!(all("{} nothing", 1000).unwrap_err().is_syntax());
    }

    #[test]
    fn a_document_is_bounded() {
        let endless = io::repeat(b'1').chain(io::empty());
        let mut documents = Documents::new(io::Cursor::new("\"").chain(endless));
        assert!(documents.next().unwrap_err().is_io());
    }
}
