//! The guides as files that commands are given.

/// The namespaces of the first guide with its NetworkPolicies.
pub const FIRST: [&str; 7] = [
    "tests/guides/first/workloads.yaml",
    "tests/guides/first/default-deny-all.yaml",
    "tests/guides/first/myapp-api-network-policy.yaml",
    "tests/guides/first/myapp-workers-network-policy.yaml",
    "tests/guides/first/my-web-client-network-policy.yaml",
    "tests/guides/first/nats-network-policy.yaml",
    "tests/guides/first/postgresql-network-policy.yaml",
];

/// The three tiers of the second guide.
pub const SECOND: [&str; 2] = ["tests/guides/second/workloads.yaml", "tests/guides/second/complete-app-policies.yaml"];
