//! Portcullis judges what a change to a Kubernetes cluster does to its network, and says why it refuses.
//!
//! The rooms, from the ground up: [`model`] (terms), [`snapshot`] (state), [`reach`] (what may flow), [`rules`] (what the
//! house forbids), [`review`] (what follows for a change). Up to there everything is pure. [`translate`] and [`api`] bring
//! Kubernetes objects into it, [`source`] brings them from files and clusters, [`admission`] answers reviews, [`report`]
//! renders, [`unseen`] keeps what was admitted and not seen yet, [`serve`] is the server around it and [`cli`] the command line.

pub mod admission;
pub mod api;
pub mod audit;
pub mod cli;
pub mod model;
pub mod reach;
pub mod report;
pub mod review;
pub mod rules;
pub mod serve;
pub mod snapshot;
pub mod source;
pub mod translate;
pub mod unseen;
