//! Decides what to do next about self-made certificates: a pure function of the time, the Secret and what is published.
//!
//! The order is what keeps callers: a new CA is published beside the old one, and only when every API server must have
//! it does a leaf of it appear. Two replicas that plan the same thing collide on the Secret's version, and the one that
//! lost plans again from what the other wrote.

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;

use super::bundle::why_refused_by;
use super::holding::{Ca, Holding};
use super::identity::{Identity, certificates};
use super::settings::SelfManaged;
use super::store::Published;

/// CAs in the bundle besides the newest. One is enough in every planned case; the second is for a CA lost midway.
const OLDER_KEPT: usize = 2;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Make a CA, put it before the kept ones, and with it a leaf if the present one is of no use.
    Mint { keep: Vec<Ca>, with_leaf: bool, why: String },
    /// Make a leaf by the newest CA.
    IssueLeaf { why: String },
    /// Write this bundle into the webhook configuration.
    Publish { bundle: String },
    /// All is well for now.
    Rest,
}

/// Since when this process has seen the newest CA in every bundle of the webhook configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    newest: CertificateDer<'static>,
    since: Timestamp,
}

/// Carries the observation on: it starts anew with every other CA, with every gap, and when the clock goes back.
pub(super) fn observe(
    before: Option<Seen>,
    now: Timestamp,
    holding: &Holding,
    published: Option<&Published>,
) -> Option<Seen> {
    let newest = &holding.cas.first()?.der;
    let everywhere = |published: &&Published| {
        let vouches = |bundle: &Vec<u8>| certificates(bundle).is_ok_and(|all| all.contains(newest));
        !published.webhooks.is_empty() && published.webhooks.iter().all(|(_, bundle)| vouches(bundle))
    };
    published.filter(everywhere)?;
    Some(
        before
            .filter(|seen| seen.newest == *newest && seen.since <= now)
            .unwrap_or_else(|| Seen { newest: newest.clone(), since: now }),
    )
}

/// The next action.
pub(super) fn plan(
    settings: &SelfManaged,
    now: Timestamp,
    holding: &Holding,
    published: Option<&Published>,
    seen: Option<&Seen>,
) -> Action {
    let valid: Vec<Ca> = holding.cas.iter().filter(|ca| ca.is_valid_at(now)).cloned().collect();
    let leaf_fault = leaf_fault(settings, now, holding.leaf.as_deref(), &valid);

    if let Some(why) = ca_fault(settings, now, holding) {
        let mut keep = valid;
        keep.truncate(OLDER_KEPT);
        return Action::Mint { keep, with_leaf: leaf_fault.is_some(), why };
    }
    if let Some(why) = leaf_fault {
        return Action::IssueLeaf { why };
    }
    if let Some(bundle) = to_publish(&valid, published) {
        return Action::Publish { bundle };
    }
    let (Some(leaf), Some(newest)) = (holding.leaf.as_deref(), holding.cas.first()) else {
        return Action::Rest;
    };
    let of_newest = why_refused_by(leaf, std::slice::from_ref(&newest.der), settings.server_name(), now).is_none();
    if !of_newest {
        let settled = seen.is_some_and(|seen| now >= after(seen.since, settings.settle));
        return if settled {
            Action::IssueLeaf { why: "the new CA has been published for long enough".to_owned() }
        } else {
            Action::Rest
        };
    }
    if due(now, leaf.not_after, settings.leaf_lifetime()) {
        return Action::IssueLeaf { why: format!("the leaf ends at {}", leaf.not_after) };
    }
    Action::Rest
}

/// Why a new CA is needed.
fn ca_fault(settings: &SelfManaged, now: Timestamp, holding: &Holding) -> Option<String> {
    let Some(newest) = holding.cas.first() else {
        return Some(format!("there is no CA yet{}", faults(holding)));
    };
    if holding.ca_key.is_none() {
        return Some(format!("the CA's key is of no use{}", faults(holding)));
    }
    if now < newest.not_before {
        return Some(format!("the CA is valid from {} only: it was made under a wrong clock", newest.not_before));
    }
    due(now, newest.not_after, settings.ca_lifetime).then(|| format!("the CA ends at {}", newest.not_after))
}

/// What is wrong with what the Secret holds; nothing where it holds nothing.
fn faults(holding: &Holding) -> String {
    if holding.faults.is_empty() { String::new() } else { format!(" ({})", holding.faults.join("; ")) }
}

/// Why the leaf cannot be served at all, so that waiting would keep nobody.
fn leaf_fault(settings: &SelfManaged, now: Timestamp, leaf: Option<&Identity>, valid: &[Ca]) -> Option<String> {
    let Some(leaf) = leaf else {
        return Some("there is no usable leaf".to_owned());
    };
    if let Some(name) = settings.names.iter().find(|name| !leaf.is_for(name)) {
        return Some(format!("the leaf is not for {name}"));
    }
    let roots: Vec<_> = valid.iter().map(|ca| ca.der.clone()).collect();
    leaf.why_not_valid_at(now).or_else(|| why_refused_by(leaf, &roots, settings.server_name(), now))
}

/// The bundle to write, unless every webhook has exactly these CAs or another controller claims the field.
fn to_publish(valid: &[Ca], published: Option<&Published>) -> Option<String> {
    let published = published.filter(|published| published.other_injector.is_none())?;
    let same = |bundle: &Vec<u8>| {
        certificates(bundle).is_ok_and(|all| all.len() == valid.len() && valid.iter().all(|ca| all.contains(&ca.der)))
    };
    (!published.webhooks.iter().all(|(_, bundle)| same(bundle))).then(|| bundle_of(valid))
}

/// One PEM text of all of them.
pub(super) fn bundle_of(cas: &[Ca]) -> String {
    cas.iter()
        .flat_map(|ca| {
            [
                ca.pem.trim_end(),
                "
",
            ]
        })
        .collect()
}

/// Whether less than a third of the lifetime is left.
fn due(now: Timestamp, end: Timestamp, lifetime: std::time::Duration) -> bool {
    after(now, lifetime / 3) > end
}

fn after(at: Timestamp, wait: std::time::Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
