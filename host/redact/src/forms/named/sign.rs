//! The sign between a name and its value.

use crate::text::Text;

/// A sign between a name and its value.
pub(super) struct Sign {
    pub(super) end: usize,
    pub(super) is_equal: bool,
    pub(super) is_table: bool,
}

/// Returns the sign at a place.
pub(super) fn sign_at(text: &Text<'_>, at: usize, name: usize) -> Option<Sign> {
    let sign = |length: usize, is_equal: bool| {
        Some(Sign {
            end: at + length,
            is_equal,
            is_table: false,
        })
    };
    let next = text.byte(at + 1);
    match text.byte(at)? {
        b'=' => match next {
            Some(b'=') if text.byte(at + 2) == Some(b'>') => sign(3, false),
            Some(b'=' | b'~') => None,
            Some(b'>') => sign(2, false),
            _ => sign(1, true),
        },
        b':' => match next {
            Some(b'=') => sign(2, true),
            Some(b':') => None,
            // The default in `${NAME:-value}`.
            Some(b'-') if matches!(text.byte_before(name), Some(b'{')) => sign(2, true),
            Some(b'/') if text.byte(at + 2) == Some(b'/') => None,
            _ => sign(1, false),
        },
        b'?' | b'+' if next == Some(b'=') => sign(2, true),
        b'-' if next == Some(b'>') => sign(2, false),
        b'-' if next == Some(b'-') && text.byte(at + 2) == Some(b'>') => sign(3, false),
        b'%' if text.continues_with(at, "%3D") || text.continues_with(at, "%3d") => sign(3, true),
        b'%' if text.continues_with(at, "%3A") || text.continues_with(at, "%3a") => sign(3, false),
        b'|' if next != Some(b'|') => Some(Sign {
            end: at + 1,
            is_equal: false,
            is_table: true,
        }),
        0xE2 => {
            for arrow in ["→", "⇒", "➜", "⟶", "➔"] {
                if text.continues_with(at, arrow) {
                    return sign(arrow.len(), false);
                }
            }
            let is_table = ["│", "┃", "║", "┆"]
                .iter()
                .any(|line| text.continues_with(at, line));
            is_table.then_some(Sign {
                end: at + 3,
                is_equal: false,
                is_table: true,
            })
        }
        b'\\' if text.continues_with(at, "\\u003d") || text.continues_with(at, "\\u003D") => {
            sign(6, true)
        }
        _ => None,
    }
}
