//! The tasks behind a followed cluster: the followers, the writer, and a look now and then at whether all is well.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::desk::Desk;
use super::follow::{Follower, Update};
use super::resource::Resource;
use super::writer::{Publication, Writer};
use super::{Settings, Shared, scout};

/// Updates that go into one version at most, so that a burst does not keep it back for long.
const AT_ONCE: usize = 4_096;

/// Follows until dropped.
pub(super) async fn run(
    client: Client,
    desk: Desk,
    shared: Arc<Shared>,
    settings: Settings,
    (updates, inbox): (Sender<Update>, Receiver<Update>),
) {
    let mut tasks = JoinSet::new();
    for resource in Resource::ALL {
        let progress = Arc::clone(&shared.progress);
        let mut follower = Follower::new(resource, client.clone(), updates.clone(), progress, settings.timing);
        if resource.is_followed_when_named() {
            follower.named = Some(shared.services_named.subscribe());
        }
        tasks.spawn(async move {
            follower.run().await;
            resource.name()
        });
    }
    let scout = scout::keep_looking(client, updates, settings.timing);
    tasks.spawn(async move {
        scout.await;
        "scout"
    });
    let (for_writer, for_us) = (Arc::clone(&shared), settings.clone());
    tasks.spawn(async move {
        write(inbox, Writer::new(desk, Arc::clone(&for_writer.unseen)), &for_writer, &settings).await;
        "writer"
    });
    watch_over(tasks, &shared, &for_us).await;
}

/// Says once when answering becomes impossible and once when it is possible again.
async fn watch_over(mut tasks: JoinSet<&'static str>, shared: &Shared, settings: &Settings) {
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut was_ready, mut network) = (None, String::new());
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            Some(ended) = tasks.join_next() => {
                let why = match ended {
                    Ok(name) => format!("the task that follows {name} ended by itself"),
                    Err(error) => format!("a task that follows the cluster failed: {error}"),
                };
                tracing::error!(why, "the state is not followed any more; the process ends, to begin anew");
                shared.progress.set_broken(why);
            }
        }
        let not_ready = shared.progress.not_ready(settings.give_up_after);
        if not_ready.is_none() {
            let now = shared.world.load().snapshot.network();
            if now != network {
                tracing::info!(network = now, "what enforces policies");
                network = now;
            }
        }
        if was_ready == Some(not_ready.is_none()) {
            continue;
        }
        match (&not_ready, was_ready) {
            (None, _) => tracing::info!("the state of the cluster is known; reviews are answered"),
            (Some(why), Some(_)) => tracing::error!(why, "reviews are not answered any more"),
            (Some(why), None) => tracing::info!(why, "waiting for the state of the cluster"),
        }
        was_ready = Some(not_ready.is_none());
    }
}

/// Takes updates, publishes versions.
async fn write(mut inbox: Receiver<Update>, mut writer: Writer, shared: &Shared, settings: &Settings) {
    let mut batch = Vec::new();
    loop {
        let wait = until_end(writer.desk().next_end());
        tokio::select! {
            taken = inbox.recv_many(&mut batch, AT_ONCE) => if taken == 0 { return },
            () = tokio::time::sleep(wait) => {}
        }
        for update in batch.drain(..) {
            writer.take(update);
        }
        let publication = writer.publish(Timestamp::now().as_second(), settings.cap, settings.from_controllers);
        show(publication, &writer, shared);
    }
}

/// How long to sleep for the sake of exceptions that end. Never long, so that a clock that is set is noticed.
fn until_end(end: Option<i64>) -> Duration {
    const LONGEST: Duration = Duration::from_mins(1);
    let Some(end) = end else { return LONGEST };
    let seconds = end.saturating_sub(Timestamp::now().as_second()).max(1);
    Duration::from_secs(seconds.unsigned_abs()).min(LONGEST)
}

/// First the state, then what is said about it: nobody may take an old state for a fresh one.
fn show(publication: Publication, writer: &Writer, shared: &Shared) {
    if let Some(world) = publication.world {
        shared.world.store(world);
    }
    if publication.desk_changed {
        shared.desk.send_replace(Arc::new(writer.desk().clone()));
    }
    for (resource, absent) in publication.synced {
        if !shared.progress.is_synced(resource) {
            tracing::info!(%resource, objects = writer.objects(resource), absent, "first list taken over");
        }
        shared.progress.synced(resource, absent);
    }
    for (resource, at) in publication.complete_at {
        shared.progress.complete_at(resource, at);
    }
    shared.services_named.send_if_modified(|named| std::mem::replace(named, publication.services_named) != *named);
    shared.unseen.forget(&publication.shown);
    for resource in Resource::ALL {
        shared.progress.set_objects(resource, writer.objects(resource));
    }
}
