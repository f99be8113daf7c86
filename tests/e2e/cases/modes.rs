//! A change of the mode, or of house rules, holds on a replica that is going away.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::{Gate, Settings, Suite, cases, objects, until};

cases![a_new_mode_and_new_house_rules_hold_on_a_draining_replica];

/// Connections to a server, one after the other, so that its drain does not end while there is no other.
struct Company {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Company {
    fn of(address: SocketAddr) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let mut open = Vec::new();
            while !until.load(Ordering::Relaxed) {
                open.extend(TcpStream::connect(address));
                // The server gives each up that brings no handshake within seconds.
                if open.len() > 4 {
                    open.remove(0);
                }
                thread::sleep(Duration::from_millis(500));
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn a_new_mode_and_new_house_rules_hold_on_a_draining_replica(suite: &Suite) {
    let kubectl = suite.plane().kubectl();
    // One replica, so that it is a draining one that answers; it was started with the mode enforce.
    let arguments = vec!["--drain-timeout", "600"];
    let mut gate = Gate::install(suite.plane(), Settings { name: "modes", arguments, ..Settings::default() });
    let url = |path: &str| format!("https://{}/v1/review{path}", gate.listen);
    let (enforce, warn, audit) = (
        url("/mode/enforce/from-controllers/warn"),
        url("/mode/warn/from-controllers/warn"),
        url("/mode/audit/from-controllers/audit"),
    );
    kubectl.namespace("modes-shop", &gate.labels());
    let web = objects::deployment("modes-shop", "web");
    let try_out = || kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &web);
    gate.apply_webhook(&enforce, None);
    try_out().denied("missing-default-deny", "modes-shop");
    let _company = Company::of(gate.listen);
    gate.process().signal("TERM");
    until("it drains", || match gate.admin("/readyz") {
        Ok((503, text)) if text.contains("drain") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    try_out().denied("missing-default-deny", "modes-shop");

    gate.apply_webhook(&warn, None);
    // The API server takes over a new configuration within moments; from then on no request may be refused.
    until("the new mode holds", || if try_out().ok { Ok(()) } else { Err("refused".to_owned()) });
    for _ in 0..20 {
        try_out().warns("missing-default-deny", "modes-shop");
    }
    gate.apply_webhook(&audit, None);
    until("it is silent", || {
        let outcome = try_out();
        if outcome.warnings().is_empty() { Ok(outcome) } else { Err(outcome.to_string()) }
    })
    .passes_silently();
    gate.apply_webhook(&enforce, None);
    until("it refuses again", || if try_out().is_denied() { Ok(()) } else { Err("not refused".to_owned()) });

    // Of several HouseRules the strictest level applies, and others may be there: this one raises a level.
    let rules = "apiVersion: portcullis.dev/v1alpha1\nkind: HouseRules\nmetadata: {name: modes}\n\
                 spec: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: modes-shop}}, rules: {allow-all-peers: {level: enforce}}}\n";
    let open = objects::policy(
        "modes-shop",
        "open",
        "podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]",
    );
    let try_open = || kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &open);
    try_open().warns("allow-all-peers", "");
    kubectl.apply(rules).passes();
    until("new house rules hold", || {
        let outcome = try_open();
        if outcome.is_denied() { Ok(()) } else { Err(outcome.to_string()) }
    });
    kubectl.run(&["delete", "houserules", "modes"]).passes();
    assert!(gate.process().ended().is_none(), "it drains all the while");
}
