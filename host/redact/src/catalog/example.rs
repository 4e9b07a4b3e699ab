//! Makes examples of credentials from templates, so that no text that looks like a real credential
//! stands in the source.

/// Expands a template. `{xN}` stands for N characters of a class: `a` `[A-Za-z0-9]`, `l` `[a-z0-9]`,
/// `u` `[A-Z0-9]`, `h` and `H` hexadecimal in lower and upper case, `d` digits, `w` `[A-Za-z0-9_-]`,
/// `b` base64 `[A-Za-z0-9+/]`, `i` `[a-z]`, `L` `[A-Za-z]`, `t` `[A-Z2-7]`; `{U}` is a UUID. The same
/// template and `seed` always give the same text.
#[must_use]
pub fn example(template: &str, seed: u64) -> String {
    let mut state = template
        .bytes()
        .fold(seed ^ 0x9E37_79B9_7F4A_7C15, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
    let mut expanded = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        expanded.push_str(before);
        let Some((slot, after)) = after.split_once('}') else {
            rest = after;
            continue;
        };
        if slot == "U" {
            for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
                if index > 0 {
                    expanded.push('-');
                }
                fill(&mut expanded, 'h', length, &mut state);
            }
        } else if let Some(class) = slot.chars().next() {
            let length = slot
                .get(1..)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            fill(&mut expanded, class, length, &mut state);
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

/// Appends `length` characters of a class.
fn fill(text: &mut String, class: char, length: usize, state: &mut u64) {
    const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
    const DIGITS: &str = "0123456789";
    let alphabet = match class {
        'a' => [UPPER, LOWER, DIGITS].concat(),
        'l' => [LOWER, DIGITS].concat(),
        'u' => [UPPER, DIGITS].concat(),
        'h' => [DIGITS, "abcdef"].concat(),
        'H' => [DIGITS, "ABCDEF"].concat(),
        'd' => DIGITS.to_owned(),
        'w' => [UPPER, LOWER, DIGITS, "_-"].concat(),
        'b' => [UPPER, LOWER, DIGITS, "+/"].concat(),
        'i' => LOWER.to_owned(),
        'L' => [UPPER, LOWER].concat(),
        't' => [UPPER, "234567"].concat(),
        _ => return,
    };
    let letters = alphabet.as_bytes();
    for _ in 0..length {
        // xorshift64*
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        let number = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        let index = usize::try_from(number).unwrap_or(0) % letters.len();
        text.push(letters.get(index).map_or('0', |byte| char::from(*byte)));
    }
}
