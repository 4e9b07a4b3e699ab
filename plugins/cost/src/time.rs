//! The time between two timestamps in RFC 3339, in UTC as Kubernetes writes them.

/// Longest duration of a step, in milliseconds: ten years.
const MAX_MILLIS: i64 = 10 * 366 * 86_400_000;

/// Returns the seconds from one timestamp to another; 0 if the clocks disagree and the end is earlier.
pub(crate) fn seconds_between(from: &str, to: &str) -> Option<f64> {
    let millis = millis(to)? - millis(from)?;
    let millis = u64::try_from(millis.min(MAX_MILLIS)).unwrap_or(0);
    let seconds = u32::try_from(millis / 1000).ok()?;
    let rest = u32::try_from(millis % 1000).ok()?;
    Some(f64::from(seconds) + f64::from(rest) / 1000.0)
}

/// Reads `2026-11-22T13:31:16.753Z` as milliseconds since 1970.
fn millis(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_valid || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + thousandths.parse::<i64>().ok()?)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let is_number = part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse().ok())?
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Returns the days since 1970 of a date in the Gregorian calendar. The year begins in March, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month > 2 {
        true => (year, month - 3),
        false => (year - 1, month + 9),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719468 days are from the first of March of the year 0 to 1970.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_seconds() {
        for (from, to, expected) in [
            (
                "2026-11-22T13:31:15.021Z",
                "2026-11-22T13:31:16Z",
                Some(0.979),
            ),
            (
                "2024-02-28T23:59:59Z",
                "2024-03-01T00:00:00Z",
                Some(86_401.0),
            ),
            ("2026-12-31T23:59:59.9Z", "2027-01-01T00:00:00Z", Some(0.1)),
            ("2026-11-22T13:31:16Z", "2026-11-22T13:31:15Z", Some(0.0)),
            (
                "1970-01-01T00:00:00Z",
                "9999-12-31T00:00:00Z",
                Some(316_224_000.0),
            ),
            ("", "2026-11-22T13:31:15Z", None),
            ("2026-11-22T13:31:16+01:00", "2026-11-22T13:31:15Z", None),
            ("2026-13-22T13:31:16Z", "2026-11-22T13:31:15Z", None),
            ("2026-11-22T13:31:16.xZ", "2026-11-22T13:31:15Z", None),
            ("2026-11-22T13:31Z", "2026-11-22T13:31:15Z", None),
        ] {
            assert_eq!(seconds_between(from, to), expected, "{from} {to}");
        }
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
    }
}
