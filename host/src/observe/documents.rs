//! JSON documents one after the other, from a reader that may give them in any pieces.

use serde_json::value::RawValue;
use std::io::{self, Read};
use std::ops::Range;

/// What kubectl prints first in other formats than JSON.
const YAML: [&str; 5] = ["apiVersion:", "items:", "kind:", "---", "object:"];
const TABLE: [&str; 3] = ["NAME ", "NAMESPACE ", "EVENT "];

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
    /// The number of the line that this is in, from 1.
    line: usize,
    /// A document was found.
    began: bool,
    ended: bool,
}

/// A document as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawDocument<'a> {
    pub(super) text: &'a str,
    /// The number of the line on which it begins, from 1.
    line: usize,
}

impl RawDocument<'_> {
    /// The line of the stream that an error is about, which was found in a part of the document.
    pub(super) fn line_of(&self, part: &str, error: &serde_json::Error) -> usize {
        let before = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(..before).unwrap_or_default();
        self.line + lines(before) + error.line().saturating_sub(1)
    }
}

/// What is no document, and on which line.
#[derive(Debug)]
pub(super) struct Misread {
    pub(super) line: usize,
    /// What is wrong, without values.
    pub(super) problem: String,
}

fn lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

impl<R: Read> Documents<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            at: 0,
            line: 1,
            began: false,
            ended: false,
        }
    }

    /// The next document; nothing at the end.
    ///
    /// # Errors
    ///
    /// It is no JSON, too large, or cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<RawDocument<'_>>, Misread> {
        let found = loop {
            match self.find() {
                Ok(Some(found)) => break found,
                Ok(None) if self.ended => return Ok(None),
                Err(error) if self.ended || !(error.is_eof() || self.may_be_other_format()) => {
                    return Err(self.misread(&error));
                }
                // Not all of it is here yet.
                Ok(None) | Err(_) => {
                    let filled = self.fill();
                    filled.map_err(|error| self.misread(&serde_json::Error::io(error)))?;
                }
            }
        };
        let before = self.buffer.get(self.at..found.start).unwrap_or_default();
        let line = self.line + lines(before);
        self.at = found.end;
        self.began = true;
        let document = self.buffer.get(found).unwrap_or_default();
        self.line = line + lines(document);
        match std::str::from_utf8(document) {
            Ok(text) => Ok(Some(RawDocument { text, line })),
            Err(_) => Err(Misread {
                line,
                problem: "it is no UTF-8".to_owned(),
            }),
        }
    }

    /// Is what is here the beginning of what begins another format?
    fn may_be_other_format(&self) -> bool {
        let left = self.buffer.get(self.at..).unwrap_or_default();
        let left = left.trim_ascii_start();
        let mut beginnings = YAML.iter().chain(&TABLE).map(|text| text.as_bytes());
        !self.began && beginnings.any(|text| text.len() > left.len() && text.starts_with(left))
    }

    fn misread(&self, error: &serde_json::Error) -> Misread {
        let left = self.buffer.get(self.at..).unwrap_or_default();
        let begins = |with: &&str| left.trim_ascii_start().starts_with(with.as_bytes());
        let other_format = if self.began {
            None
        } else if YAML.iter().any(begins) {
            Some("it is YAML: use `-o json` instead of `-o yaml`")
        } else if TABLE.iter().any(begins) {
            Some("it is a table of kubectl: use `-o json`")
        } else {
            None
        };
        Misread {
            line: self.line + error.line().saturating_sub(1),
            problem: other_format.map_or_else(|| super::without_position(error), str::to_owned),
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
                "an object, or a list of objects, is larger than {MAX_DOCUMENT} bytes"
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

    fn all(text: &str, piece: usize) -> Result<Vec<(usize, String)>, Misread> {
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
                let misread = all(text, piece).unwrap_err();
                assert!(misread.problem.starts_with(problem), "{misread:?}");
                assert_eq!(misread.line, line, "{misread:?}");
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
