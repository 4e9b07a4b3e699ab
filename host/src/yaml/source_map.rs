//! Finds the fields of a text: the line and column of each, and the duplicates among them.

use super::path::{FieldPath, Segment};
use serde_saphyr::granit_parser::{self, Event, Marker, Parser};
use std::collections::HashMap;

/// Most nodes of a text. A text that has more is refused.
const MAX_NODES: usize = 500_000;

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// Positions of the fields of a text. The nodes are in a list, not in a tree of boxes, because
/// dropping a tree with a hundred thousand nested levels would overflow the stack.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceMap {
    nodes: Vec<Node>,
    root: Option<usize>,
}

#[derive(Clone, Debug)]
struct Node {
    at: Position,
    children: Children,
}

#[derive(Clone, Debug)]
enum Children {
    Scalar { is_empty: bool },
    Map(Vec<Entry>),
    Sequence(Vec<usize>),
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    at: Position,
    value: usize,
}

/// The second of two fields with the same name in one mapping.
pub(super) struct Duplicate {
    pub(super) path: FieldPath,
    pub(super) at: Position,
    pub(super) first: Position,
}

/// An error in the syntax of a text.
pub(super) struct SyntaxError {
    pub(super) path: FieldPath,
    pub(super) at: Position,
    pub(super) problem: String,
}

/// A mapping or sequence that has not ended yet.
struct OpenNode {
    node: usize,
    key: Option<(String, Position)>,
}

impl SourceMap {
    /// Parses a text.
    ///
    /// # Errors
    ///
    /// The text is not YAML, or too large.
    pub(super) fn read(text: &str) -> Result<(Self, Vec<Duplicate>), SyntaxError> {
        let mut reading = SourceMapBuilder::default();
        let options = granit_parser::options! { emit_comments: false };
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| SyntaxError {
                path: reading.path(),
                at: place(error.marker()),
                problem: error.info(),
            })?;
            let at = place(&span.start);
            let is_taken = reading.source_map.nodes.len() <= MAX_NODES;
            if !is_taken || reading.handle(&event, at).is_none() {
                return Err(SyntaxError {
                    path: reading.path(),
                    at,
                    problem: format!("it has more than {MAX_NODES} values: use fewer"),
                });
            }
        }
        Ok((reading.source_map, reading.duplicates))
    }

    /// Returns the start of a value. For a value that is empty or has fields itself, returns the
    /// start of its field. For a missing path, returns the position of its longest existing part.
    pub(super) fn value_position(&self, path: &FieldPath) -> Position {
        self.find(path, false)
    }

    /// Returns where the name of a field begins.
    pub(super) fn key_position(&self, path: &FieldPath) -> Position {
        self.find(path, true)
    }

    /// Returns whether the field exists.
    pub(super) fn contains(&self, path: &FieldPath) -> bool {
        self.node(path).is_some()
    }

    /// Counts the items of a sequence.
    pub(super) fn sequence_len(&self, path: &FieldPath) -> usize {
        match self.node(path) {
            Some(Node {
                children: Children::Sequence(items),
                ..
            }) => items.len(),
            _ => 0,
        }
    }

    fn node(&self, path: &FieldPath) -> Option<&Node> {
        let below = |node, segment| self.child(node, segment).map(|(_, child)| child);
        let node = path.0.iter().try_fold(self.root?, below)?;
        self.nodes.get(node)
    }

    fn find(&self, path: &FieldPath, key: bool) -> Position {
        let Some(mut node) = self.root else {
            return Position { line: 1, column: 1 };
        };
        let mut named = None;
        for segment in &path.0 {
            let Some((at, child)) = self.child(node, segment) else {
                break;
            };
            (named, node) = (at, child);
        }
        let value = self.nodes.get(node);
        let is_scalar = value.is_some_and(
            |node| matches!(node.children, Children::Scalar { is_empty } if !is_empty),
        );
        match named {
            Some(named) if key || !is_scalar => named,
            _ => value.map(|node| node.at).unwrap_or_default(),
        }
    }

    fn child(&self, node: usize, segment: &Segment) -> Option<(Option<Position>, usize)> {
        match (&self.nodes.get(node)?.children, segment.name()) {
            (Children::Map(entries), Ok(name)) => {
                let entry = entries.iter().find(|entry| entry.key == name);
                let merged = || {
                    let merges = entries.iter().filter(|entry| entry.key == "<<");
                    merges
                        .filter_map(|entry| self.merged(entry.value, name))
                        .next()
                };
                entry
                    .or_else(merged)
                    .map(|entry| (Some(entry.at), entry.value))
            }
            (Children::Sequence(items), Err(index)) => Some((None, *items.get(index)?)),
            _ => None,
        }
    }

    /// Returns a field from the value of `<<`: a mapping, or a sequence of mappings, that is merged
    /// into another mapping.
    fn merged(&self, node: usize, name: &str) -> Option<&Entry> {
        let of = |node: usize| match &self.nodes.get(node)?.children {
            Children::Map(entries) => entries.iter().find(|entry| entry.key == name),
            Children::Scalar { .. } | Children::Sequence(_) => None,
        };
        match &self.nodes.get(node)?.children {
            Children::Sequence(items) => items.iter().find_map(|item| of(*item)),
            Children::Map(_) | Children::Scalar { .. } => of(node),
        }
    }
}

#[derive(Default)]
struct SourceMapBuilder {
    source_map: SourceMap,
    open: Vec<OpenNode>,
    anchors: HashMap<usize, usize>,
    /// Position of each key, by its mapping.
    keys: HashMap<(usize, String), Position>,
    duplicates: Vec<Duplicate>,
}

impl SourceMapBuilder {
    fn handle(&mut self, event: &Event<'_>, at: Position) -> Option<()> {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                let is_empty = text.is_empty() || text == "~";
                let node = self.add(at, Children::Scalar { is_empty }, *anchor);
                self.attach(node, Some(text), at)
            }
            // An alias refers to the node of its anchor. So a mistake in the node is reported at
            // the place where the node is written.
            Event::Alias(anchor) => self.attach(*self.anchors.get(anchor)?, None, at),
            Event::SequenceStart(_, anchor, _) => {
                let node = self.add(at, Children::Sequence(Vec::new()), *anchor);
                self.open.push(OpenNode { node, key: None });
                Some(())
            }
            Event::MappingStart(_, anchor, _) => {
                let node = self.add(at, Children::Map(Vec::new()), *anchor);
                self.open.push(OpenNode { node, key: None });
                Some(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = self.open.pop()?.node;
                let at = self.source_map.nodes.get(node)?.at;
                self.attach(node, None, at)
            }
            _ => Some(()),
        }
    }

    fn add(&mut self, at: Position, children: Children, anchor: usize) -> usize {
        let node = self.source_map.nodes.len();
        self.source_map.nodes.push(Node { at, children });
        if anchor != 0 {
            self.anchors.insert(anchor, node);
        }
        node
    }

    /// Adds a complete node to the mapping or sequence around it.
    fn attach(&mut self, node: usize, text: Option<&str>, at: Position) -> Option<()> {
        let Some(open) = self.open.last_mut() else {
            self.source_map.root.get_or_insert(node);
            return Some(());
        };
        match &mut self.source_map.nodes.get_mut(open.node)?.children {
            Children::Sequence(items) => items.push(node),
            Children::Map(entries) => match open.key.take() {
                None => {
                    // A key that is not a scalar gets an empty name, because it cannot be the name
                    // of a field.
                    let key = text.unwrap_or_default().to_owned();
                    let first = *self.keys.entry((open.node, key.clone())).or_insert(at);
                    // `<<` is never a duplicate, because several mappings may be merged into one.
                    let is_twice = first != at && key != "<<";
                    open.key = Some((key, at));
                    if is_twice {
                        self.note_duplicate(first, at);
                    }
                }
                Some((key, at)) => entries.push(Entry {
                    key,
                    at,
                    value: node,
                }),
            },
            Children::Scalar { .. } => return None,
        }
        Some(())
    }

    fn note_duplicate(&mut self, first: Position, at: Position) {
        let path = self.path();
        self.duplicates.push(Duplicate { path, at, first });
    }

    /// Returns the path of the value that is being read.
    fn path(&self) -> FieldPath {
        let segment = |open: &OpenNode| match &self.source_map.nodes.get(open.node)?.children {
            Children::Sequence(items) => Some(Segment::Index(items.len())),
            Children::Map(_) => Some(Segment::Key(open.key.as_ref()?.0.clone())),
            Children::Scalar { .. } => None,
        };
        FieldPath(self.open.iter().filter_map(segment).collect())
    }
}

fn place(marker: &Marker) -> Position {
    Position {
        line: marker.line() as u64,
        column: marker.col() as u64 + 1,
    }
}
