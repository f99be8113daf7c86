//! The cases, by what people do.

mod assertions;
mod callers;
mod capture;
mod costs;
mod decisions;
mod definitions;
mod drain;
mod families;
mod files;
mod folder;
mod foreign;
mod guides;
mod house;
mod kinds;
mod live;
mod modes;
mod namespaces;
mod network;
mod outage;
mod races;
mod replicas;
mod subresources;
mod templates;

use crate::support::Case;

/// All cases in the order in which they start.
pub fn all() -> Vec<Case> {
    let modules = [
        files::cases(),
        decisions::cases(),
        guides::cases(),
        kinds::cases(),
        live::cases(),
        namespaces::cases(),
        network::cases(),
        folder::cases(),
        foreign::cases(),
        families::cases(),
        house::cases(),
        definitions::cases(),
        assertions::cases(),
        callers::cases(),
        capture::cases(),
        costs::cases(),
        templates::cases(),
        subresources::cases(),
        races::cases(),
        modes::cases(),
        replicas::cases(),
        outage::cases(),
        drain::cases(),
    ];
    modules.into_iter().flatten().collect()
}
