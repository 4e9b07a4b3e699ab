//! Parser of server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>). Pure. Of the ends of lines
//! that the format allows, it knows LF and CRLF: observers send no lone CR.

use std::collections::VecDeque;

/// Largest message in bytes. The live page has the same bound.
pub(super) const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// A message of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerSentMessage {
    /// Its kind; empty if it has none.
    pub(super) event: String,
    /// Its id, if it has one.
    pub(super) id: Option<String>,
    /// Its data.
    pub(super) data: String,
}

/// A message exceeds [`MAX_MESSAGE_BYTES`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MessageTooLarge;

/// Collects the messages of a stream from its pieces.
#[derive(Debug, Default)]
pub(super) struct ServerSentParser {
    line: Vec<u8>,
    message: ServerSentMessage,
    messages: VecDeque<ServerSentMessage>,
}

impl ServerSentParser {
    /// Takes the next piece of the stream. Keeps at most [`MAX_MESSAGE_BYTES`] of an incomplete message.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), MessageTooLarge> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let kept = self.message.data.len() + self.message.event.len();
            let id_bytes = self.message.id.as_ref().map_or(0, String::len);
            if kept + id_bytes + self.line.len() + part.len() > MAX_MESSAGE_BYTES {
                return Err(MessageTooLarge);
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                self.take_line(line.trim_end_matches('\n').trim_end_matches('\r'));
            }
        }
        Ok(())
    }

    /// Returns the next complete message.
    pub(super) fn next(&mut self) -> Option<ServerSentMessage> {
        self.messages.pop_front()
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            // A message without data is none.
            if !message.data.is_empty() {
                self.messages.push_back(message);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.message.event = value.to_owned(),
            // Sent back as a header, which holds no control characters.
            "id" if !value.contains(char::is_control) => self.message.id = Some(value.to_owned()),
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            // Comments, `retry`, and fields of later versions.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> Vec<ServerSentMessage> {
        let mut parser = ServerSentParser::default();
        for piece in pieces {
            parser.push(piece).unwrap();
        }
        std::iter::from_fn(|| parser.next()).collect()
    }

    const STREAM: &str = ": comment\n\nid: p-1\r\nevent: snapshot\ndata: {\"a\":1}\n\nevent:status\ndata: 1\ndata: é\n\ndata\n\nevent: incomplete\ndata: 2\n";

    #[test]
    fn fields_comments_and_ends_of_lines_are_as_the_format_says() {
        let message = |event: &str, id: Option<&str>, data: &str| ServerSentMessage {
            event: event.to_owned(),
            id: id.map(str::to_owned),
            data: data.to_owned(),
        };
        assert_eq!(
            parse(&[STREAM.as_bytes()]),
            [
                message("snapshot", Some("p-1"), "{\"a\":1}"),
                message("status", None, "1\né")
            ]
        );
    }

    #[test]
    fn an_endless_message_is_refused_at_the_bound_and_endless_comments_are_not_kept() {
        let piece = vec![b'x'; 64 * 1024];
        for start in ["data: ", "event: ", "no colon"] {
            let mut parser = ServerSentParser::default();
            parser.push(start.as_bytes()).unwrap();
            let mut pieces = 0;
            while parser.push(&piece).is_ok() {
                pieces += 1;
                assert!(pieces < 200, "no bound");
            }
            assert_eq!(pieces, MAX_MESSAGE_BYTES / piece.len() - 1, "{start}");
        }
        let mut many_lines = ServerSentParser::default();
        let line = [b"data: ", &*piece, b"\n"].concat();
        let accepted = (0..200)
            .take_while(|_| many_lines.push(&line).is_ok())
            .count();
        assert!((120..129).contains(&accepted), "{accepted}");
        let mut comments = ServerSentParser::default();
        let comment = [b": ", &*piece, b"\n"].concat();
        for _ in 0..200 {
            comments.push(&comment).unwrap();
        }
        assert!(comments.line.is_empty() && comments.message.data.is_empty());
    }

    proptest! {
        #[test]
        fn the_cuts_between_pieces_change_nothing(cuts in prop::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for cut in cuts {
                pieces.push(&STREAM.as_bytes()[start..cut]);
                start = cut;
            }
            pieces.push(&STREAM.as_bytes()[start..]);
            prop_assert_eq!(parse(&pieces), parse(&[STREAM.as_bytes()]));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let mut parser = ServerSentParser::default();
            prop_assert!(parser.push(&bytes).is_ok());
        }
    }
}
