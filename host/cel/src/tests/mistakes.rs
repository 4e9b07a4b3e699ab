//! Expressions that are refused.

use super::event::compile;

/// Line, column, and texts that the error contains.
type Place = (usize, usize, &'static str);

#[test]
fn mistakes_are_found_at_load_with_line_and_column() {
    let cases: [(&str, Place); 38] = [
        ("data.exitcode == 1", (1, 6, "did you mean `exitCode`")),
        ("data.nosuch == 1", (1, 6, "the members are exitCode")),
        (
            "true &&\n  data.lables.team == 'a'",
            (2, 8, "did you mean `labels`"),
        ),
        ("event.typ == 'a'", (1, 7, "did you mean `type`")),
        ("event.orderid == 'a'", (1, 7, "write `event['name']`")),
        (
            "event.data.taskRun.nam == 'a'",
            (1, 20, "did you mean `name`"),
        ),
        ("data['nosuch'] == 1", (1, 5, "unknown member `nosuch`")),
        ("has(data.exitcode)", (1, 10, "did you mean `exitCode`")),
        (
            "data.leftOut.exists(p, p.pat == 'a')",
            (1, 26, "did you mean `path`"),
        ),
        ("data.leftOut[0].pat == 'a'", (1, 17, "did you mean `path`")),
        (
            "dta.reason == 'a'",
            (1, 1, "unknown name `dta`; did you mean `data`"),
        ),
        (
            "body.reason == 'a'",
            (1, 1, "the variables are event, data"),
        ),
        (
            "data.reason.endswith('a')",
            (1, 13, "did you mean `endsWith`"),
        ),
        (
            "data.reason.format([])",
            (1, 13, "the functions are all, bool"),
        ),
        (
            "data.reason.contains()",
            (1, 13, "write `text.contains(text)`"),
        ),
        (
            "contains(data.reason, 'a')",
            (1, 1, "write `text.contains(text)`"),
        ),
        (
            "data.reason.split('a', 'b') == []",
            (1, 24, "instead of an integer"),
        ),
        (
            "data.exitCode.contains('1')",
            (1, 6, "gets an integer instead of a text"),
        ),
        ("data.reason", (1, 6, "is a text, not true or false")),
        ("data.reason && true", (1, 6, "a condition is a text")),
        ("!data.exitCode", (1, 7, "a condition is an integer")),
        ("data.exitCode == '1'", (1, 15, "they are never equal")),
        (
            "data.exitCode + 'a' == 'a'",
            (1, 15, "`+` is between an integer and a text"),
        ),
        ("data.exitCode in ['1']", (1, 15, "`in` is between")),
        ("'a' in data.reason", (1, 5, "contains('part')")),
        (
            "data.labels < 1",
            (1, 13, "`<` is between a map and an integer"),
        ),
        ("-data.reason == 1", (1, 1, "`-` is before a text")),
        (
            "data.labels[1] == 'a'",
            (1, 12, "no index that is an integer"),
        ),
        ("data.reason.name == 'a'", (1, 13, "a text has no members")),
        ("event.type.name == 'a'", (1, 12, "a text has no members")),
        ("event == 1", (1, 1, "no value by itself")),
        ("data.reason.all(c, true)", (1, 13, "no elements in a text")),
        (
            "labels.all(data, true)",
            (1, 8, "name of a variable already"),
        ),
        (
            "labels.all(k, labels.all(l, true))",
            (1, 22, "inside another"),
        ),
        ("{1: 2} == {}", (1, 2, "write keys as texts")),
        (
            "data.reason.matches(data.log)",
            (1, 26, "not a text in quotes"),
        ),
        ("data.reason.matches('(')", (1, 21, "no regular expression")),
        ("b'a' == b'a'", (1, 1, "bytes are not supported")),
    ];
    for (source, (line, column, text)) in cases {
        let error = compile(source).expect_err(source);
        assert_eq!(
            (error.line, error.column),
            (line, column),
            "{source}: {error}"
        );
        let shown = error.to_string();
        assert!(shown.contains(text), "{source}: {shown}");
    }
}

#[test]
fn whatever_may_be_right_is_accepted() {
    for source in [
        "step.whatever.member[0].other == 1",
        "step.name",
        "step.name && step.list.all(x, x.y < 3)",
        "data.reason != null",
        "event['orderid'] == 1",
        "labels.map(k, labels[k]).filter(v, v != '').size() > 0",
        "labels.map(a, a).all(b, b.map(c, c) == []) || labels.all(d, true)",
    ] {
        let accepted = compile(source);
        let is_nested = source.contains("b.map");
        assert_eq!(accepted.is_ok(), !is_nested, "{source}: {accepted:?}");
    }
}

#[test]
fn the_number_of_patterns_is_bounded() {
    let patterns = |count: usize| vec!["data.log.matches('a')"; count].join(" || ");
    assert!(compile(&patterns(8)).is_ok());
    let error = compile(&patterns(9)).unwrap_err();
    assert!(error.message.contains("more than 8"), "{error}");
}

#[test]
fn an_error_shows_no_control_characters() {
    for source in [
        "data['\u{1b}[31m']",
        "\u{1b}",
        "data['\\u202e'] == 1",
        "'\u{7f}' + \u{9b}",
    ] {
        let error = compile(source).unwrap_err().to_string();
        assert!(
            !error.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{error:?}"
        );
    }
}
