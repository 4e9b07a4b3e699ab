//! Words that stand for a real name in examples. A command that needs the name of a registry or of a download place refuses them.

/// Parts of names, in any case. RFC 2606 reserves the first.
const PARTS: [&str; 5] = ["example", "placeholder", "changeme", "your-", "my-registry"];

/// Whole words between separators, in any case.
const ANY_CASE: [&str; 3] = ["todo", "fixme", "xxx"];

/// Whole words in capital letters, as the documents write them.
const CAPITALS: [&str; 11] = [
    "REGISTRY",
    "REPOSITORY",
    "IMAGE",
    "NAME",
    "TAG",
    "REF",
    "URL",
    "HOST",
    "OWNER",
    "ORG",
    "VERSION",
];

/// Returns the first word that stands for a real name.
pub(crate) fn placeholder(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let is_word = |word: &str, text: &str| {
        text.split(|c: char| !c.is_alphanumeric())
            .any(|part| part == word)
    };
    let parts = PARTS.into_iter().find(|part| lower.contains(*part));
    parts
        .or_else(|| ANY_CASE.into_iter().find(|word| is_word(word, &lower)))
        .or_else(|| CAPITALS.into_iter().find(|word| is_word(word, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_examples_are_found_and_real_names_are_not() {
        for (text, word) in [
            ("registry.Example.com/x:1", "example"),
            ("REGISTRY/x:1", "REGISTRY"),
            ("registry.io/NAME:1", "NAME"),
            ("registry.io/x:TAG", "TAG"),
            ("https://todo/v1", "todo"),
            ("https://dl.io/TODO", "todo"),
            ("your-registry/x:1", "your-"),
        ] {
            assert_eq!(placeholder(text), Some(word), "{text}");
        }
        for text in [
            "registry.local:5000/ci/x:1",
            "https://dl.io/Org/releases/download/v0.1.0",
            "https://dl.io/todos",
        ] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }
}
