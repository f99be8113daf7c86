//! The next action for every state that a Secret, a clock and a webhook configuration can be in.

use jiff::Timestamp;

use super::super::holding::{BUNDLE, CA_KEY, Holding, LEAF, LEAF_KEY};
use super::super::issue;
use super::super::plan::{Action, Seen, bundle_of, observe, plan};
use super::super::store::Published;
use super::{SelfManaged, add_leaf, hours, made_at, published, settings, start};

/// An action without its words and certificates.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Mint { kept: usize, with_leaf: bool },
    IssueLeaf,
    Publish { cas: usize },
    Rest,
}

fn kind(action: &Action) -> Kind {
    match action {
        Action::Mint { keep, with_leaf, .. } => Kind::Mint { kept: keep.len(), with_leaf: *with_leaf },
        Action::IssueLeaf { .. } => Kind::IssueLeaf,
        Action::Publish { bundle } => Kind::Publish { cas: bundle.matches("BEGIN").count() },
        Action::Rest => Kind::Rest,
    }
}

fn decide(now: Timestamp, holding: &Holding, published: Option<&Published>, seen: Option<&Seen>) -> Kind {
    kind(&plan(&settings(), now, holding, published, seen))
}

/// The plan for a Secret whose bundle is published as it is.
fn decide_published(now: Timestamp, holding: &Holding) -> Kind {
    let published = published(&bundle_of(&holding.cas));
    decide(now, holding, Some(&published), None)
}

#[test]
fn nothing_there_makes_all_and_a_complete_secret_rests() {
    assert_eq!(
        decide(start(), &Holding::default(), Some(&published("")), None),
        Kind::Mint { kept: 0, with_leaf: true }
    );
    let holding = Holding::read(&made_at(&settings(), start()));
    assert_eq!(holding.faults, Vec::<String>::new());
    assert_eq!(decide_published(start(), &holding), Kind::Rest);
}

#[test]
fn a_secret_that_holds_nothing_has_no_faults_to_name() {
    let why = |holding: &Holding| match plan(&settings(), start(), holding, None, None) {
        Action::Mint { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(&Holding::default()), "there is no CA yet");
    let mut data = made_at(&settings(), start());
    data.insert(CA_KEY.to_owned(), b"rubbish".to_vec());
    let faults = why(&Holding::read(&data));
    assert!(faults.starts_with("the CA's key is of no use (") && !faults.ends_with("()"), "{faults}");
}

#[test]
fn a_half_filled_or_unreadable_secret_keeps_what_is_good() {
    let complete = made_at(&settings(), start());
    let foreign = made_at(&settings(), start());
    let cases = [
        (LEAF, None, Kind::IssueLeaf),
        (LEAF_KEY, None, Kind::IssueLeaf),
        (LEAF_KEY, Some(&foreign[LEAF_KEY][..]), Kind::IssueLeaf),
        (LEAF, Some(&b"rubbish"[..]), Kind::IssueLeaf),
        (CA_KEY, None, Kind::Mint { kept: 1, with_leaf: false }),
        (CA_KEY, Some(b""), Kind::Mint { kept: 1, with_leaf: false }),
        (CA_KEY, Some(b"-----BEGIN PRIVATE KEY-----\nAAAA\n"), Kind::Mint { kept: 1, with_leaf: false }),
        (CA_KEY, Some(b"\xff\xfe"), Kind::Mint { kept: 1, with_leaf: false }),
        (CA_KEY, Some(&foreign[CA_KEY][..]), Kind::Mint { kept: 1, with_leaf: false }),
        (BUNDLE, None, Kind::Mint { kept: 0, with_leaf: true }),
        (
            BUNDLE,
            Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
            Kind::Mint { kept: 0, with_leaf: true },
        ),
    ];
    for (key, value, wanted) in cases {
        let mut data = complete.clone();
        match value {
            Some(value) => data.insert(key.to_owned(), value.to_vec()),
            None => data.remove(key),
        };
        let holding = Holding::read(&data);
        assert!(!holding.faults.is_empty(), "{key}");
        assert_eq!(decide_published(start(), &holding), wanted, "{key} {:?}", holding.faults);
    }
}

#[test]
fn a_leaf_is_renewed_with_a_third_left_and_made_at_once_when_useless() {
    let holding = Holding::read(&made_at(&settings(), start()));
    for (day, wanted) in [(0, Kind::Rest), (19, Kind::Rest), (21, Kind::IssueLeaf), (31, Kind::IssueLeaf)] {
        assert_eq!(decide_published(hours(start(), day * 24), &holding), wanted, "day {day}");
    }
    let renamed = SelfManaged::for_service("other", "castle", "portcullis-tls", "portcullis");
    let elsewhere = published(&bundle_of(&holding.cas));
    assert_eq!(kind(&plan(&renamed, start(), &holding, Some(&elsewhere), None)), Kind::IssueLeaf);
}

#[test]
fn a_ca_is_replaced_with_a_third_left_and_its_leaf_lives_on() {
    let mut data = made_at(&settings(), start());
    for (day, wanted) in [
        (240, Kind::Rest),
        (250, Kind::Mint { kept: 1, with_leaf: false }),
        (364, Kind::Mint { kept: 1, with_leaf: false }),
        (366, Kind::Mint { kept: 0, with_leaf: true }),
    ] {
        let now = hours(start(), day * 24);
        add_leaf(&settings(), &mut data, now);
        assert_eq!(decide_published(now, &Holding::read(&data)), wanted, "day {day}");
    }
}

/// A Secret in the middle of a rotation: both CAs, the leaf by the older one.
fn two_generations(now: Timestamp) -> Holding {
    let mut data = made_at(&settings(), now);
    let newer = issue::ca(&settings(), now).unwrap();
    let both = format!("{}{}", newer.certificate, String::from_utf8_lossy(&data[BUNDLE]));
    data.insert(BUNDLE.to_owned(), both.into_bytes());
    data.insert(CA_KEY.to_owned(), newer.key.into_bytes());
    Holding::read(&data)
}

#[test]
fn the_leaf_of_a_new_ca_waits_until_the_ca_has_been_published_for_long_enough() {
    let holding = two_generations(start());
    let old_only = published(&bundle_of(&holding.cas[1..]));
    assert_eq!(decide(start(), &holding, Some(&old_only), None), Kind::Publish { cas: 2 });
    assert_eq!(observe(None, start(), &holding, Some(&old_only)), None);

    let both = published(&bundle_of(&holding.cas));
    assert_eq!(decide(start(), &holding, Some(&both), None), Kind::Rest);
    let seen = observe(None, start(), &holding, Some(&both));
    let later = |seconds: i64| start() + jiff::SignedDuration::from_secs(seconds);
    assert_eq!(decide(later(59), &holding, Some(&both), seen.as_ref()), Kind::Rest);
    assert_eq!(decide(later(60), &holding, Some(&both), seen.as_ref()), Kind::IssueLeaf);

    let mut one_lacks = both.clone();
    one_lacks.webhooks[1].1.clear();
    assert_eq!(observe(seen.clone(), later(60), &holding, Some(&one_lacks)), None, "a gap starts the wait anew");
    assert_eq!(observe(seen.clone(), later(60), &holding, None), None);
    assert_eq!(observe(seen.clone(), later(60), &holding, Some(&both)), seen, "the wait goes on");
    let set_back = observe(seen.clone(), later(-3600), &holding, Some(&both));
    assert_ne!(set_back, seen, "a clock set back starts the wait anew");
    let other = two_generations(start());
    assert_ne!(observe(seen.clone(), later(60), &other, Some(&published(&bundle_of(&other.cas)))), seen);
}

#[test]
fn an_expired_older_ca_leaves_the_bundle() {
    let mut short = settings();
    short.ca_lifetime = std::time::Duration::from_hours(1);
    let mut data = made_at(&settings(), start());
    let older = issue::ca(&short, start()).unwrap();
    let both = format!("{}{}", String::from_utf8_lossy(&data[BUNDLE]), older.certificate);
    data.insert(BUNDLE.to_owned(), both.into_bytes());
    let holding = Holding::read(&data);
    assert_eq!(decide_published(start(), &holding), Kind::Rest);
    assert_eq!(decide_published(hours(start(), 2), &holding), Kind::Publish { cas: 1 });
}

#[test]
fn a_clock_a_day_off_changes_nothing_and_one_further_off_is_repaired() {
    let holding = Holding::read(&made_at(&settings(), start()));
    for (hour, wanted) in [
        (-23, Kind::Rest),
        (24, Kind::Rest),
        // Made a day or more ahead of the API server's clock: nobody can verify it until that time comes.
        (-25, Kind::Mint { kept: 0, with_leaf: true }),
    ] {
        assert_eq!(decide_published(hours(start(), hour), &holding), wanted, "{hour} h");
    }
}

#[test]
fn what_another_controller_fills_in_is_left_alone() {
    let holding = Holding::read(&made_at(&settings(), start()));
    let mut claimed = published("foreign");
    assert_eq!(decide(start(), &holding, Some(&claimed), None), Kind::Publish { cas: 1 });
    claimed.other_injector = Some("cert-manager.io/inject-ca-from".to_owned());
    assert_eq!(decide(start(), &holding, Some(&claimed), None), Kind::Rest);
    assert_eq!(decide(start(), &holding, None, None), Kind::Rest, "nothing to publish to");
}

#[test]
fn a_leaf_for_addresses_is_not_made_again_and_again() {
    let mut settings = settings();
    settings.names.extend(["127.0.0.1", "0:0:0:0:0:0:0:1"].map(str::to_owned));
    let holding = Holding::read(&made_at(&settings, start()));
    let published = published(&bundle_of(&holding.cas));
    assert_eq!(kind(&plan(&settings, start(), &holding, Some(&published), None)), Kind::Rest);
    settings.names.push("127.0.0.2".to_owned());
    assert_eq!(kind(&plan(&settings, start(), &holding, Some(&published), None)), Kind::IssueLeaf);
}
