//! Ports of a flow as people write them on the command line.

use anyhow::{Context, ensure};

use crate::model::{PortSet, Protocol};

/// Ports as they are written: `5432/TCP`, `53`, `8080-8090/TCP`, `UDP`, several with commas.
pub(super) fn ports(text: &str) -> anyhow::Result<PortSet> {
    let mut all = PortSet::empty();
    for part in text.split(',') {
        all = all.union(&one_port(part.trim()).with_context(|| {
            format!("`{part}` is no port: write 5432/TCP, 53/UDP, 8080-8090/TCP, or TCP for all of its ports")
        })?);
    }
    Ok(all)
}

fn one_port(text: &str) -> anyhow::Result<PortSet> {
    let protocol = |name: &str| {
        Protocol::parse(&name.to_ascii_uppercase())
            .with_context(|| format!("`{name}` is no protocol; there are TCP, UDP and SCTP"))
    };
    let (numbers, protocol) = match text.split_once('/') {
        Some((numbers, name)) => (numbers, protocol(name)?),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => (text, Protocol::Tcp),
        None => return Ok(PortSet::protocol(protocol(text)?)),
    };
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| {
        text.parse::<u16>().ok().filter(|n| *n > 0).with_context(|| format!("`{text}` is not between 1 and 65535"))
    };
    let (first, last) = (number(first)?, number(last)?);
    ensure!(first <= last, "{last} is below {first}");
    Ok(PortSet::range(protocol, first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_every_form() {
        assert_eq!(ports("5432").unwrap(), PortSet::port(Protocol::Tcp, 5432));
        assert_eq!(ports("53/udp,53/TCP").unwrap().to_string(), "TCP 53 UDP 53");
        assert_eq!(ports("8080-8081/TCP").unwrap(), PortSet::range(Protocol::Tcp, 8080, 8081));
        assert_eq!(ports("SCTP").unwrap(), PortSet::protocol(Protocol::Sctp));
        for text in ["", "0", "65536/TCP", "9-8", "http", "80/ICMP"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }
}
