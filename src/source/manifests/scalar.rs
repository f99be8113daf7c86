//! What a YAML scalar means: as the reader of kubectl and the API server has it, which is YAML 1.1 with Go's
//! spelling of numbers (`on` is true, `0644` is octal), and neither sexagesimals nor dates.

use std::borrow::Cow;

use granit_parser::Tag;
use serde_json::{Number, Value};

/// The value of a scalar, or what is wrong with it.
pub(super) fn resolve(text: Cow<'_, str>, plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let value = match tag {
        None if plain => implicit(&text)?,
        None => None,
        Some(tag) => match tag.core_suffix() {
            Some(wanted @ ("null" | "bool" | "int" | "float")) => {
                let value = implicit(&text)?.unwrap_or_else(|| Value::from(&*text));
                if !fits(&value, wanted) {
                    return Err(format!("`{text}` tagged as !!{wanted}, which it is not"));
                }
                Some(value)
            }
            // A tag of someone's own says nothing about the value.
            _ => None,
        },
    };
    Ok(value.unwrap_or_else(|| Value::String(text.into_owned())))
}

fn fits(value: &Value, wanted: &str) -> bool {
    match wanted {
        "null" => value.is_null(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    }
}

/// The value of a plain scalar when it is anything but a string.
fn implicit(text: &str) -> Result<Option<Value>, String> {
    Ok(Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => {
            return Err(format!("`{text}`, a number that Kubernetes cannot hold; quote it if it is a text"));
        }
        _ if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            return number(text);
        }
        _ => return Ok(None),
    }))
}

fn number(text: &str) -> Result<Option<Value>, String> {
    let digits: Cow<'_, str> = if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    if let Some(number) = integer(&digits) {
        return Ok(Some(Value::Number(number)));
    }
    if !is_decimal(&digits) {
        return Ok(None);
    }
    match digits.parse().ok().and_then(Number::from_f64) {
        Some(number) => Ok(Some(Value::Number(number))),
        None => Err(format!("`{text}`, a number that is too large; quote it if it is a text")),
    }
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // The standard library would take another sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0_i64.checked_sub_unsigned(magnitude).map(Number::from) } else { Some(magnitude.into()) }
}

/// Digits with at most one dot and perhaps an exponent, and not one of the other things Rust reads as a float.
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && all_digits(e)
    });
    !(whole.is_empty() && fraction.is_empty()) && all_digits(whole) && all_digits(fraction) && exponent_ok
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::implicit;

    #[test]
    fn numbers_are_those_of_go() {
        for (text, value) in [
            ("08", json!(8.0)),
            ("010", json!(8)),
            ("-010", json!(-8)),
            ("0b11", json!(3)),
            ("+5", json!(5)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
            ("1_000", json!(1000)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("1e-3", json!(0.001)),
        ] {
            assert_eq!(implicit(text), Ok(Some(value)), "{text}");
        }
        for text in [
            "-", "+", ".", "...", "1e", "1.2.3", "0x", "--1", "1-2", "0x-1", "-inf", "1,000", "5m", "100Mi", "+.e5",
            "tRUE",
        ] {
            assert_eq!(implicit(text), Ok(None::<Value>), "{text}");
        }
        assert!(implicit("1e999").is_err());
    }
}
