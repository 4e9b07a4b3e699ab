//! Private keys as logs show them.

use super::tests::{check, mask};

const LINE: &str = "MIIEogIBAAKCAQEAu5mVxJ8n2bqZ0cLr4tW6yH3kPqRsTuVwXyZ0a1b2c3d4e5f6";

/// Returns the first or last line of a key of a kind.
fn marker(word: &str, label: &str) -> String {
    format!("-----{word} {label}PRIVATE KEY-----")
}

#[test]
fn a_key_with_headers_is_masked_as_a_whole() {
    let (begin, end) = (marker("BEGIN", "RSA "), marker("END", "RSA "));
    check(&format!(
        "a\n→{begin}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00ff\n\n{LINE}\n{LINE}\n{end}←\nb"
    ));
}

#[test]
fn lines_with_a_prefix_keep_it() {
    let (begin, end) = (marker("BEGIN", ""), marker("END", ""));
    check(&format!(
        "[step-x] {begin}\n[step-x] →{LINE}←\n[step-x] →{LINE}←\n[step-x] {end}\n[step-x] done"
    ));
}

#[test]
fn halves_of_a_key_are_masked_and_the_cut_mark_stays() {
    let (begin, end) = (marker("BEGIN", ""), marker("END", ""));
    check(&format!("a\n→{begin}\n{LINE}\n{LINE}←"));
    check(&format!("→{LINE}\nTuVwXyZ0a1b2==\n{end}←\nb"));
    let cut = "[... 2345 bytes of the log left out ...]";
    let text = format!("{begin}\n{LINE}\n{LINE}\n{cut}\n{LINE}\n{LINE}\n{end}\nb");
    let masked = mask(&text);
    assert!(masked.contains(cut) && masked.ends_with("\nb"), "{masked}");
    assert!(!masked.contains("MIIE"), "{masked}");
}

#[test]
fn a_mention_of_a_key_does_not_take_the_log_with_it() {
    let (begin, end) = (marker("BEGIN", ""), marker("END", ""));
    for text in [
        format!("sed -n '/{begin}/,/{end}/p' x\nnext line\nand more"),
        format!("the file has no {begin} line\nTestParseSomethingLong\nok"),
        format!("grep -c '{begin}' x\n0\nCloning into TheRepositoryOfTheShop2\n"),
        format!("{begin} and {end} are the markers"),
    ] {
        assert_eq!(mask(&text), text);
    }
}
