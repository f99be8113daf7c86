//! Model → NetworkPolicy, for the cures that denials carry.
