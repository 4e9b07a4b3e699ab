use super::*;

#[test]
fn whole_variables_are_no_secrets() {
    for variable in [
        "$TOKEN",
        "${X}",
        "${X:-d}",
        "$(params.x)",
        "$(cat f)",
        "`cmd`",
        "${{ secrets.X }}",
        "{{ x }}",
        "%VAR%",
        "$env:TOKEN",
        "${A}:${B}",
        "$1",
    ] {
        assert!(is_variable(variable), "{variable}");
    }
    for secret in [
        "$y5Kr1N0Yyujbx7",
        "{gk6Exc3cdBnzNY",
        "KzPKzQ`oS1WLi",
        "DR3rKkQfdlBH$y563QJMEdJbB",
    ] {
        assert!(!is_variable(secret), "{secret}");
    }
}
