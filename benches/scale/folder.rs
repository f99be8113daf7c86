//! The matrix of a folder of manifests, from the bytes on disk to the rows as JSON.

use std::fmt::Write as _;

use portcullis::reach::{Matrix, Options, Readings};
use portcullis::report::{Filter, matrix};
use portcullis::source::files::Files;

use super::shapes::{deployment, written_policy};
use super::{seconds, timed};

const NAMESPACES: usize = 50;
/// Deployments of each namespace; each has a policy of its own, and each namespace a default deny and a way to DNS.
const DEPLOYMENTS: usize = 20;

pub fn measure() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..NAMESPACES {
        let namespace = format!("team-{n:02}");
        let mut text = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n");
        let mut add = |document: &str| {
            let _ = write!(text, "---\n{document}");
        };
        add(&written_policy(
            &namespace,
            "default-deny",
            "  podSelector: {}\n  policyTypes:\n  - Ingress\n  - Egress\n",
        ));
        add(&written_policy(
            &namespace,
            "allow-dns",
            "  podSelector: {}\n  policyTypes:\n  - Egress\n  egress:\n  - to:\n    - namespaceSelector:\n        matchLabels:\n          kubernetes.io/metadata.name: kube-system\n    ports:\n    - protocol: UDP\n      port: 53\n    - protocol: TCP\n      port: 53\n",
        ));
        for d in 0..DEPLOYMENTS {
            let name = format!("app-{d:02}");
            add(&deployment(&namespace, &name));
            add(&written_policy(&namespace, &name, &spec(d, n)));
        }
        std::fs::write(folder.path().join(format!("{namespace}.yaml")), text).unwrap();
    }
    let paths = [folder.path().to_path_buf()];
    let mut best: Option<[std::time::Duration; 4]> = None;
    let mut rows = 0;
    for _ in 0..5 {
        let (read, files) = timed(|| Files::read(&paths, "default"));
        assert!(files.errors.is_empty(), "{:?}", files.errors);
        assert_eq!(files.objects.len(), NAMESPACES * (3 + 2 * DEPLOYMENTS));
        let (state, world) = timed(|| files.world().snapshot);
        let options = Options { readings: Readings::of(None), representatives: false };
        let (evaluated, evaluation) = timed(|| Matrix::of(&world, &options));
        let (written, json) = timed(|| {
            let all = matrix::rows(&evaluation, &Filter::default());
            rows = all.len();
            matrix::to_json(&all).unwrap()
        });
        std::hint::black_box(json);
        let this = [read, state, evaluated, written];
        let sum = |times: &[std::time::Duration; 4]| times.iter().sum::<std::time::Duration>();
        if best.is_none_or(|best| sum(&this) < sum(&best)) {
            best = Some(this);
        }
    }
    let best = best.unwrap();
    println!("| read | state | evaluated | {rows} rows sorted and written | in all, best of five |");
    println!("|---:|---:|---:|---:|---:|");
    let cells: Vec<String> = best.iter().copied().chain([best.iter().sum()]).map(seconds).collect();
    println!("| {} |", cells.join(" | "));
}

/// Egress to the next workload, ingress from the one before, across a border for every fourth.
fn spec(d: usize, n: usize) -> String {
    let peer = |d: usize, n: usize| {
        let pods = format!("      podSelector:\n        matchLabels:\n          app: app-{d:02}\n");
        if d % 4 == 0 {
            format!(
                "    - namespaceSelector:\n        matchLabels:\n          kubernetes.io/metadata.name: team-{n:02}\n{pods}"
            )
        } else {
            pods.replacen("      podSelector", "    - podSelector", 1)
        }
    };
    let (before, after) = ((d + DEPLOYMENTS - 1) % DEPLOYMENTS, (d + 1) % DEPLOYMENTS);
    let other = (n + 1) % NAMESPACES;
    format!(
        "  podSelector:\n    matchLabels:\n      app: app-{d:02}\n  policyTypes:\n  - Ingress\n  - Egress\n  ingress:\n  - from:\n{}    ports:\n    - protocol: TCP\n      port: http\n  egress:\n  - to:\n{}    ports:\n    - protocol: TCP\n      port: 8080\n  - to:\n    - ipBlock:\n        cidr: 0.0.0.0/0\n        except:\n        - 10.0.0.0/8\n        - 172.16.0.0/12\n        - 192.168.0.0/16\n    ports:\n    - protocol: TCP\n      port: 443\n",
        peer(before, other),
        peer(after, other)
    )
}
