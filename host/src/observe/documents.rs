//! Splits a stream into JSON documents. The reader may return pieces of any size.

use serde_json::value::RawValue;
use std::io::{self, Read};
use std::ops::Range;

/// First words of the output of kubectl in other formats than JSON.
const YAML_PREFIXES: [&str; 5] = ["apiVersion:", "items:", "kind:", "---", "object:"];
const TABLE_PREFIXES: [&str; 3] = ["NAME ", "NAMESPACE ", "EVENT "];

/// Bounds the bytes of a document. The API server accepts requests of at most 3 MiB.
const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// Minimum bytes that are requested per read.
const MIN_READ_BYTES: usize = 64 * 1024;

/// Reads the JSON documents of a stream.
pub(super) struct Documents<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Position in the buffer at which the next document begins.
    start: usize,
    /// Line number at `start`, from 1.
    line: usize,
    /// True if a document was found.
    has_document: bool,
    /// True if the reader has ended.
    has_ended: bool,
}

/// The text of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawDocument<'a> {
    pub(super) text: &'a str,
    /// Line number at which the document begins, from 1.
    line: usize,
}

impl RawDocument<'_> {
    /// Returns the line of the stream at which an error occurred in a part of this document.
    pub(super) fn line_of(&self, part: &str, error: &serde_json::Error) -> usize {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        self.line + count_lines(before) + error.line().saturating_sub(1)
    }
}

/// The position and description of a text that is not a document.
#[derive(Debug)]
pub(super) struct DocumentError {
    pub(super) line: usize,
    /// Description of the problem, without values.
    pub(super) problem: String,
}

fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

impl<R: Read> Documents<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            line: 1,
            has_document: false,
            has_ended: false,
        }
    }

    /// Reads the next document; `None` at the end.
    ///
    /// # Errors
    ///
    /// The text is not JSON, is too large, or cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<RawDocument<'_>>, DocumentError> {
        let found = loop {
            match self.find_document() {
                Ok(Some(found)) => break found,
                Ok(None) if self.has_ended => return Ok(None),
                Err(error) if self.has_ended || !(error.is_eof() || self.may_be_other_format()) => {
                    return Err(self.document_error(&error));
                }
                // The rest of the document has not arrived yet.
                Ok(None) | Err(_) => {
                    let filled = self.fill();
                    filled.map_err(|error| self.document_error(&serde_json::Error::io(error)))?;
                }
            }
        };
        let before = self.buffer.get(self.start..found.start).unwrap_or_default();
        let line = self.line + count_lines(before);
        self.start = found.end;
        self.has_document = true;
        let document = self.buffer.get(found).unwrap_or_default();
        self.line = line + count_lines(document);
        match std::str::from_utf8(document) {
            Ok(text) => Ok(Some(RawDocument { text, line })),
            Err(_) => Err(DocumentError {
                line,
                problem: "it is not UTF-8".to_owned(),
            }),
        }
    }

    /// Returns whether the text so far may become the first word of another format.
    fn may_be_other_format(&self) -> bool {
        let left = self.buffer.get(self.start..).unwrap_or_default();
        let left = left.trim_ascii_start();
        let mut beginnings = YAML_PREFIXES
            .iter()
            .chain(&TABLE_PREFIXES)
            .map(|text| text.as_bytes());
        !self.has_document
            && beginnings.any(|text| text.len() > left.len() && text.starts_with(left))
    }

    fn document_error(&self, error: &serde_json::Error) -> DocumentError {
        let left = self.buffer.get(self.start..).unwrap_or_default();
        let begins = |with: &&str| left.trim_ascii_start().starts_with(with.as_bytes());
        let other_format = if self.has_document {
            None
        } else if YAML_PREFIXES.iter().any(begins) {
            Some("it is YAML: use `-o json` instead of `-o yaml`")
        } else if TABLE_PREFIXES.iter().any(begins) {
            Some("it is a table of kubectl: use `-o json`")
        } else {
            None
        };
        DocumentError {
            line: self.line + error.line().saturating_sub(1),
            problem: other_format
                .map_or_else(|| super::error::without_position(error), str::to_owned),
        }
    }

    fn find_document(&self) -> Result<Option<Range<usize>>, serde_json::Error> {
        let left = self.buffer.get(self.start..).unwrap_or_default();
        let mut documents = serde_json::Deserializer::from_slice(left).into_iter::<&RawValue>();
        let found = documents.next().transpose()?;
        let end = self.start + documents.byte_offset();
        Ok(found.map(|document| end - document.get().len()..end))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        if held > MAX_DOCUMENT_BYTES {
            return Err(io::Error::other(format!(
                "an object, or a list of objects, is larger than {MAX_DOCUMENT_BYTES} bytes"
            )));
        }
        // Doubles the buffer, so that a large document arrives in few pieces. After each piece, an
        // incomplete document is parsed again from its beginning.
        self.buffer.resize(held + held.max(MIN_READ_BYTES), 0);
        let free = self.buffer.get_mut(held..).unwrap_or_default();
        let read = loop {
            match self.reader.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        self.has_ended = read? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns at most this number of bytes per read.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    fn all(text: &str, piece: usize) -> Result<Vec<(usize, String)>, DocumentError> {
        let mut documents = Documents::new(Pieces(text.as_bytes(), piece));
        let mut found = Vec::new();
        while let Some(document) = documents.next()? {
            found.push((document.line, document.text.to_owned()));
        }
        Ok(found)
    }

    #[test]
    fn documents_come_in_any_pieces() {
        let text = " {\"a\": \"ü\"}\n{\"b\":\n [1]}{}  \n";
        for piece in [1, 2, 3, 1000] {
            let found = all(text, piece).unwrap();
            let expected = [(1, "{\"a\": \"ü\"}"), (2, "{\"b\":\n [1]}"), (3, "{}")];
            assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
        }
        assert!(all("", 1).unwrap().is_empty());
        for piece in [1, 1000] {
            for (text, line, problem) in [
                ("{\"a\": ", 1, "EOF while parsing a value"),
                ("{}\n{}\n\n nothing", 4, "expected ident"),
                ("{}\n{\"a\":\n\n b}", 4, "expected value"),
                ("\n---\napiVersion: v1\n", 2, "it is YAML: use `-o json`"),
                ("{}\n---\napiVersion: v1\n", 2, "invalid number"),
                (
                    "NAME    READY\n",
                    1,
                    "it is a table of kubectl: use `-o json`",
                ),
            ] {
                let document_error = all(text, piece).unwrap_err();
                assert!(
                    document_error.problem.starts_with(problem),
                    "{document_error:?}"
                );
                assert_eq!(document_error.line, line, "{document_error:?}");
            }
        }
    }

    #[test]
    fn a_document_is_bounded() {
        let endless = io::repeat(b'1').chain(io::empty());
        let mut documents = Documents::new(io::Cursor::new("\"").chain(endless));
        let problem = documents.next().unwrap_err().problem;
        assert!(problem.contains("is larger than"), "{problem}");
    }
}
