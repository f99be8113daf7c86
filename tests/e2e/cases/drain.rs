//! Replicas restart under load, and nobody notices.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::{Gate, Settings, Suite, balancer::Balancer, cases, objects, until};

cases![; alone: a_replica_restarts_under_load_and_no_request_fails];

/// kubectl loops at once, and restarts of each replica.
const LOOPS: usize = 3;
const RESTARTS: usize = 2;

fn a_replica_restarts_under_load_and_no_request_fails(suite: &Suite) {
    let settings = Settings { name: "drain", arguments: vec!["--drain-timeout", "20"], ..Settings::default() };
    let first = Gate::install(suite.plane(), settings);
    let second = first.twin();
    let kubectl = suite.plane().kubectl();
    let balancer = Balancer::start(&[(first.listen, first.admin), (second.listen, second.admin)]);
    first.apply_webhook(&format!("https://{}/v1/review", balancer.address), None);
    let mut replicas = [first, second];
    until("both replicas are ready", || if balancer.ready() == 2 { Ok(()) } else { Err(balancer.ready().to_string()) });
    replicas[0].until_it_decides();
    kubectl.namespace("drained", &replicas[0].labels());
    kubectl.namespace("drained-open", &replicas[0].labels());
    kubectl.apply(&objects::baseline("drained")).passes();
    until("requests come by the balancer", || {
        kubectl
            .run_with_input(&["apply", "--dry-run=server", "-f", "-"], &objects::deployment("drained", "x"))
            .passes();
        if balancer.connections() > 0 { Ok(()) } else { Err("none".to_owned()) }
    });

    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let try_out = |yaml: &str| kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], yaml);
    thread::scope(|scope| {
        let loops: Vec<_> = (0..LOOPS)
            .map(|n| {
                let (stop, done, try_out) = (&stop, &done, &try_out);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        try_out(&objects::deployment("drained", &format!("web-{n}"))).passes_silently();
                        try_out(&objects::deployment("drained-open", "web"))
                            .denied("missing-default-deny", "drained-open");
                        done.fetch_add(2, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // However the restarts end, the loops do.
        let restarts = scope.spawn(|| {
            for _ in 0..RESTARTS {
                for replica in &mut replicas {
                    let before = done.load(Ordering::Relaxed);
                    replica.process().signal("TERM");
                    assert_eq!(replica.process().wait(), "exit 0");
                    replica.start();
                    replica.until_ready();
                    until(
                        "the balancer sees it",
                        || if balancer.ready() == 2 { Ok(()) } else { Err("one".to_owned()) },
                    );
                    assert!(done.load(Ordering::Relaxed) > before, "no request was made while it restarted");
                }
            }
        });
        let restarted = restarts.join();
        stop.store(true, Ordering::Relaxed);
        for one in loops {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        restarted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
