//! Checks that the files of a room use each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use step_observer_tests::path;
use step_observer_tests::sources::{code, rust_files};

/// A module of a room as its path below the room: empty for the room itself.
type Module = Vec<String>;

/// The files of a room by module, without comments and tests.
struct Room {
    name: &'static str,
    files: BTreeMap<Module, String>,
}

/// The folders of the plugin room from the lowest to the highest. Files beside them are the lowest.
const PLUGIN_FOLDERS: [&str; 4] = ["sandbox", "load", "run", "dropin"];

#[test]
fn the_files_of_the_plugin_room_use_each_other_without_a_circle() {
    assert_no_circle("plugin", 30);
}

#[test]
fn the_files_of_the_command_line_use_each_other_without_a_circle() {
    assert_no_circle("cli", 25);
}

fn assert_no_circle(room: &'static str, more_files_than: usize) {
    let room = Room::read(room);
    let uses = room.uses();
    assert!(uses.len() > more_files_than, "{uses:?}");
    for file in uses.keys() {
        let mut way = vec![file];
        assert!(
            !leads_back(&uses, &mut way, &mut BTreeSet::new()),
            "a circle: {way:?}"
        );
    }
}

#[test]
fn the_folders_of_the_plugin_room_use_only_lower_ones() {
    let floor = |module: &Module| {
        let folder = module.first().map_or("", String::as_str);
        PLUGIN_FOLDERS.iter().position(|known| *known == folder)
    };
    for (file, used) in Room::read("plugin").uses() {
        for other in used {
            assert!(
                floor(&other) <= floor(&file),
                "{} must not use {}",
                file.join("/"),
                other.join("/")
            );
        }
    }
}

/// Follows the uses from the last module of `way`. Returns true if they lead back to its first
/// module; `way` is then the circle.
fn leads_back<'a>(
    uses: &'a BTreeMap<Module, BTreeSet<Module>>,
    way: &mut Vec<&'a Module>,
    seen: &mut BTreeSet<&'a Module>,
) -> bool {
    for next in &uses[*way.last().unwrap()] {
        if next == way[0] {
            return true;
        }
        if seen.insert(next) {
            way.push(next);
            if leads_back(uses, way, seen) {
                return true;
            }
            way.pop();
        }
    }
    false
}

impl Room {
    fn read(name: &'static str) -> Self {
        let folder = path("../host/src").join(name);
        let files = rust_files(&folder).into_iter().filter_map(|file| {
            let module = module(file.strip_prefix(&folder).unwrap());
            let is_test = module.last().is_some_and(|name| name == "tests");
            let text = code(&file);
            let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
            (!is_test).then_some((module, text))
        });
        let files = files.collect();
        Self { name, files }
    }

    /// Returns the files that each file uses. A `mod.rs` only lists its folder, and is no file here.
    fn uses(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let files = self.files.iter().filter(|(file, _)| !self.is_folder(file));
        let uses = files.map(|(file, text)| {
            let used = self.paths(file, text).into_iter().map(|path| {
                let found = self.resolve(&path);
                let shown = path.join("::");
                assert!(
                    !self.is_folder(&found),
                    "{file:?}: name the item, not the folder, of `{shown}`"
                );
                found
            });
            (file.clone(), used.filter(|other| other != file).collect())
        });
        uses.collect()
    }

    fn is_folder(&self, module: &Module) -> bool {
        module.is_empty() || path_of(self.name, module).is_dir() && !self.has_own_file(module)
    }

    /// `x.rs` beside `x/`, instead of `x/mod.rs`.
    fn has_own_file(&self, module: &Module) -> bool {
        path_of(self.name, module).with_extension("rs").exists()
    }

    /// Returns the paths in a file that begin with `super`, the room or a module below the file.
    fn paths(&self, file: &Module, text: &str) -> Vec<Module> {
        let mut found = Vec::new();
        let room = format!("crate::{}::", self.name);
        for (start, base) in [(&*room, Some(0)), ("super::", file.len().checked_sub(1))] {
            let base = &file[..base.unwrap_or(0)];
            for (at, _) in text.match_indices(start) {
                found.extend(expand(base, &text[at + start.len()..]));
            }
        }
        for child in self.children(file) {
            let start = format!("{child}::");
            for (at, _) in text.match_indices(&start) {
                let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                if !text[..at].ends_with(is_word) {
                    found.extend(expand(file, &text[at..]));
                }
            }
        }
        found
    }

    fn children(&self, module: &Module) -> impl Iterator<Item = &String> {
        let below = self
            .files
            .keys()
            .filter(move |file| file.len() == module.len() + 1 && file.starts_with(module));
        below.filter_map(|file| file.last())
    }

    /// Returns the file that contains the item of a path. Follows the `use` lists in the `mod.rs`
    /// of folders.
    fn resolve(&self, path: &Module) -> Module {
        let mut found = Module::new();
        for name in path {
            let mut below = found.clone();
            below.push(name.clone());
            if self.files.contains_key(&below) {
                found = below;
                continue;
            }
            if self.is_folder(&found) {
                let text = &self.files[&found];
                let listed = text
                    .split("use ")
                    .skip(1)
                    .flat_map(|list| expand_named(&found, list));
                if let Some((_, item)) = listed.into_iter().find(|(known, _)| known == name) {
                    return self.resolve(&item);
                }
            }
            break;
        }
        found
    }
}

fn path_of(room: &str, module: &Module) -> std::path::PathBuf {
    let room = path("../host/src").join(room);
    module.iter().fold(room, |path, name| path.join(name))
}

fn module(file: &Path) -> Module {
    let names = file.with_extension("");
    let names = names.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

fn expand(base: &[String], text: &str) -> Vec<Module> {
    let named = expand_named(base, text);
    named.into_iter().map(|(_, path)| path).collect()
}

/// Returns each path of a tree such as `a::{b as c, d::{self, E}}`, with the name that it gets.
fn expand_named(base: &[String], text: &str) -> Vec<(String, Module)> {
    let mut path = base.to_vec();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(list) = rest.strip_prefix('{') {
            return split_list(list)
                .into_iter()
                .flat_map(|item| expand_named(&path, item))
                .collect();
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        match name {
            "super" => drop(path.pop()),
            "self" | "" => {}
            _ => path.push(name.to_owned()),
        }
        match after.strip_prefix("::") {
            Some(below) => rest = below,
            None => {
                let alias = after.trim_start().strip_prefix("as ").map(|alias| {
                    let end = alias.find(|c: char| !c.is_alphanumeric() && c != '_');
                    alias[..end.unwrap_or(alias.len())].to_owned()
                });
                let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
                return vec![(name, path)];
            }
        }
    }
}

/// Splits the text after an opening brace into its items, up to the closing brace.
fn split_list(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&text[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}
