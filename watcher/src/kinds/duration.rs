//! Durations as Go writes and reads them: `1h30m`, `1.5h`, `300ms`, `0`.

use std::time::Duration;

/// Nanoseconds of each unit; the longer names come before those that they end with.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];
/// Go counts nanoseconds in 63 bits: about 292 years.
const MAX: u128 = i64::MAX as u128;
/// So much of a wrong text is repeated, bytes.
const TOLD: usize = 32;

/// Reads a duration; a negative one is none.
///
/// # Errors
/// A text that goes on after a field's name.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let told = &text[..text.floor_char_boundary(TOLD)];
        format!("must be a duration such as 1h0m0s, 30m or 1.5h, and is {told:?}")
    };
    let nanos = nanos(text)
        .filter(|nanos| *nanos <= MAX)
        .ok_or_else(wrong)?;
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let seconds = u64::try_from(seconds).map_err(|_large| wrong())?;
    Ok(
        Duration::from_secs(seconds)
            + Duration::from_nanos(u64::try_from(rest).unwrap_or_default()),
    )
}

fn nanos(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole: u128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        sum = sum.checked_add(whole.checked_mul(*size)?)?;
        sum = sum.checked_add(part(fraction, *size))?;
        if sum > MAX {
            return None;
        }
        rest = after;
    }
    Some(sum)
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// So many decimals of a unit; what is smaller than a nanosecond is dropped.
fn part(decimals: &str, unit: u128) -> u128 {
    let mut scale = unit;
    let digits = decimals.bytes().map(|digit| u128::from(digit - b'0'));
    // Each digit is worth a tenth of the one before; in thousands, so that little is lost on the way.
    scale *= 1000;
    let sum: u128 = digits
        .map(|digit| {
            scale /= 10;
            digit * scale
        })
        .sum();
    sum / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_read() {
        for (text, millis) in [
            ("1h0m0s", 3_600_000),
            ("0h55m0s", 3_300_000),
            ("30m", 1_800_000),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("300ms", 300),
            ("1h30m45.5s", 5_445_500),
            (".5s", 500),
            ("1.s", 1_000),
            ("+5s", 5_000),
            ("1000us", 1),
            ("1000\u{b5}s1000\u{3bc}s", 2),
            ("5000000ns", 5),
            ("0.333s", 333),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let longest = parse("2562047h47m16.854775807s").unwrap();
        assert_eq!(longest.as_nanos(), MAX);
    }

    #[test]
    fn what_go_refuses_is_refused_with_the_text() {
        for text in [
            "",
            "1",
            "1 h",
            "h",
            ".",
            "-1h",
            "-0",
            "1h-5m",
            "1d",
            "1hour",
            "ten",
            "1h30",
            ".s",
            "+",
            "1e3s",
            "2562047h47m16.854775808s",
            "99999999999999999999999999999999999999999999h",
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains("1h0m0s") && error.len() < 120,
                "{text}: {error}"
            );
        }
        assert!(parse("1 h").unwrap_err().contains("\"1 h\""));
        assert!(
            parse("\u{1b}[2J").unwrap_err().contains("\\u{1b}"),
            "no control characters"
        );
    }
}
