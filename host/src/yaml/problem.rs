//! Translates error messages of the YAML parser to messages that contain a remedy and no value of
//! the text.

use super::{MAX_DEPTH, MAX_VALUES};

/// Describes a problem with its remedy, without the position: the caller prints that already.
pub(super) fn describe(message: &str) -> String {
    let first = message.lines().next().unwrap_or(message);
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let problem = match first.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => first
            .rsplit_once(" at line ")
            .map_or(first, |(rest, _)| rest),
    };
    // Removes the part of the message that says where the value of an alias is defined. The mistake
    // is already reported at that position.
    let problem = problem
        .split_once(" (defined at line ")
        .map_or(problem, |(rest, _)| rest);
    match remedy(problem) {
        Some(remedy) => remedy,
        None => without_value(problem),
    }
}

/// Returns the message that replaces a message of the parser, or `None` to keep the parser's
/// message.
fn remedy(problem: &str) -> Option<String> {
    let too_deep = format!("it is nested deeper than {MAX_DEPTH} levels: make it flatter");
    let too_much =
        format!("it has more than {MAX_VALUES} values, with those of its aliases: use fewer");
    let said = |start: &str| problem.starts_with(start);
    let remedy = match problem {
        _ if said("budget breached: Depth") || said("recursion limit exceeded") => &too_deep,
        _ if said("budget breached") || said("alias replay") => &too_much,
        _ if said("multiple YAML documents") => "another document begins here: write one only",
        _ if said("cannot deserialize null") => "it is empty: give a value, or leave the field out",
        _ if said("expected mapping start") => "fields are expected here, such as `name: value`",
        _ if said("expected sequence start") => "a list is expected here, such as `[a, b]`",
        _ if said("expected string scalar") => "a text is expected here: write it in quotes",
        _ if said("expected end of mapping after enum variant") => {
            "exactly one kind is expected here: remove the others"
        }
        _ if said("expected string key for externally tagged enum") => {
            "exactly one kind is expected here, with its fields below it"
        }
        _ if said("invalid type: unit value") => {
            "it is empty: give a value, or leave the field out"
        }
        _ if said("unexpected value for unit enum variant") => {
            "write the word alone, without a value"
        }
        "invalid boolean" => "write true or false",
        "invalid socket address syntax" => {
            "not an address: write IP and port, such as 127.0.0.1:8080"
        }
        _ => {
            let kind = problem.strip_prefix("invalid ")?;
            let is_number = kind.starts_with(['u', 'i']) && kind.get(1..)?.parse::<u8>().is_ok();
            is_number.then_some("a whole number is expected here")?
        }
    };
    Some(remedy.to_owned())
}

/// Removes the value that serde quotes in its message about a wrong type, value or variant.
fn without_value(problem: &str) -> String {
    let quotes = ["invalid type", "invalid value", "unknown variant"]
        .iter()
        .any(|start| problem.starts_with(start));
    if let (true, Some(first), Some(last)) = (quotes, problem.find('"'), problem.rfind('"'))
        && first < last
    {
        let (before, after) = (problem.get(..=first), problem.get(last..));
        return format!(
            "{}…{}",
            before.unwrap_or_default(),
            after.unwrap_or_default()
        );
    }
    let mut parts = problem.splitn(3, '`');
    match (quotes, parts.next(), parts.next(), parts.next()) {
        (true, Some(before), Some(_), Some(after)) => format!("{before}`…`{after}"),
        _ => problem.to_owned(),
    }
}
