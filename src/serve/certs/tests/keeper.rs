//! Several replicas on one Secret: whatever the interleaving, one CA stays, and no served leaf is ever refused.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::super::keeper::{Keeper, Next};
use super::super::store::StoreError;
use super::super::{Served, bundle};
use super::{World, made_at, settings, start};
use crate::serve::metrics::{Metrics, new_registry};

struct Replica {
    keeper: Keeper,
    served: Arc<Served>,
}

fn replica(world: &World, settings: super::SelfManaged) -> Replica {
    let served = Served::new(Metrics::register(&mut new_registry()));
    let keeper = Keeper::new(settings, Arc::new(world.clone()), Arc::clone(&served));
    Replica { keeper, served }
}

impl Replica {
    /// Steps until there is nothing to do; a lost race is another step.
    async fn settle(&mut self) {
        for _ in 0..20 {
            match self.keeper.step().await {
                Ok(Next::Rest) => return,
                Ok(Next::Again) | Err(StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("it never comes to rest");
    }
}

async fn settle_all(replicas: &mut [Replica]) {
    futures::future::join_all(replicas.iter_mut().map(Replica::settle)).await;
}

#[tokio::test]
async fn one_replica_starts_from_nothing_and_is_ready() {
    let world = World::new(0);
    let mut one = replica(&world, settings());
    assert!(one.served.not_ready().unwrap().contains("no serving certificate"));
    one.settle().await;
    assert_eq!(one.served.not_ready(), None);
    let names = &one.served.identity().unwrap().names;
    assert_eq!(*names, ["portcullis.castle.svc", "portcullis.castle.svc.cluster.local", "portcullis.castle"]);
}

#[tokio::test]
async fn replicas_that_start_at_once_agree_on_one_ca_in_every_interleaving() {
    let mut collided = 0;
    for seed in 0..64 {
        let world = World::new(seed);
        let mut replicas: Vec<_> = (0..3).map(|_| replica(&world, settings())).collect();
        settle_all(&mut replicas).await;
        // One more look each: who came to rest first has not seen what the others wrote.
        settle_all(&mut replicas).await;
        assert_eq!(world.holding().cas.len(), 1, "seed {seed}");
        let leaf = world.holding().leaf.unwrap();
        for replica in &replicas {
            assert_eq!(replica.served.identity().unwrap().leaf(), leaf.leaf(), "seed {seed}");
            assert_eq!(replica.served.not_ready(), None, "seed {seed}");
        }
        collided += world.with(|state| state.conflicts);
    }
    assert!(collided > 10, "the test makes no races: {collided}");
}

/// Three replicas through two CA generations. At every moment each leaf that is served must be vouched for by the
/// bundle that is published now, and by every one that an API server who is slow to notice may still have.
#[tokio::test]
async fn a_rotation_never_serves_what_an_api_server_would_refuse() {
    for seed in 0..3 {
        let mut settings = settings();
        settings.ca_lifetime = Duration::from_mins(15);
        settings.wanted_leaf_lifetime = Duration::from_mins(2);
        let world = World::new(seed);
        let mut replicas: Vec<_> = (0..3).map(|_| replica(&world, settings.clone())).collect();
        settle_all(&mut replicas).await;
        settle_all(&mut replicas).await;
        let born = world.with(|state| state.now);
        let mut leaves = std::collections::BTreeSet::new();
        let mut cas = std::collections::BTreeSet::new();
        for step in 0..150_usize {
            world.pass(settings.poll);
            // Not all of them look each time.
            let awake = step % replicas.len();
            replicas[awake].settle().await;
            if step % 2 == 0 {
                settle_all(&mut replicas).await;
            }
            cas.insert(world.holding().cas[0].pem.clone());
            let (now, bundles) = world.with(|state| {
                let slow = SignedDuration::try_from(settings.settle.saturating_sub(settings.poll)).unwrap();
                let oldest = state.now - slow;
                let mut bundles: Vec<_> = state
                    .history
                    .iter()
                    .filter(|(until, _)| *until > oldest && *until > born)
                    .map(|(_, bundle)| bundle.clone())
                    .collect();
                bundles.extend(state.configuration.iter().flat_map(|c| &c.webhooks).map(|(_, bundle)| bundle.clone()));
                (state.now, bundles)
            });
            for replica in &replicas {
                let identity = replica.served.identity().unwrap();
                leaves.insert(identity.leaf().unwrap().to_vec());
                for bundle in &bundles {
                    let refused = bundle::why_refused(&identity, bundle, &settings.names[0], now);
                    assert_eq!(refused, None, "seed {seed}, step {step}");
                }
            }
        }
        assert!(cas.len() >= 3, "{} CAs", cas.len());
        assert!(leaves.len() >= 10, "{} leaves", leaves.len());
    }
}

#[tokio::test]
async fn a_bundle_that_does_not_vouch_for_the_leaf_makes_unready_and_says_why() {
    let world = World::new(0);
    let mut one = replica(&world, settings());
    one.settle().await;

    world.with(|state| {
        let configuration = state.configuration.as_mut().unwrap();
        configuration.webhooks[1].1.clear();
        configuration.other_injector = Some("cert-manager.io/inject-ca-from".to_owned());
    });
    one.settle().await;
    let why = one.served.not_ready().unwrap();
    assert!(why.contains("namespaces.portcullis.dev") && why.contains("cert-manager.io/inject-ca-from"), "{why}");

    world.with(|state| state.configuration.as_mut().unwrap().other_injector = None);
    one.settle().await;
    assert_eq!(one.served.not_ready(), None, "published again");

    world.with(|state| state.configuration = None);
    one.settle().await;
    assert!(one.served.not_ready().unwrap().contains("ValidatingWebhookConfiguration portcullis does not exist"));
}

#[tokio::test]
async fn a_process_that_slept_through_the_expiry_renews_at_its_first_look() {
    let world = World::new(0);
    let mut one = replica(&world, settings());
    one.settle().await;
    let before = one.served.identity().unwrap();
    world.pass(Duration::from_hours(24 * 40));
    one.served.set_skew(86_400 * 40 + world.with(|state| start().as_second() - state.now.as_second()));
    one.settle().await;
    assert_ne!(one.served.identity().unwrap().leaf(), before.leaf());
    assert_eq!(one.served.not_ready(), None);
}

#[tokio::test]
async fn foreign_data_in_the_secret_survives_and_an_unwritten_secret_is_filled() {
    let world = World::new(0);
    world.with(|state| state.secret = Some((1, [("note".to_owned(), b"ours".to_vec())].into())));
    let mut one = replica(&world, settings());
    one.settle().await;
    assert_eq!(one.served.not_ready(), None);
    assert_eq!(world.with(|state| state.secret.clone().unwrap().1["note"].clone()), b"ours");
}

#[tokio::test]
async fn a_lost_ca_key_does_not_cut_off_the_leaf_that_is_served() {
    let world = World::new(0);
    let mut data = made_at(&settings(), start());
    data.insert("ca.key".to_owned(), b"lost".to_vec());
    world.with(|state| state.secret = Some((1, data)));
    let mut one = replica(&world, settings());
    one.settle().await;
    let leaf = one.served.identity().unwrap();
    assert_eq!(world.holding().cas.len(), 2);
    world.pass(Duration::from_secs(61));
    one.settle().await;
    one.settle().await;
    assert_ne!(one.served.identity().unwrap().leaf(), leaf.leaf(), "switched after the new CA has settled");
    assert_eq!(one.served.not_ready(), None);
}
