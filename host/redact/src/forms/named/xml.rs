//! Elements of XML: `<password>value</password>`.

use super::found_name::Name;
use super::report::report_as;
use super::shape::Style;
use super::value::{LONGEST, Value};
use super::{Form, Found};
use crate::text::Text;

/// Content of an element.
pub(super) static ELEMENT: Form = Form {
    id: "xml-password",
    title: "Content of an XML element with the name of a secret",
    examples: &[
        "<server><username>ci</username><password>→gKq&amp;pkUk4←</password></server>",
        "<apiKey>→Ttx9U0Q2cFWmGgS2Mg6D←</apiKey>",
        r#"<ns:password type="text">→hunter2←</ns:password>"#,
        "<password><![CDATA[→hunter2 & more←]]></password>",
        "&lt;password&gt;→hunter2←&lt;/password&gt;",
        "<key>DBPassword</key>\n<string>→hunter22←</string>",
    ],
};

/// Reports the content of an element with this name. Returns true if it is an element.
pub(super) fn element(text: &Text<'_>, name: &Name<'_>, found: &mut Found<'_>) -> bool {
    let mut start = name.start;
    if text.byte_before(start) == Some(b':') {
        start -= 1;
        while name.start - start < 20
            && text
                .byte_before(start)
                .is_some_and(|b| b.is_ascii_alphanumeric())
        {
            start -= 1;
        }
    }
    let escaped = text.byte_before(start) == Some(b';')
        && start >= 4
        && text.continues_with(start - 4, "&lt;");
    let opened = text.byte_before(start) == Some(b'<');
    if !opened && !escaped {
        // `<key>Password</key><string>value</string>`.
        return property(text, name, found);
    }
    let at = name.end;
    let content = if text.continues_with(at, "&gt;") {
        at + 4
    } else if text.byte(at) == Some(b'>') {
        at + 1
    } else if text.byte(at) == Some(b' ') {
        // Attributes, or the rest of a placeholder (`<token to use>`), which has no attribute.
        let Some(end) = text.find(b'>', at).filter(|end| end - at < 200) else {
            return false;
        };
        if !text.slice(at..end).contains("=\"") {
            return true;
        }
        end + 1
    } else {
        return false;
    };
    if let Some(value) = self::content(text, content) {
        report_as(text, name, &value, Style::Quoted, &ELEMENT, found);
    }
    true
}

/// Reports the value in a property list of Apple, in the element after the name. Returns true if
/// there is one.
fn property(text: &Text<'_>, name: &Name<'_>, found: &mut Found<'_>) -> bool {
    if !(name.start >= 5
        && text.continues_with(name.start - 5, "<key>")
        && text.continues_with(name.end, "</key>"))
    {
        return false;
    }
    let at = super::flags::skip_space(text, name.end + 6);
    if text.continues_with(at, "<string>")
        && let Some(value) = content(text, at + 8)
    {
        report_as(text, name, &value, Style::Quoted, &ELEMENT, found);
        return true;
    }
    false
}

/// Returns the text between the tags of an element.
pub(super) fn content(text: &Text<'_>, at: usize) -> Option<Value> {
    const CDATA: &str = "<![CDATA[";
    let (start, end) = if text.continues_with(at, CDATA) {
        let start = at + CDATA.len();
        (
            start,
            text.find(b']', start).filter(|end| end - start < LONGEST)?,
        )
    } else {
        let end = text
            .find(b'<', at)
            .filter(|end| end - at < LONGEST && text.byte(end + 1) == Some(b'/'))
            .unwrap_or(usize::MAX);
        let entity = (0..8).try_fold(at, |from, _| {
            let place = text
                .find(b'&', from)
                .filter(|place| *place < end && place - at < LONGEST);
            match place {
                Some(place) if text.continues_with(place, "&lt;") => Err(place),
                Some(place) => Ok(place + 1),
                None => Err(usize::MAX),
            }
        });
        (at, end.min(entity.err().unwrap_or(usize::MAX)))
    };
    if end == usize::MAX {
        return None;
    }
    let whole = text.slice(start..end);
    let trimmed = whole.trim();
    let start = start + (whole.len() - whole.trim_start().len());
    (!trimmed.is_empty()).then_some(Value {
        range: start..start + trimmed.len(),
        after: end,
        quoted: true,
    })
}
